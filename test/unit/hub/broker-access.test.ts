/** What device A may do at the broker of a hub with TLS: nothing as B. */
import { describe, expect, test } from 'bun:test';
import type { Identity } from '#hub/access.ts';
import { mayConnect, mayPublish, maySubscribe } from '#hub/broker-access.ts';
import type { CredentialRecord } from '#hub/enrolment-records.ts';

const ROOT = 'holdfast/v1/0123456789abcdef0123456789abcdef';
const credential: CredentialRecord = {
  ...{ fingerprint: 'ab'.repeat(32), kind: 'token', issuedAt: 0, notAfter: 1, replacedAt: 0 },
  ...{ proven: true, certificate: '', request: '' },
};
const A: Identity = { kind: 'device', id: 'a', credential };

describe('N23: a device publishes', () => {
  test.each([
    [`${ROOT}/d/a/status`, true],
    [`${ROOT}/d/a/presence`, true],
    [`${ROOT}/d/b/status`, false],
    [`${ROOT}/d/a/nudge`, false],
    [`${ROOT}/c/stable/nudge`, false],
    [`${ROOT}/d/a`, false],
    [`${ROOT}/d/b/d/a/status`, false],
    [`${ROOT}/c/d/a/status`, false],
    ['d/a/status', false],
    ['plant/d/a/status', true],
    ['', false],
  ])('to %s: %p', (topic, may) => expect(mayPublish(A, topic)).toBe(may));
});

describe('N23: a device hears', () => {
  test.each([
    [`${ROOT}/c/stable/nudge`, true],
    [`${ROOT}/c/+/nudge`, true],
    [`${ROOT}/d/a/nudge`, true],
    [`${ROOT}/d/a/#`, true],
    [`${ROOT}/d/b/nudge`, false],
    [`${ROOT}/d/+/status`, false],
    [`${ROOT}/d/#`, false],
    [`${ROOT}/#`, false],
    ['#', false],
    ['+/+/+/d/a/#', false],
    ['+/v1/x/c/stable/nudge', false],
  ])('%s: %p', (filter, may) => expect(maySubscribe(A, filter)).toBe(may));
});

describe('N23: a device is connected as', () => {
  test.each([
    ['holdfast-0123456789abcdef-a', true],
    ['holdfast-doctor-0123456789ab', true],
    ['holdfast-0123456789abcdef-b', false],
    ['holdfast-0123456789abcdef-b-a', false],
    ['a', false],
    ['', false],
  ])('%s: %p', (clientId, may) => expect(mayConnect(A, clientId)).toBe(may));
});
