/** HTTP message signatures: the vectors of RFC 9421, our own fixture, Margo's examples, and what is no signature. */
import { describe, expect, test } from 'bun:test';
import { createPublicKey, verify } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  componentsOf,
  contentDigest,
  coveredBy,
  fitsContentDigest,
  readSignatures,
  signatureBase,
  signatureFields,
  signatureParams,
} from '#wire/http-signature.ts';

const text = (bytes: Uint8Array | null): string => Buffer.from(bytes ?? []).toString();

/** The request of RFC 9421 appendix B.2 ("test-request"). */
const REQUEST = {
  method: 'POST',
  url: 'https://example.com/foo?param=Value&Pet=dog',
  headers: {
    date: 'Tue, 20 Apr 2021 02:07:55 GMT',
    'content-type': 'application/json',
    'content-length': '18',
  },
};
/** The keys of its appendix B.1: 1.3 test-key-ecc-p256, 1.4 test-key-ed25519. */
const P256 = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----`;
const ED25519 = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----`;

describe('the vectors of RFC 9421', () => {
  test('B.2.4: a response under ecdsa-p256-sha256, its values as given', () => {
    const headers = {
      'signature-input':
        'sig-b24=("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"',
      signature:
        'sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==:',
    };
    const values: Readonly<Record<string, string>> = {
      '@status': '200',
      'content-type': 'application/json',
      'content-digest':
        'sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:',
      'content-length': '23',
    };
    const [found] = readSignatures(headers) ?? [];
    expect(found?.created).toBe(1_618_884_473);
    const base = signatureBase(found!.covered, found!.params, (name) => values[name] ?? null);
    const key = { key: createPublicKey(P256), dsaEncoding: 'ieee-p1363' } as const;
    expect(verify('sha256', base!, key, found!.signature)).toBe(true);
  });

  test('B.2.6: a request, its components taken from the message', () => {
    const headers = {
      ...REQUEST.headers,
      'signature-input':
        'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      signature:
        'sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:',
    };
    const [found] = readSignatures(headers) ?? [];
    const base = signatureBase(
      found!.covered,
      found!.params,
      componentsOf({ ...REQUEST, headers }),
    );
    expect(verify(null, base!, createPublicKey(ED25519), found!.signature)).toBe(true);
  });

  test('2.2: derived components', () => {
    const of = componentsOf({ ...REQUEST, url: 'https://www.Example.com:443/path?param=value' });
    expect(
      ['@authority', '@scheme', '@request-target', '@path', '@query'].map((name) => of(name)),
    ).toEqual(['www.example.com', 'https', '/path?param=value', '/path', '?param=value']);
    expect(componentsOf({ ...REQUEST, url: 'https://a.example/p' })('@query')).toBe('?');
    expect([of('@status'), of('@query-param'), of('missing')]).toEqual([null, null, null]);
  });
});

describe('what a client of Margo signs', () => {
  const parameters = { created: 1_795_435_200, keyid: 'ab', algorithm: 'ecdsa-p256-sha256' };

  test('four components with a body, three without', () => {
    expect(coveredBy(false)).toEqual(['@method', '@target-uri', '@authority']);
    expect(signatureParams(coveredBy(true), parameters)).toBe(
      '("@method" "@target-uri" "@authority" "content-digest");created=1795435200;keyid="ab";alg="ecdsa-p256-sha256"',
    );
  });

  test('is read back as it was written', () => {
    const params = signatureParams(coveredBy(true), parameters);
    const [found] = readSignatures(signatureFields(params, Uint8Array.of(1, 2, 3))) ?? [];
    expect(found).toMatchObject({ params, covered: coveredBy(true), created: parameters.created });
    expect([...(found?.signature ?? [])]).toEqual([1, 2, 3]);
  });

  test('the digest of RFC 9530 covers every byte', () => {
    const body = Buffer.from('{"hello": "world"}\n');
    const header = contentDigest(body);
    expect(header).toBe('sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:');
    expect(fitsContentDigest(header, body)).toBe(true);
    expect(fitsContentDigest(`sha-512=:AAAA:, ${header}`, body)).toBe(true);
    expect(fitsContentDigest(header, Buffer.from('{"hello": "world"}'))).toBe(false);
    for (const none of ['', 'sha-256=abc', 'sha-512=:AAAA:', `${header},`, 'md5=:AA==:']) {
      expect(fitsContentDigest(none, body)).toBe(false);
    }
  });
});

describe('what is no signature', () => {
  const input = 'sig1=("@method");created=1';
  const signature = 'sig1=:AAAA:';
  for (const [what, headers] of [
    ['neither field', {}],
    ['no value for the label', { 'signature-input': input, signature: 'sig2=:AAAA:' }],
    ['a value that is no bytes', { 'signature-input': input, signature: 'sig1="AAAA"' }],
    ['a component with a parameter', { 'signature-input': 'sig1=("date";sf)', signature }],
    ['no list', { 'signature-input': 'sig1="x"', signature }],
    ['a label twice', { 'signature-input': `${input}, ${input}`, signature }],
    ['created as text', { 'signature-input': 'sig1=("date");created="1"', signature }],
    ['created as a fraction', { 'signature-input': 'sig1=("date");created=1.5', signature }],
    ['a list that does not end', { 'signature-input': 'sig1=("date"', signature }],
    ['something behind it', { 'signature-input': `${input} x`, signature }],
    [
      'ten thousand characters',
      { 'signature-input': `${input};a="${'x'.repeat(9_999)}"`, signature },
    ],
    [
      'five of them',
      {
        'signature-input': [1, 2, 3, 4, 5].map((n) => `s${n}=("date")`).join(', '),
        signature: [1, 2, 3, 4, 5].map((n) => `s${n}=:AAAA:`).join(', '),
      },
    ],
  ] as const) {
    test(what, () => expect(readSignatures(headers)).toBeNull());
  }

  test('nor a base: a component twice, one that is missing, a line end in a value', () => {
    const of = (value: string | null) => () => value;
    expect(signatureBase(['date', 'date'], '', of('x'))).toBeNull();
    expect(signatureBase(['date'], '', of(null))).toBeNull();
    expect(signatureBase(['date'], '', of('a\n"@method": GET'))).toBeNull();
  });
});

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../../shared');
const SIGNING = join(SHARED, 'margo/examples/signing');
const present = existsSync(join(SIGNING, 'cases.json'));

interface Case {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signatureBaseFile?: string;
  readonly expect: string;
}

describe.skipIf(!present)(`Margo's examples${present ? '' : ' (skipped: none here)'}`, () => {
  const cases: readonly Case[] = present
    ? JSON.parse(readFileSync(join(SIGNING, 'cases.json'), 'utf8'))
    : [];
  for (const of of cases.filter((one) => one.expect === 'accept')) {
    test(`${of.name}: the base, byte for byte`, () => {
      const named = Object.entries(of.headers).map(([name, value]) => [name.toLowerCase(), value]);
      const message = { method: of.method, url: of.url, headers: Object.fromEntries(named) };
      const [found] = readSignatures(message.headers) ?? [];
      const base = signatureBase(found!.covered, found!.params, componentsOf(message));
      expect(text(base)).toBe(readFileSync(join(SIGNING, of.signatureBaseFile ?? ''), 'utf8'));
    });
  }
});
