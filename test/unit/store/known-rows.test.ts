/** The same bytes are the same value; any other bytes are judged anew. */
import { describe, expect, test } from 'bun:test';
import { knownRows } from '#store/known-rows.ts';
import { frameRecord } from '#store/record.ts';
import { type RecordKind, spanRecord } from '#wire/records.ts';

const framed = (key: string, last: bigint) =>
  frameRecord(key, spanRecord.write({ first: 1n, last }));

describe('a known row', () => {
  test('is the same value for the same bytes, another for others', () => {
    const rows = knownRows();
    const first = rows.open('a', framed('a', 1n), spanRecord);
    const again = rows.open('a', framed('a', 1n), spanRecord);
    const other = rows.open('a', framed('a', 2n), spanRecord);
    if (!first.ok || !again.ok || !other.ok) throw new Error('not opened');
    expect(again.value).toBe(first.value);
    expect(other.value).toEqual({ first: 1n, last: 2n });
  });

  test('with a flipped bit is refused, also after it was read well', () => {
    const rows = knownRows();
    const bytes = framed('a', 1n);
    expect(rows.open('a', bytes, spanRecord).ok).toBe(true);
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = Uint8Array.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      const opened = rows.open('a', flipped, spanRecord);
      expect(opened.ok ? 'read' : opened.fault.code).toBe('store.checksum');
    }
    expect(rows.open('b', bytes, spanRecord).ok).toBe(false);
  });

  test('is judged anew as another kind', () => {
    const rows = knownRows();
    const bytes = framed('a', 1n);
    const other: RecordKind<string> = {
      write: () => new Uint8Array(),
      read: () => ({ ok: true, value: 'x' }),
    };
    rows.open('a', bytes, spanRecord);
    expect(rows.open('a', bytes, other)).toEqual({ ok: true, value: 'x' });
  });

  test('leaves when there are too many bytes', () => {
    const rows = knownRows();
    const first = rows.open('a', framed('a', 1n), spanRecord);
    for (let at = 0; at < 8_000; at += 1) rows.open(`${at}`, framed(`${at}`, 1n), spanRecord);
    const again = rows.open('a', framed('a', 1n), spanRecord);
    if (!first.ok || !again.ok) throw new Error('not opened');
    expect(again.value).not.toBe(first.value);
    expect(again.value).toEqual(first.value);
  });
});
