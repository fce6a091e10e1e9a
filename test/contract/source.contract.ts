/** What every source keeps to, wherever its bytes lie (sources/source.ts). */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { BlobPart, Source } from '#sources/source.ts';
import { parseDigest, sha256 } from '#state/digest.ts';
import { type Published, publishState } from '../support/published.ts';

export interface SourceUnderTest {
  /** follows the channel "stable" */
  readonly source: Source;
  /** Makes the state the channel's head, as its publisher would. */
  publish(state: Published): Promise<void> | void;
  remove(): Promise<void> | void;
}

const large = Buffer.alloc(700_001, 'press 7 ');
const missing = sha256(Buffer.from('nowhere'));
const signal = new AbortController().signal;

async function collect(parts: AsyncIterable<BlobPart>): Promise<string> {
  let text = '';
  for await (const part of parts) {
    if (part.kind === 'bytes') text += Buffer.from(part.bytes).toString('latin1');
    else text = part.kind === 'restart' ? '' : `!${part.fault.code}`;
  }
  return text;
}

/** @param open  on a place where nothing is published yet */
export function sourceContract(name: string, open: () => Promise<SourceUnderTest>): void {
  describe(`the source ${name}`, () => {
    let under: SourceUnderTest;
    const first = publishState({ mark: 'one', roots: 3, files: [large] });
    const second = publishState({ mark: 'two', inline: true, files: [large] });
    beforeAll(async () => {
      under = await open();
    });
    afterAll(() => under.remove());

    test('names itself without credentials', () => {
      expect(under.source.name).not.toBe('');
      expect(under.source.name).not.toContain('@');
    });

    test('has no head before one is published', async () => {
      expect(await under.source.head(null, signal)).toEqual({ ok: true, value: null });
    });

    test('gives the head that was published: envelope and roots as they are', async () => {
      await under.publish(first);
      const head = await under.source.head(null, signal);
      if (!head.ok || head.value === null) throw new Error(JSON.stringify(head));
      expect(head.value.manifestDigest).toBe(first.digest);
      expect(Buffer.from(head.value.envelope).equals(Buffer.from(first.envelope))).toBe(true);
      const roots = head.value.roots.map((root) => Buffer.from(root).toString());
      expect(roots).toEqual(first.roots.map((root) => Buffer.from(root).toString()));
      expect(head.value.inline.size).toBe(0);
    });

    test('gives the same head by its digest, and nothing by another digest', async () => {
      const head = await under.source.head(first.digest, signal);
      expect(head.ok && head.value?.manifestDigest).toBe(first.digest);
      expect(await under.source.head(missing, signal)).toEqual({ ok: true, value: null });
    });

    test('peeks at the head or says that it cannot', async () => {
      const peeked = await under.source.peek(signal);
      expect(peeked.ok && [null, first.digest].includes(peeked.value)).toBe(true);
    });

    test('gives a blob whole, and from every offset', async () => {
      const digest = sha256(large);
      const text = large.toString('latin1');
      for (const offset of [0, 1, 262_144, 700_000]) {
        const got = await collect(under.source.blob(digest, offset, large.length, signal));
        expect(got.length).toBe(text.length - offset);
        expect(got === text.slice(offset)).toBe(true);
      }
    });

    test('refuses a blob above its cap, whatever it declares', async () => {
      const got = await collect(under.source.blob(sha256(large), 0, 1000, signal));
      expect(got).toBe('!source.too-large');
    });

    test('says that a blob is missing', async () => {
      expect(await collect(under.source.blob(missing, 0, 10, signal))).toBe('!source.missing');
    });

    test('a reader that stops early leaves the source usable', async () => {
      for await (const _ of under.source.blob(sha256(large), 0, large.length, signal)) break;
      const documents = sha256(first.documents);
      const got = await collect(under.source.blob(documents, 0, first.documents.length, signal));
      expect(got).toBe(Buffer.from(first.documents).toString('latin1'));
    });

    test('follows to the next head, with what stands in the manifest', async () => {
      await under.publish(second);
      const head = await under.source.head(null, signal);
      if (!head.ok || head.value === null) throw new Error(JSON.stringify(head));
      expect(head.value.manifestDigest).toBe(second.digest);
      expect([...head.value.inline.keys()]).toEqual([sha256(second.documents)]);
      const peeked = await under.source.peek(signal);
      expect(peeked.ok && (peeked.value === null || parseDigest(peeked.value))).not.toBe(false);
    });

    test('ends when it is told to', async () => {
      const stop = new AbortController();
      const kinds: string[] = [];
      const parts = under.source.blob(sha256(large), 0, large.length, stop.signal);
      for await (const part of parts) {
        kinds.push(part.kind);
        stop.abort();
      }
      // What was on its way already may still come; then it fails, or it was complete.
      expect(kinds[0]).toBe('bytes');
      expect(kinds.slice(0, -1)).not.toContain('failed');
    });
  });
}
