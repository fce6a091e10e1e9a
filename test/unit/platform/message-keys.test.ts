/** Keys that sign requests: what is made here, what other tools made, and what is none. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageAlgorithm } from '#platform/message-keys.ts';
import { certificateOf } from '#platform/node/certificates.ts';
import { systemMessageKeys } from '#platform/node/message-keys.ts';
import { codeOf, value } from '../../support/store.ts';

const keys = systemMessageKeys();
const message = Buffer.from('"@method": GET');
const at = Date.UTC(2026, 10, 1);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-message-keys-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A self-signed certificate with its key, by openssl. */
function made(name: string, ...kind: readonly string[]) {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  const flags = ['-nodes', '-keyout', key, '-out', cert, '-subj', `/CN=${name}`, '-days', '30'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...flags], { stdio: 'ignore' });
  return { certificate: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}
const ec = (curve: string): string[] => ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${curve}`];

describe('a key that is made here', () => {
  const pair = keys.make('press-42', at);
  const parsed = new X509Certificate(pair.certificate);

  test('is P-256, and its certificate is its own, of no CA, without an end', () => {
    expect(parsed.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    expect(parsed.verify(parsed.publicKey)).toBe(true);
    const read = certificateOf(pair.certificate);
    expect(read).toMatchObject({
      ...{ ca: false, unknownCritical: [], notBefore: at, subject: 'CN=press-42' },
      keyUsage: { digitalSignature: true, keyCertSign: false },
    });
    expect(new Date(parsed.validTo).getUTCFullYear()).toBe(9999);
  });

  test('openssl takes it as well', () => {
    const said = execFileSync('openssl', ['x509', '-noout', '-text'], { input: pair.certificate });
    expect(said.toString()).toContain('Digital Signature');
    const ends = ['x509', '-noout', '-checkend', '0'];
    expect(execFileSync('openssl', ends, { input: pair.certificate }).toString()).toContain('not');
  });

  test('signs what its certificate proves, r and s beside each other, under the hash of its key', () => {
    const signer = value(keys.signer(pair));
    const signature = signer.sign(message);
    expect(signature.length).toBe(64);
    const verifier = keys.verifier(signer.certificate);
    expect(verifier?.verify('ecdsa-p256-sha256', message, signature)).toBe(true);
    expect(verifier?.verify('ecdsa-p256-sha256', Buffer.from('other'), signature)).toBe(false);
    const spki = parsed.publicKey.export({ type: 'spki', format: 'der' });
    expect(signer.keyid).toBe(createHash('sha256').update(spki).digest('hex'));
  });

  test('two are two', () => {
    expect(keys.make('press-42', at).key).not.toBe(pair.key);
  });
});

describe('keys of other tools', () => {
  for (const [name, kind, algorithms] of [
    ['p384', ec('P-384'), ['ecdsa-p384-sha384']],
    ['rsa', ['-newkey', 'rsa:2048'], ['rsa-v1_5-sha256', 'rsa-pss-sha256']],
  ] as const) {
    test(`${name}: ${algorithms.join(', ')}`, () => {
      const signer = value(keys.signer(made(name, ...kind)));
      const verifier = keys.verifier(signer.certificate);
      expect(verifier?.algorithms).toEqual(algorithms as readonly MessageAlgorithm[]);
      const signature = signer.sign(message);
      expect(verifier?.verify(algorithms[0], message, signature)).toBe(true);
      expect(verifier?.verify('ecdsa-p256-sha256', message, signature)).toBe(false);
    });
  }

  test('a short RSA key, Ed25519 and another curve are none', () => {
    for (const kind of [['-newkey', 'rsa:1024'], ['-newkey', 'ed25519'], ec('secp256k1')]) {
      const pair = made('none', ...kind);
      expect(codeOf(keys.signer(pair))).toBe('margo.signing-key');
      expect(keys.verifier(new Uint8Array(new X509Certificate(pair.certificate).raw))).toBeNull();
    }
  });

  test('a key of another certificate, no PEM, and bytes behind a certificate are refused', () => {
    const [one, other] = [keys.make('a', at), keys.make('b', at)];
    expect(codeOf(keys.signer({ ...one, key: other.key }))).toBe('margo.signing-key');
    expect(codeOf(keys.signer({ ...one, key: 'x' }))).toBe('margo.signing-key');
    expect(codeOf(keys.signer({ ...one, certificate: '' }))).toBe('margo.signing-key');
    const raw = new Uint8Array(new X509Certificate(one.certificate).raw);
    expect(keys.verifier(raw)).not.toBeNull();
    expect(keys.verifier(Buffer.concat([raw, Buffer.from([0])]))).toBeNull();
    expect(keys.verifier(raw.subarray(1))).toBeNull();
    expect(keys.verifier(new Uint8Array(20_000))).toBeNull();
  });
});

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../../shared');
const SIGNING = join(SHARED, 'margo/examples/signing');
const present = existsSync(join(SIGNING, 'cases.json'));

describe.skipIf(!present)(`Margo's examples${present ? '' : ' (skipped: none here)'}`, () => {
  interface Case {
    readonly name: string;
    readonly key: string;
    readonly alg: MessageAlgorithm;
    readonly headers: Readonly<Record<string, string>>;
    readonly signatureBaseFile?: string;
    readonly expect: string;
  }
  const cases: readonly Case[] = present
    ? JSON.parse(readFileSync(join(SIGNING, 'cases.json'), 'utf8'))
    : [];
  const file = (name: string): string => readFileSync(join(SIGNING, name), 'utf8');
  for (const one of cases.filter(
    ({ expect: wanted, name }) => wanted === 'accept' || name === 'der-signature',
  )) {
    test(`${one.name}: ${one.expect}`, () => {
      const pem = one.key.includes('rsa')
        ? selfSigned(file(`${one.key}.key.pem`))
        : file(`${one.key}.crt.pem`);
      const verifier = keys.verifier(new Uint8Array(new X509Certificate(pem).raw));
      const [, encoded = ''] = /:(.*):/.exec(one.headers.Signature ?? '') ?? [];
      const base = Buffer.from(file(one.signatureBaseFile ?? ''));
      const proven = verifier?.verify(one.alg, base, Buffer.from(encoded, 'base64'));
      expect(proven).toBe(one.expect === 'accept');
    });
  }

  function selfSigned(key: string): string {
    const flags = ['req', '-x509', '-key', '/dev/stdin', '-subj', '/CN=rsa', '-days', '30'];
    return execFileSync('openssl', flags, {
      input: key,
      stdio: ['pipe', 'pipe', 'ignore'],
    }).toString();
  }
});
