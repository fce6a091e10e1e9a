/** Pushes as a source: what is held, what is given, and what a flood does. */
import { describe, expect, test } from 'bun:test';
import { mqttPush, type Push, type PushSource } from '#sources/mqtt-push.ts';
import type { BlobPart } from '#sources/source.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { readEnvelope, writeEnvelope } from '#wire/envelope.ts';

const signal = new AbortController().signal;
const text = (value: string) => new TextEncoder().encode(value);
const envelope = (mark: string): Envelope => ({
  payloadType: 'application/x',
  payload: text(mark),
  signatures: [{ keyid: 'k', sig: text('sig') }],
});
const push = (mark: string, more: Partial<Push> = {}): Push => ({
  envelope: envelope(mark),
  roots: [],
  contents: [],
  retained: false,
  ...more,
});
const marks = (source: PushSource) =>
  source.pending().map(({ head }) => {
    const read = readEnvelope(head ? head.envelope : text('{}'));
    return read.ok ? new TextDecoder().decode(read.value.payload) : 'roots';
  });

async function read(source: PushSource, digest: Digest, offset = 0, cap = 100): Promise<string> {
  const parts: BlobPart[] = [];
  for await (const part of source.blob(digest, offset, cap, signal)) parts.push(part);
  return parts
    .map((part) => {
      if (part.kind === 'failed') return `!${part.fault.code}`;
      return part.kind === 'bytes' ? new TextDecoder().decode(part.bytes) : part.kind;
    })
    .join();
}

describe('a push', () => {
  test('is a head: envelope and roots as JSON, named by the envelope’s own digest', async () => {
    const source = mqttPush('broker:8883');
    expect(await source.head(null, signal)).toEqual({ ok: true, value: null });
    source.take(push('a', { roots: [envelope('root 2')], retained: true }));
    const head = await source.head(null, signal);
    const bytes = writeEnvelope(envelope('a'));
    expect(head.ok && head.value?.envelope).toEqual(bytes);
    expect(head.ok && head.value?.manifestDigest).toBe(sha256(bytes));
    expect(head.ok && head.value?.roots).toEqual([writeEnvelope(envelope('root 2'))]);
    expect(source.pending()[0]?.retained).toBe(true);
    expect((await source.head(sha256(bytes), signal)).ok).toBe(true);
    expect(await source.head(sha256(text('other')), signal)).toEqual({ ok: true, value: null });
    expect(await source.peek(signal)).toEqual({ ok: true, value: null });
    expect([source.name, source.via]).toEqual(['broker:8883', 'mqtt']);
  });

  test('gives its contents by their digest, from an offset, under a cap', async () => {
    const source = mqttPush('broker');
    const blob = text('speed=1');
    source.take(push('a', { contents: [blob] }));
    expect(await read(source, sha256(blob))).toBe('speed=1');
    expect(await read(source, sha256(blob), 6)).toBe('1');
    expect(await read(source, sha256(blob), 0, 6)).toBe('!source.too-large');
    expect(await read(source, sha256(text('other')))).toBe('!source.missing');
  });

  test('with roots alone has no head', async () => {
    const source = mqttPush('broker');
    source.take({ ...push('a'), envelope: null, roots: [envelope('root 2')] });
    expect(source.pending()[0]).toMatchObject({ head: null });
    expect(await source.head(null, signal)).toEqual({ ok: true, value: null });
  });

  test('that comes again is the same one; contents of one statement come together', async () => {
    const source = mqttPush('broker');
    source.take(push('a', { contents: [text('one')] }));
    const [first] = source.pending();
    source.take(push('a', { contents: [text('one')], retained: true }));
    expect(source.pending()).toEqual(first ? [first] : []);
    source.take(push('a', { contents: [text('two')] }));
    expect(marks(source)).toEqual(['a']);
    expect(await read(source, sha256(text('one')))).toBe('one');
    expect(await read(source, sha256(text('two')))).toBe('two');
  });

  test('whose contents grow without end keeps the newest', async () => {
    const source = mqttPush('broker');
    const content = (mark: number) => new Uint8Array(LIMITS.mqttMessageBytes).fill(mark);
    for (let mark = 0; mark < 20; mark += 1) source.take(push('a', { contents: [content(mark)] }));
    const held = [...(source.pending()[0]?.head?.inline.values() ?? [])];
    expect(held.length).toBeLessThanOrEqual(8);
    expect(held.at(-1)).toEqual(content(19));
  });
});

describe('a flood (M07)', () => {
  test('holds four, and never pushes out the one that was verified', () => {
    const source = mqttPush('broker');
    source.take(push('good'));
    const [good] = source.pending();
    if (good) source.keep(good);
    for (let index = 0; index < 100; index += 1) source.take(push(`junk ${index}`));
    expect(marks(source)).toEqual(['good', 'junk 96', 'junk 97', 'junk 98', 'junk 99']);
    for (const pushed of source.pending()) source.drop(pushed);
    expect(source.pending()).toEqual([]);
  });
});
