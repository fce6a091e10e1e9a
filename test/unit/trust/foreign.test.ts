/**
 * Signatures of other tools where they do not belong: instead of an envelope, or in one but over
 * other bytes than DSSE signs. Where they belong is test/unit/trust/formats.
 */
import { describe, expect, test } from 'bun:test';
import { generateKeyPairSync, sign } from 'node:crypto';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { verifyStatement } from '#trust/verify.ts';
import { writeDesiredState } from '#wire/desired-state.ts';
import {
  offer,
  STABLE_KEY,
  signed,
  signedState,
  statement,
  trusted,
  verdictText,
} from './world.ts';

const encoder = new TextEncoder();
const payload = writeDesiredState(statement());
const good = signedState();
const judge = (envelope: Parameters<typeof offer>[0]) =>
  verdictText(verifyStatement(offer(envelope), trusted()));
const withSig = (sig: Uint8Array) => ({
  ...good,
  signatures: [{ keyid: STABLE_KEY.keyid, sig }],
});
const byStable = (message: Uint8Array) => new Uint8Array(sign(null, message, STABLE_KEY.secret));

describe('S18: armour is no envelope', () => {
  test('the armoured text instead of an envelope: refused format.json', () => {
    expect(judge(encoder.encode('-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n'))).toBe(
      'refused format.json',
    );
  });
});

describe('S19: minisign and signify over other bytes than DSSE signs', () => {
  test('over the payload alone: refused trust.threshold', () => {
    expect(judge(withSig(byStable(payload)))).toBe('refused trust.threshold');
  });
  test('with the two letters and the key number before it: refused trust.threshold', () => {
    const line = new Uint8Array([
      ...encoder.encode('Ed'),
      ...new Uint8Array(8),
      ...byStable(payload),
    ]);
    expect(judge(withSig(line))).toBe('refused trust.threshold');
  });
  test('the file instead of an envelope: refused format.json', () => {
    const text = 'untrusted comment: signature\nRUQAAAA=\ntrusted comment: altered\nAAAA\n';
    expect(judge(encoder.encode(text))).toBe('refused format.json');
  });
});

describe('S17: a sigstore bundle is no envelope', () => {
  test('instead of one: refused format.envelope', () => {
    const bundle = {
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      messageSignature: {
        messageDigest: { algorithm: 'SHA2_256', digest: 'AAAA' },
        signature: 'AAAA',
      },
    };
    expect(judge(encoder.encode(JSON.stringify(bundle)))).toBe('refused format.envelope');
  });
  test('in-toto in DSSE, by our own key: refused trust.payload-type', () => {
    const subject = encoder.encode('{"_type":"https://in-toto.io/Statement/v1","subject":[]}');
    expect(judge(signed(subject, [STABLE_KEY], 'application/vnd.in-toto+json'))).toBe(
      'refused trust.payload-type',
    );
  });
});

test('R06: a time statement, by our own key, is no statement of a channel', () => {
  const type = 'application/vnd.holdfast.time.v1+protobuf';
  expect(judge(signed(payload, [STABLE_KEY], type))).toBe('refused trust.payload-type');
});

test('a P-256 signature under an Ed25519 key’s keyid: refused trust.threshold', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const sig = new Uint8Array(sign('sha256', pae(good.payloadType, payload), privateKey));
  expect(judge(withSig(sig))).toBe('refused trust.threshold');
  const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }));
  expect(keyidOf(spki)).not.toBe(STABLE_KEY.keyid);
});
