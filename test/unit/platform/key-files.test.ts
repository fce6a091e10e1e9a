/** Keys in files, in both directions with the openssl command. */
import { afterAll, describe, expect, test } from 'bun:test';
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from '#errors/fault.ts';
import { systemKeyFiles } from '#platform/node/key-files.ts';

const keys = systemKeyFiles();
const folder = mkdtempSync(join(tmpdir(), 'holdfast-keys-'));
const haveOpenssl = spawnSync('openssl', ['version']).status === 0;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const message = new TextEncoder().encode('message');
const reason = (result: Result<unknown>): string =>
  result.ok ? 'ok' : `${result.fault.code} ${result.fault.message}`;
function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.fault.message);
  return result.value;
}
function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

describe('a generated key', () => {
  for (const passphrase of [null, 'correct horse', 'pässwörter 鍵']) {
    test(`with passphrase ${passphrase}: signs what its public key verifies`, async () => {
      const made = keys.generate(passphrase);
      const signer = must(keys.load(made.privatePem, passphrase));
      const signature = must(await signer.sign(message));
      expect(signature.length).toBe(64);
      expect(verify(null, message, made.publicPem, signature)).toBe(true);
      expect(must(keys.publicDer(made.publicPem))).toEqual(signer.publicKey);
      expect(keys.publicPem(signer.publicKey)).toBe(made.publicPem);
    });
  }

  test('does not open with another passphrase, nor with none', () => {
    const { privatePem } = keys.generate('right');
    expect(reason(keys.load(privatePem, 'wrong'))).toContain('the passphrase is wrong');
    expect(reason(keys.load(privatePem, ''))).toStartWith('config.key');
    expect(reason(keys.load(privatePem, null))).toContain('no passphrase was given');
  });

  test.skipIf(!haveOpenssl)(
    'is read by openssl pkey, as PBES2 with 600,000 rounds (needs openssl)',
    () => {
      const { privatePem, publicPem } = keys.generate('secret');
      const path = file('sealed.pem', privatePem);
      const args = ['pkey', '-in', path, '-passin', 'pass:secret', '-pubout'];
      expect(execFileSync('openssl', args, { encoding: 'utf8' })).toBe(publicPem);
      const parsed = execFileSync('openssl', ['asn1parse', '-in', path], { encoding: 'utf8' });
      expect(parsed).toContain('PBES2');
      expect(parsed).toContain('hmacWithSHA256');
      expect(parsed).toContain('aes-256-cbc');
      expect(parsed).toContain(':0927C0'); // 600,000
    },
  );

  test.skipIf(!haveOpenssl)('a key made and sealed by openssl is read here (needs openssl)', () => {
    const path = join(folder, 'openssl.pem');
    const args = ['genpkey', '-algorithm', 'ed25519', '-aes-256-cbc', '-pass', 'pass:secret'];
    execFileSync('openssl', [...args, '-out', path]);
    const pem = execFileSync('cat', [path], { encoding: 'utf8' });
    expect(must(keys.load(pem, 'secret')).publicKey.length).toBe(44);
  });
});

describe('what is no Ed25519 private key', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
  const spki = { type: 'spki', format: 'pem' } as const;
  const own = keys.generate(null);

  for (const [name, pem, words] of [
    ['P-256', ec.privateKey.export(pkcs8).toString(), 'its type is ec'],
    ['a public key', own.publicPem, 'not a PKCS#8 private key'],
    ['text', 'hello', 'not PEM'],
    ['two keys', own.privatePem + own.privatePem, 'not PEM'],
    ['a damaged one', own.privatePem.replace(/MC4/, 'MC5'), 'damaged'],
    ['an endless one', `-----BEGIN PRIVATE KEY-----\n${'A'.repeat(100_000)}`, 'not PEM'],
  ] as const) {
    test(`${name} is config.key`, () => {
      expect(reason(keys.load(pem, null))).toStartWith('config.key');
      expect(reason(keys.load(pem, null))).toContain(words);
    });
  }

  test('a private key is not taken for a public one (P13)', () => {
    expect(reason(keys.publicDer(own.privatePem))).toContain('not a public key');
  });

  test('bytes after the public key are refused (P13)', () => {
    const der = Buffer.concat([must(keys.publicDer(own.publicPem)), Buffer.from([0])]);
    expect(reason(keys.publicDer(keys.publicPem(der)))).toStartWith('config.key');
  });

  test('P-256 public keys are read, RSA ones are not', () => {
    expect(reason(keys.publicDer(ec.publicKey.export(spki).toString()))).toBe('ok');
    expect(reason(keys.publicDer(rsa.publicKey.export(spki).toString()))).toContain('rsa');
  });
});
