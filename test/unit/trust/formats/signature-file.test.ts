/** Signature files lose their armour and nothing else; what is no signature is named as such. */
import { describe, expect, test } from 'bun:test';
import { sign } from 'node:crypto';
import fc from 'fast-check';
import { readForm } from '#trust/formats/catalogue.ts';
import { readSignatureFile } from '#trust/formats/signature-file.ts';
import { verifyStatement } from '#trust/verify.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import {
  bytes,
  envelopeOf,
  MESSAGE,
  minisigBy,
  newP256Key,
  rawOf,
  rootOf,
  sshsigBy,
  utf8,
} from '../foreign.ts';
import { newKey, offer, rootKey, signedState, trusted } from '../world.ts';

const key = newKey();
const p256 = newP256Key();
const plain = new Uint8Array(sign(null, MESSAGE, key.secret));
const ecdsa = new Uint8Array(sign('sha256', MESSAGE, p256.secret));
const sshsig = sshsigBy(key);
const minisig = minisigBy(key);
const old = minisigBy(key, { algorithm: 'Ed', over: MESSAGE });
const base64 = (sig: Uint8Array) => Buffer.from(sig).toString('base64');
const armoured = `-----BEGIN SSH SIGNATURE-----\n${base64(sshsig).replace(/.{70}/g, '$&\n')}\n-----END SSH SIGNATURE-----\n`;
const signify = `untrusted comment: verify with plant.pub\n${base64(bytes(utf8('Ed'), new Uint8Array(8), plain))}\n`;
const signed = envelopeOf([]);
const text = (file: Uint8Array) => new TextDecoder().decode(file);

describe('is read', () => {
  for (const [what, file, from, sig] of [
    ['64 bytes by openssl', plain, 'plain', plain],
    ['DER by openssl', ecdsa, 'plain', ecdsa],
    ['base64 of DER by cosign', `${base64(ecdsa)}\n`, 'plain', ecdsa],
    ['base64 of 64 bytes', base64(plain), 'plain', plain],
    ['armour by ssh-keygen', armoured, 'SSHSIG', sshsig],
    ['armour with CR', armoured.replaceAll('\n', '\r\n'), 'SSHSIG', sshsig],
    ['SSHSIG without armour', sshsig, 'SSHSIG', sshsig],
    ['minisign', minisig, 'minisign', minisig],
    ['minisign with CR', text(minisig).replaceAll('\n', '\r\n'), 'minisign', minisig],
    ['minisign without its last line break', text(minisig).trimEnd(), 'minisign', minisig],
    ['signify', signify, 'signify', plain],
    [
      'a DSSE envelope',
      writeEnvelope({ ...signed, signatures: [{ keyid: 'x', sig: plain }] }),
      'DSSE',
      plain,
    ],
  ] as readonly (readonly [string, string | Uint8Array, string, Uint8Array])[]) {
    test(`${what}: ${from}`, () => {
      const read = readSignatureFile(typeof file === 'string' ? utf8(file) : file, signed);
      if (!read.ok) throw new Error(read.fault.message);
      expect([read.value.from as string, ...read.value.sigs]).toEqual([from, sig]);
      expect(read.value.holdsFor(rawOf(key))).toBe(true);
    });
  }
  test('minisign’s old form comes down to 64 bytes that count for a pure key', () => {
    const read = readSignatureFile(old, signed);
    if (!read.ok) throw new Error(read.fault.message);
    expect(read.value.from).toBe('minisign, old form');
    expect(read.value.holdsFor(rawOf(key))).toBe(true);
    const device = trusted({ root: rootOf([rootKey(key)]) });
    expect(verifyStatement(offer(envelopeOf(read.value.sigs)), device).kind).toBe('accept');
  });
});

test('S19: the old form with an altered trusted comment holds for no key', () => {
  const read = readSignatureFile(utf8(text(old).replace('file:', 'life:')), signed);
  expect(read.ok && read.value.holdsFor(rawOf(key))).toBe(false);
  expect(read.ok && read.value.holdsFor(new Uint8Array(32))).toBe(false);
});

