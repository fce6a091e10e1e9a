/** Secrets of the owner's, and the text of peers: neither spoils a message. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printable } from '#link/printable.ts';
import { readSecret } from '#link/secret.ts';
import { systemFiles } from '#platform/node/files.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-secret-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('a secret in a file', () => {
  for (const [content, expected] of [
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    ['pass word', 'pass word'],
    ['', 'config.secret'],
    ['\n', 'config.secret'],
    ['a\nb\n', 'config.secret'],
    ['a\0b', 'config.secret'],
    [new Uint8Array([0xff, 0xfe]), 'config.secret'],
  ] as const) {
    test(`${JSON.stringify(content)}: ${expected}`, () => {
      const file = join(folder, 'secret');
      writeFileSync(file, content);
      const secret = readSecret(systemFiles(), file);
      expect(secret.ok ? secret.value : secret.fault.code).toBe(expected);
    });
  }

  test('a file that is not there says so', () => {
    const secret = readSecret(systemFiles(), join(folder, 'missing'));
    expect(!secret.ok && secret.fault.code).toBe('platform.missing');
  });
});

test('the text of a peer is one line of printable characters', () => {
  expect(printable('a\x1b[31mb\r\nc\u202ed\u2028e\u200b')).toBe('a [31mb c d e');
  expect(printable('x'.repeat(300))).toHaveLength(201);
});
