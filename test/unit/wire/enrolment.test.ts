/** Requests, answers and tokens of enrolment: what comes back, and what is no such thing. */
import { describe, expect, test } from 'bun:test';
import type { EnrolmentAnswer, EnrolmentRequest } from '#state/enrolment.ts';
import { fingerprintGroups, fingerprintWords, isFingerprintOf } from '#state/enrolment.ts';
import type { Status } from '#state/status.ts';
import {
  readEnrolmentAnswer,
  readEnrolmentRequest,
  readEnrolmentToken,
  writeEnrolmentAnswer,
  writeEnrolmentRequest,
  writeEnrolmentToken,
} from '#wire/enrolment.ts';
import { readStatus, writeStatus } from '#wire/status.ts';
import { issued, request, token } from '../../fuzz/enrolment.ts';

const told = issued as Extract<EnrolmentAnswer, { kind: 'issued' }>;

describe('a request', () => {
  test('comes back as it was', () => {
    expect(readEnrolmentRequest(writeEnrolmentRequest(request))).toEqual({
      ok: true,
      value: request,
    });
  });

  const bad: readonly (readonly [string, Partial<EnrolmentRequest>])[] = [
    ['a name that is no device id', { deviceId: '../../etc' }],
    ['a nonce of another length', { nonce: new Uint8Array(39) }],
    ['a certificate without a request for one', { csr: new Uint8Array() }],
    ['a token kind with a request for a certificate', { kind: 'token' }],
    ['a label with a line break', { labels: { site: 'a\nb' } }],
    [
      'a hundred labels',
      { labels: Object.fromEntries([...Array(100).keys()].map((n) => [`k${n}`, ''])) },
    ],
    ['a certificate request of 5 KiB', { csr: new Uint8Array(5_000) }],
  ];
  test.each(bad)('with %s is format.message', (_what, change) => {
    const read = readEnrolmentRequest(writeEnrolmentRequest({ ...request, ...change }));
    expect(read.ok ? '' : read.fault.code).toBe('format.message');
  });
});

describe('an answer', () => {
  test('comes back as it was', () => {
    for (const answer of [told, { kind: 'pending' } as const]) {
      expect(readEnrolmentAnswer(writeEnrolmentAnswer(answer))).toEqual({
        ok: true,
        value: answer,
      });
    }
  });

  const bad: readonly (readonly [string, Partial<typeof told>])[] = [
    ['an address with a password', { registry: 'https://a:b@hub.example/p' }],
    ['an address of another scheme', { mqtt: 'file:///etc/passwd' }],
    ['an address that breaks out of YAML', { registry: 'https://hub/p\nkind: Other' }],
    ['a secret beside a certificate', { secret: 'x' }],
    ['a channel that is none', { channel: '../x' }],
  ];
  test.each(bad)('with %s is format.message', (_what, change) => {
    const read = readEnrolmentAnswer(writeEnrolmentAnswer({ ...told, ...change }));
    expect(read.ok ? '' : read.fault.code).toBe('format.message');
  });
});

describe('a token', () => {
  const text = writeEnrolmentToken(token);

  test('comes back from its line, with the line break of a file', () => {
    expect(readEnrolmentToken(`${text}\n`)).toEqual({ ok: true, value: token });
  });

  test('with a character too few, too many or another one at its end is enroll.token', () => {
    for (const wrong of [
      text.slice(0, -1),
      `${text}A`,
      `${text}=`,
      text.slice(5),
      '',
      `x${text}`,
    ]) {
      const read = readEnrolmentToken(wrong);
      expect(read.ok ? wrong : read.fault.code).toBe('enroll.token');
    }
  });

  test('for plain http is enroll.token', () => {
    const read = readEnrolmentToken(writeEnrolmentToken({ ...token, url: 'http://hub.example' }));
    expect(read.ok ? '' : read.fault.code).toBe('enroll.token');
  });
});

describe('a fingerprint', () => {
  const key = new Uint8Array(44).fill(7);

  test('is known by groups, words and the whole digest, in any spelling of people', () => {
    const groups = fingerprintGroups(key);
    for (const text of [
      groups,
      groups.toUpperCase(),
      groups.replaceAll(' ', ':'),
      fingerprintWords(key),
    ]) {
      expect(isFingerprintOf(text, key)).toBe(true);
    }
    expect(isFingerprintOf(groups.slice(0, -1), key)).toBe(false);
    expect(isFingerprintOf(groups, new Uint8Array(44).fill(8))).toBe(false);
  });

  test('words and groups are the same bits', () => {
    const letters = ['bdfghjklmnprstvz', 'aiou'] as const;
    const bitsOf = (word: string) =>
      [...word].reduce((bits, letter, at) => {
        const set = letters[at % 2] ?? '';
        return bits * set.length + set.indexOf(letter);
      }, 0);
    const groups = fingerprintWords(key)
      .split('-')
      .map((word) => bitsOf(word).toString(16).padStart(4, '0'));
    expect(groups.join(' ')).toBe(fingerprintGroups(key));
    // 127.0.0.1 in the proposal itself.
    expect(['lusab', 'babad'].map(bitsOf)).toEqual([0x7f00, 0x0001]);
  });
});

test('a status tells the credential in use, and nothing where there is none', () => {
  const status: Status = {
    ...{ fleet: 'ab'.repeat(16), deviceId: 'press-7', boot: 1n, report: 1n, previousReport: null },
    ...{ at: 0, timeGrade: 'estimated', attestedAt: 0, agentVersion: '1', labels: {} },
    ...{ channels: [], events: [], eventsDropped: 0n, rootVersion: 1n, auditHead: null },
    ...{ deviceKey: new Uint8Array(44), sealingKey: new Uint8Array() },
  };
  const credential = { kind: 'certificate', notAfter: 5, fingerprint: token.hub } as const;
  for (const told of [status, { ...status, credential }]) {
    expect(readStatus(writeStatus(told))).toEqual({ ok: true, value: told });
  }
});
