/** Check 9 for `ssh-keygen -Y sign`: what counts, and every way a signature can be nearly one. */
import { describe, expect, test } from 'bun:test';
import { PAYLOAD } from '#state/media-types.ts';
import { namespaceOf } from '#trust/formats/catalogue.ts';
import { readSshsig } from '#trust/formats/sshsig.ts';
import { verifyStatement } from '#trust/verify.ts';
import { bytes, envelopeOf, NAMESPACE, rootOf, SK, sshsigBy, utf8 } from '../foreign.ts';
import { table } from '../table.ts';
import { vectorFile } from '../vectors.ts';
import { newKey, offer, rootKey, signedState, trusted } from '../world.ts';

const key = newKey();
const other = newKey();
const device = { root: rootOf([rootKey(key)]) };
const refusal = 'refused trust.threshold';
const row = (title: string, sig: Uint8Array, verdict: string) =>
  [title, envelopeOf([sig]), verdict, device] as const;

table('a signature by ssh-keygen counts', [
  row('sha512', sshsigBy(key), 'accept'),
  row('sha256', sshsigBy(key, { hash: 'sha256' }), 'accept'),
  row('an authenticator that was touched', sshsigBy(key, { type: SK }), 'accept'),
  row('touched, and the person verified', sshsigBy(key, { type: SK, flags: 5 }), 'accept'),
  row('a counter of 0', sshsigBy(key, { type: SK, counter: 0 }), 'accept'),
  row('another ssh: application', sshsigBy(key, { type: SK, application: 'ssh:plant' }), 'accept'),
]);

table('S18: what is nearly one does not count', [
  row('the namespace of git', sshsigBy(key, { namespace: 'git' }), refusal),
  row('the namespace of roots', sshsigBy(key, { namespace: 'holdfast.root.v1' }), refusal),
  row('no namespace', sshsigBy(key, { namespace: '' }), refusal),
  row('the namespace and a NUL', sshsigBy(key, { namespace: `${NAMESPACE}\0` }), refusal),
  row('hash sha1', sshsigBy(key, { hash: 'sha1' }), refusal),
  row('hash md5', sshsigBy(key, { hash: 'md5' }), refusal),
  row('no hash named', sshsigBy(key, { hash: '' }), refusal),
  row('nested type ssh-rsa', sshsigBy(key, { innerType: 'ssh-rsa' }), refusal),
  row('both types ssh-rsa', sshsigBy(key, { type: 'ssh-rsa' }), refusal),
  row('nested type sk- under a plain key', sshsigBy(key, { innerType: SK }), refusal),
  row(
    'nested type plain under an sk- key',
    sshsigBy(key, { type: SK, innerType: 'ssh-ed25519' }),
    refusal,
  ),
  row('version 2', sshsigBy(key, { version: 2 }), refusal),
  row('version 0', sshsigBy(key, { version: 0 }), refusal),
  row('another magic', sshsigBy(key, { magic: 'SSHSIH' }), refusal),
  row('a reserved field', sshsigBy(key, { reserved: 'x' }), refusal),
  row('trailing bytes', sshsigBy(key, { after: utf8('x') }), refusal),
  row('trailing bytes inside', sshsigBy(key, { afterInner: utf8('x') }), refusal),
  row('sk- without user presence', sshsigBy(key, { type: SK, flags: 0 }), refusal),
  row('sk- verified but not present', sshsigBy(key, { type: SK, flags: 4 }), refusal),
  row(
    'sk- of a web site',
    sshsigBy(key, { type: SK, application: 'https://example.com' }),
    refusal,
  ),
  row('sk- with control characters', sshsigBy(key, { type: SK, application: 'ssh:\n' }), refusal),
  row('over another message', sshsigBy(key, { message: utf8('x') }), refusal),
  row('over the payload without PAE', sshsigBy(key, { message: envelopeOf([]).payload }), refusal),
  row('by a key that the role lacks', sshsigBy(other), refusal),
  row('by another key, naming ours', sshsigBy(other, { raw: key.spki.slice(-32) }), refusal),
  row('by our key, naming another', sshsigBy(key, { raw: other.spki.slice(-32) }), refusal),
  row('more than 1 KiB', bytes(sshsigBy(key), new Uint8Array(1_024)), refusal),
]);

