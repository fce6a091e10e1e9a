/** P13: foreign public keys come down to one SPKI and one scheme, or to format.public-key. */
import { describe, expect, test } from 'bun:test';
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { readForeignKey } from '#trust/formats/public-key.ts';
import { bytes, newP256Key, rawOf, SK, utf8 } from '../foreign.ts';
import { vectorFile } from '../vectors.ts';
import { newKey, type TestKey } from '../world.ts';

const ed25519 = newKey();
const p256 = newP256Key();
const pem = (der: Uint8Array, label = 'PUBLIC KEY') =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()}\n-----END ${label}-----\n`;
const string = (value: string | Uint8Array) => {
  const body = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
};
const ssh = (type: string, ...parts: readonly (string | Uint8Array)[]) =>
  `${type} ${Buffer.concat([type, ...parts].map(string)).toString('base64')} ops@plant\n`;
const signify = (comment: string, key: Uint8Array, algorithm = 'Ed') =>
  `untrusted comment: ${comment}\n${Buffer.concat([Buffer.from(algorithm), Buffer.alloc(8, 7), key]).toString('base64')}\n`;
const raw = rawOf(ed25519);
const plain = ssh('ssh-ed25519', raw);

describe('is read', () => {
  for (const [what, file, from, scheme, key] of [
    ['SPKI PEM, Ed25519', pem(ed25519.spki), 'SPKI', 'ed25519', ed25519],
    ['SPKI PEM, P-256', pem(p256.spki), 'SPKI', 'ecdsa-p256-sha256', p256],
    [
      'SPKI PEM with CR',
      pem(p256.spki).replaceAll('\n', '\r\n'),
      'SPKI',
      'ecdsa-p256-sha256',
      p256,
    ],
    ['SPKI DER', ed25519.spki, 'SPKI', 'ed25519', ed25519],
    ['an OpenSSH line', plain, 'OpenSSH', 'ed25519', ed25519],
    ['one without a comment', plain.replace(' ops@plant\n', ''), 'OpenSSH', 'ed25519', ed25519],
    ['an authenticator’s line', ssh(SK, raw, 'ssh:'), 'OpenSSH, FIDO', 'ed25519', ed25519],
    [
      'minisign’s file',
      signify('minisign public key 0707070707070707', raw),
      'minisign',
      'ed25519-blake2b512',
      ed25519,
    ],
    ['signify’s file', signify('plant public key', raw), 'signify', 'ed25519', ed25519],
  ] as readonly (readonly [string, string | Uint8Array, string, string, TestKey])[]) {
    test(`${what}: ${scheme}`, () => {
      const read = readForeignKey(typeof file === 'string' ? utf8(file) : file);
      if (!read.ok) throw new Error(read.fault.message);
      expect([read.value.from, read.value.scheme] as string[]).toEqual([from, scheme]);
      expect(read.value.spki).toEqual(key.spki);
    });
  }
});

const der = (type: 'rsa' | 'x25519' | 'ed448') => {
  const { publicKey } =
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 1024 })
      : generateKeyPairSync('x25519');
  return new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }));
};
const pkcs8 = new Uint8Array(ed25519.secret.export({ format: 'der', type: 'pkcs8' }));
describe('P13: is refused', () => {
  for (const [what, file] of [
    ['another OID: X25519', pem(der('x25519'))],
    ['RSA', pem(der('rsa'))],
    ['a byte more in the DER', pem(bytes(ed25519.spki, Uint8Array.of(0)))],
    ['PKCS#8 as PEM', pem(pkcs8, 'PRIVATE KEY')],
    ['PKCS#8 under the label of a public key', pem(pkcs8)],
    ['PKCS#8 as DER', pkcs8],
    ['an OpenSSH private key', pem(pkcs8, 'OPENSSH PRIVATE KEY')],
    ['a certificate', pem(ed25519.spki, 'CERTIFICATE')],
    ['two PEM blocks', pem(ed25519.spki) + pem(p256.spki)],
    ['text before the PEM', `hello\n${pem(ed25519.spki)}`],
    ['a weak key', pem(bytes(ed25519.spki.slice(0, 12), new Uint8Array(32)))],
    [
      'a P-256 point off the curve',
      pem(bytes(p256.spki.slice(0, -1), Uint8Array.of((p256.spki.at(-1) ?? 0) ^ 1))),
    ],
    ['ssh-rsa', ssh('ssh-rsa', Uint8Array.of(1, 0, 1), raw)],
    ['ecdsa by ssh', ssh('ecdsa-sha2-nistp256', 'nistp256', raw)],
    ['an OpenSSH key of 31 bytes', ssh('ssh-ed25519', raw.slice(1))],
    ['bytes behind an OpenSSH key', ssh('ssh-ed25519', raw, 'more')],
    ['an authenticator’s key for a web site', ssh(SK, raw, 'https://example.com')],
    ['an authenticator’s key without an application', ssh(SK, raw)],
    ['a line that names another type than its key', plain.replace('ssh-ed25519', SK)],
    ['options before the key', `no-pty ${plain}`],
    ['two lines', plain + plain],
    ['a prehashed algorithm in a key file', signify('minisign public key', raw, 'ED')],
    ['a signify key of 33 bytes', signify('x', bytes(raw, Uint8Array.of(0)))],
    [
      'minisign’s secret key',
      `untrusted comment: minisign encrypted secret key\n${Buffer.alloc(158).toString('base64')}\n`,
    ],
    ['nothing', ''],
    ['8 KiB', 'x'.repeat(8_192)],
  ] as readonly (readonly [string, string | Uint8Array])[]) {
    test(`${what}: format.public-key`, () => {
      const read = readForeignKey(typeof file === 'string' ? utf8(file) : file);
      expect(!read.ok && read.fault.code).toBe('format.public-key');
    });
  }
  test('any bytes, without a throw', () => {
    const starts = ['', '0', 'ssh-ed25519 ', '-----BEGIN PUBLIC KEY-----\n', 'untrusted comment: '];
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 200 }), (start, rest) => {
        return !readForeignKey(bytes(utf8(start), rest)).ok;
      }),
      { numRuns: 500 },
    );
  });
});

for (const [name, from] of [
  ['openssl.pub.pem', 'SPKI'],
  ['ssh.key.pub', 'OpenSSH'],
  ['minisign.pub', 'minisign'],
  ['signify.pub', 'signify'],
] as const) {
  const file = vectorFile(`interop/${name}`);
  if (file) {
    test(`the interop key ${name} is read as ${from}`, () => {
      const read = readForeignKey(file);
      expect(read.ok && read.value.from).toBe(from);
    });
  } else test.skip(`the interop key ${name} is not here (HOLDFAST_VECTORS)`, () => {});
}
