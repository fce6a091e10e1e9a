/** What is secret does not leave the device in a support file, and what helps stays readable. */
import { describe, expect, test } from 'bun:test';
import { redactor } from '#agent/redact.ts';

const SECRET = 'turbine-7-s3cret!';

describe('a known secret', () => {
  const redact = redactor([`${SECRET}\n`]);
  for (const [how, text] of [
    ['as it is', `said ${SECRET} aloud`],
    ['in base64', `x ${Buffer.from(SECRET).toString('base64')} y`],
    ['in base64url', `x ${Buffer.from(SECRET).toString('base64url')} y`],
    ['in hex', Buffer.from(SECRET).toString('hex')],
    ['in a URL', `https://h/?p=${encodeURIComponent(SECRET)}`],
    ['twice in a word', `${SECRET}${SECRET}`],
  ] as const) {
    test(`is taken out ${how}`, () => {
      const told = redact.text(text);
      expect(told).toContain('«redacted»');
      for (const form of [SECRET, Buffer.from(SECRET).toString('hex'), encodeURIComponent(SECRET)])
        expect(told).not.toContain(form);
      expect(told).not.toContain(Buffer.from(SECRET).toString('base64').slice(0, 12));
    });
  }

  test('of a few letters is taken out where it stands alone, not out of other words', () => {
    const short = redactor(['plc1']);
    expect(short.text('login plc1, host plc12')).toBe('login «redacted», host plc12');
  });

  test('a key file of many lines: none of them is left', () => {
    const line = (letter: string) => letter.repeat(64);
    const pem = `-----BEGIN PRIVATE KEY-----\n${line('A')}\n${line('B')}\n-----END PRIVATE KEY-----\n`;
    const told = redactor([pem]).text(`dump: ${line('B')}\n`);
    expect(told).toBe('dump: «redacted»\n');
  });
});

describe('what looks like a secret', () => {
  const redact = redactor([]);
  for (const text of [
    'connecting to postgres://plc:hunter2@db/plant',
    'Authorization: Bearer abcdef0123456789',
    '{"password": "hunter2 and more"}',
    "db_password='hunter2'",
    'API_KEY=hunter2hunter2',
    'export DB_PASSWD=hunter2',
    'pass: hunter2',
    'eyJhbGciOiJIUzI1NiJ9.eyJodW50ZXIyIjoxfQ.hunter2hunter2',
    '-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----',
    '-----BEGIN RSA PRIVATE KEY-----\nhunter2 and the rest was cut',
    'token: ghp_hunter2hunter2hunter2',
  ]) {
    test(JSON.stringify(text.slice(0, 40)), () => {
      const told = redact.text(text);
      expect(told).toContain('«redacted»');
      expect(told).not.toMatch(/hunter2|abcdef0123456789|eyJhbGci/);
    });
  }

  test('codes, digests, paths, counts and what says that nothing is set stay', () => {
    for (const text of [
      'link.unauthorized: registry wants other credentials: it answered 401',
      'passwordFile: /etc/holdfast/password',
      'tokenFile: "token"',
      'checks passed: 12',
      'stateDigest: sha256:0123456789abcdef',
      'https://registry.example/plant/state',
      'author: somebody',
      'secret: null',
      'tokens: 12',
    ])
      expect(redact.text(text)).toBe(text);
  });

  test('is linear: a megabyte of what begins like one takes no time', () => {
    const started = performance.now();
    for (const part of ['password', 'eyJ', '://a:', '-----BEGIN PRIVATE KEY-----\n', '"a.', 'x'])
      redact.text(part.repeat(Math.ceil(1_000_000 / part.length)));
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
