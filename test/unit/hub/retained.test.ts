/** hub/retained.ts: retained messages survive, share fsyncs, and stay bounded. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { appendFileSync, readFileSync, statSync } from 'node:fs';
import { openRetained } from '#hub/retained.ts';
import { systemClock } from '#platform/node/clock.ts';
import { codeOf, scratch, storePlatform, value } from '../../support/store.ts';

let place: ReturnType<typeof scratch>;
beforeEach(() => {
  place = scratch('retained');
});
afterEach(() => place.remove());

const open = () => value(openRetained(storePlatform.files, place.path, systemClock()));
const texts = (messages: ReadonlyMap<string, Uint8Array>) =>
  Object.fromEntries([...messages].map(([topic, bytes]) => [topic, Buffer.from(bytes).toString()]));

test('the last message of a topic is there after a restart; an empty one clears it', async () => {
  const first = open();
  const puts = [
    first.put('a', Buffer.from('1')),
    first.put('b', Buffer.from('2')),
    first.put('a', Buffer.from('3')),
    first.put('b', new Uint8Array()),
    first.put('ü/\n"', Buffer.from([0, 255])),
  ];
  for (const put of await Promise.all(puts)) expect(put.ok).toBe(true);
  // No close: as if the power had gone.
  const again = open();
  expect(texts(again.messages).a).toBe('3');
  expect(again.messages.has('b')).toBe(false);
  expect(Buffer.from(again.messages.get('ü/\n"') ?? [])).toEqual(Buffer.from([0, 255]));
  again.close();
  first.close();
});

test('what waits is written by close', () => {
  const first = open();
  void first.put('a', Buffer.from('1'));
  first.close();
  const again = open();
  expect(texts(again.messages)).toEqual({ a: '1' });
  again.close();
});

for (const tail of ['["b","Mg', '[]', 'null', '{"a":1}', '["c",3]', '\0\0\0']) {
  test(`a last line of ${JSON.stringify(tail)} is left out`, async () => {
    const first = open();
    await first.put('a', Buffer.from('1'));
    first.close();
    appendFileSync(`${place.path}/retained.jsonl`, tail);
    const again = open();
    expect(texts(again.messages)).toEqual({ a: '1' });
    await again.put('d', Buffer.from('4'));
    again.close();
    const third = open();
    expect(texts(third.messages)).toEqual({ a: '1', d: '4' });
    third.close();
  });
}

describe('bounds', () => {
  test('the file is written anew when most of it is out of date', async () => {
    const first = open();
    const payload = Buffer.alloc(100_000, 1);
    for (let round = 0; round < 40; round += 1) value(await first.put('a', payload));
    expect(statSync(`${place.path}/retained.jsonl`).size).toBeLessThan(2_000_000);
    value(await first.put('b', Buffer.from('x')));
    first.close();
    expect(readFileSync(`${place.path}/retained.jsonl`, 'utf8')).toContain('["b","eA==",');
  });

  test('64 MiB of messages are hub.retained-full; clearing makes room', async () => {
    const retained = open();
    const payload = Buffer.alloc(16 * 1024 * 1024 - 1);
    for (const topic of ['a', 'b', 'c', 'd']) value(await retained.put(topic, payload));
    expect(codeOf(await retained.put('e', payload))).toBe('hub.retained-full');
    value(await retained.put('a', new Uint8Array()));
    value(await retained.put('e', Buffer.from('1')));
    retained.close();
  });
});
