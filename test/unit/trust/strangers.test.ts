/** What a refusal says about keys that do not count (check 8: by their keyids, which decide nothing). */
import { expect, test } from 'bun:test';
import type { Envelope } from '#state/envelope.ts';
import type { Role, Root } from '#state/root.ts';
import { strangers } from '#trust/strangers.ts';

const keyid = (digit: string) => digit.repeat(64);
const role: Role = { name: 'channel.stable', threshold: 1, keyids: [keyid('a')] };
const root = {
  version: 3n,
  keys: [{ keyid: keyid('a') }, { keyid: keyid('b') }],
} as unknown as Root;
const signedBy = (...keyids: readonly string[]): Envelope => ({
  ...{ payloadType: '', payload: new Uint8Array() },
  signatures: keyids.map((id) => ({ keyid: id, sig: new Uint8Array() })),
});

test('a revoked or foreign key and one of another role are told apart', () => {
  expect(strangers(signedBy(keyid('c'), keyid('b'), keyid('a')), root, role)).toEqual([
    'key cccccccc is unknown to root 3: revoked, or of another fleet',
    'key bbbbbbbb is of another role',
  ]);
});

test('what is no keyid is not repeated, and a message names at most three', () => {
  expect(strangers(signedBy('', '\u001b[31m', 'x'.repeat(64)), root, role)).toEqual([]);
  const many = ['1', '2', '3', '4', '5', '1'].map(keyid);
  expect(strangers(signedBy(...many), root, role)).toHaveLength(3);
});