describe('S17: a signature about something else is not taken for one of this', () => {
  const bundle = (parts: object) =>
    utf8(JSON.stringify({ mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json', ...parts }));
  const messageDigest = { algorithm: 'SHA2_256', digest: base64(new Uint8Array(32)) };
  const messageSignature = { messageDigest, signature: base64(ecdsa) };
  const inToto = {
    payloadType: 'application/vnd.in-toto+json',
    payload: utf8('{"subject":[{"digest":{"sha256":"00"}}]}'),
    signatures: [{ keyid: '', sig: plain }],
  };
  for (const [what, file, code] of [
    ['a Sigstore bundle with another digest', bundle({ messageSignature }), 'format.envelope'],
    [
      'a Sigstore bundle around an envelope',
      bundle({ dsseEnvelope: { payload: '' } }),
      'format.envelope',
    ],
    ['an in-toto envelope for another artifact', writeEnvelope(inToto), 'format.signature'],
    [
      'an envelope of another statement',
      writeEnvelope(signedState({ sequence: 59n }, [key])),
      'format.signature',
    ],
    [
      'an envelope of another type',
      writeEnvelope(envelopeOf([plain], 'application/vnd.holdfast.root.v1+protobuf')),
      'format.signature',
    ],
  ] as const) {
    test(`${what}: ${code}`, () => {
      const read = readSignatureFile(file, signed);
      expect(!read.ok && read.fault.code).toBe(code);
    });
  }
  const device = trusted({ root: rootOf([rootKey(key)]) });
  const judged = (file: Parameters<typeof offer>[0]) => {
    const verdict = verifyStatement(offer(file), device);
    return verdict.kind === 'refused' ? verdict.fault.code : verdict.kind;
  };
  test('offered to a device as the statement: format.envelope, trust.payload-type', () => {
    expect(judged(bundle({ messageSignature }))).toBe('format.envelope');
    expect(judged(inToto)).toBe('trust.payload-type');
  });
  test('offered to a device as a signature: trust.threshold', () => {
    expect(judged(envelopeOf([bundle({ messageSignature }), writeEnvelope(inToto)]))).toBe(
      'trust.threshold',
    );
  });
});

describe('is refused', () => {
  for (const [what, file] of [
    ['nothing', new Uint8Array()],
    ['63 bytes', new Uint8Array(63).fill(1)],
    ['65 bytes', new Uint8Array(65).fill(1)],
    ['base64 for URLs', utf8(base64(ecdsa).replaceAll(/[+/A]/g, '_'))],
    ['PGP', utf8('-----BEGIN PGP SIGNATURE-----\n\nAAAAAAAA\n-----END PGP SIGNATURE-----\n')],
    ['a signify file with its message', utf8(`${signify}hello\n`)],
    ['a signify file that says ED', utf8(signify.replace('RWQ', 'RUQ'))],
    ['damaged armour', utf8(armoured.replace('U1NIU0lH', 'U1NIU0l'))],
    ['8 KiB of text', utf8('a'.repeat(8_192))],
  ] as const) {
    test(`${what}: format.signature`, () => {
      const read = readSignatureFile(file, signed);
      expect(!read.ok && read.fault.code).toBe('format.signature');
    });
  }
  test('any bytes after any beginning, without a throw', () => {
    const starts = [
      '',
      '0',
      '{',
      'SSHSIG',
      '-----BEGIN SSH SIGNATURE-----\n',
      'untrusted comment: x\n',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 300 }), (start, rest) => {
        const file = bytes(utf8(start), rest);
        readSignatureFile(file, signed);
        readForm(file);
        return true;
      }),
      { numRuns: 500 },
    );
  });
});

test('S21: at most 16 verifications, whatever forms an envelope mixes', () => {
  const keys = Array.from({ length: 20 }, newKey);
  const records = keys.map((one, i) =>
    rootKey(one, { scheme: i % 2 === 0 ? 'ed25519-blake2b512' : 'ed25519' }),
  );
  // signed by keys of the role over something else, so that every one is worth a verification
  const sigs = keys
    .slice(0, 16)
    .map((one, i) =>
      i % 2 === 0
        ? minisigBy(one, { signedComment: 'another' })
        : sshsigBy(one, { message: utf8('another') }),
    );
  const verdict = verifyStatement(offer(envelopeOf(sigs)), trusted({ root: rootOf(records, 20) }));
  const told = verdict.checks.find(({ number }) => number === 9)?.compared ?? '';
  expect(told).toMatch(/^16 verifications, 0 good/);
});