test('S18: the presence flag is signed: setting it afterwards breaks the signature', () => {
  const sig = sshsigBy(key, { type: SK, flags: 0 });
  const at = sig.length - 5;
  sig[at] = 1;
  expect(readSshsig(sig).ok).toBe(true);
  expect(verifyStatement(offer(envelopeOf([sig])), trusted(device)).kind).toBe('refused');
});

test('a refusal says which namespace was signed and which one counts', () => {
  const verdict = verifyStatement(
    offer(envelopeOf([sshsigBy(key, { namespace: 'git' })])),
    trusted(device),
  );
  const message = verdict.kind === 'refused' ? verdict.fault.message : '';
  expect(message).toContain('SSHSIG has the namespace "git", not holdfast.state.v1');
});

test('one key counts once, in whatever two forms it signed', () => {
  const plain = signedState({}, [key]).signatures[0]?.sig ?? new Uint8Array();
  const both = envelopeOf([plain, sshsigBy(key), sshsigBy(key, { type: SK })]);
  const two = trusted({ root: rootOf([rootKey(key), rootKey(other)], 2) });
  expect(verifyStatement(offer(both), two).kind).toBe('refused');
  const withOther = envelopeOf([sshsigBy(key), sshsigBy(other, { hash: 'sha256' })]);
  expect(verifyStatement(offer(withOther), two).kind).toBe('accept');
});

test('a signature of another kind is not one over PAE, nor the other way round', () => {
  // the 64 bytes inside of an SSHSIG, offered as a plain signature, and a plain one put into SSHSIG
  const inner = sshsigBy(key).slice(-64);
  expect(verifyStatement(offer(envelopeOf([inner])), trusted(device)).kind).toBe('refused');
  const plain = signedState({}, [key]).signatures[0]?.sig ?? new Uint8Array();
  const wrapped = bytes(sshsigBy(key).slice(0, -64), plain);
  expect(readSshsig(wrapped).ok).toBe(true);
  expect(verifyStatement(offer(envelopeOf([wrapped])), trusted(device)).kind).toBe('refused');
});

test('each kind of document has its namespace', () => {
  expect(namespaceOf(PAYLOAD.desiredState)).toBe('holdfast.state.v1');
  expect(namespaceOf(PAYLOAD.root)).toBe('holdfast.root.v1');
  expect(namespaceOf('application/json')).toBeNull();
  expect(namespaceOf('application/vnd.holdfast.root.v1+protobuf\n')).toBeNull();
});

describe('a cut or bent SSHSIG', () => {
  const whole = sshsigBy(key, { type: SK });
  test('every prefix is refused with format.signature or format.public-key', () => {
    for (let length = 0; length < whole.length; length += 1) {
      const read = readSshsig(whole.slice(0, length));
      expect(read.ok || !/^format\./.test(read.fault.code)).toBe(false);
    }
  });
  test('every flipped bit is refused', () => {
    const accepted: number[] = [];
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const bent = whole.slice();
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const verdict = verifyStatement(offer(envelopeOf([bent])), trusted(device));
      if (verdict.kind !== 'refused') accepted.push(bit);
    }
    expect(accepted).toEqual([]);
  });
  test('a length of 4 GiB reads nothing', () => {
    const bent = whole.slice();
    bent.fill(0xff, 10, 14);
    expect(readSshsig(bent).ok).toBe(false);
  });
});

const armoured = vectorFile('interop/sshsig.sig');
if (armoured) {
  test('the interop vector reads; its namespace is not ours, so it counts for nothing', () => {
    const body = new TextDecoder().decode(armoured).replace(/-----[^-]+-----|\s/g, '');
    const read = readSshsig(new Uint8Array(Buffer.from(body, 'base64')));
    expect(read.ok && [read.value.namespace, read.value.hash]).toEqual([
      'margo-desired-state',
      'sha512',
    ]);
  });
} else test.skip('SSHSIG interop: the vectors are not here (HOLDFAST_VECTORS)', () => {});
