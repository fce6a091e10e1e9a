/** A mirror that trickles holds nobody up who could ask another one. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fault, ok } from '#errors/fault.ts';
import { systemFiles } from '#platform/node/files.ts';
import { downloads } from '#sources/download.ts';
import { paced } from '#sources/paced.ts';
import type { Source } from '#sources/source.ts';
import { sha256 } from '#state/digest.ts';
import { contentStore } from '#store/content.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-paced-'));
afterAll(() => rmSync(folder, { recursive: true }));

const bytes = Buffer.alloc(400_000, 'turbine ');
const digest = sha256(bytes);
const signal = new AbortController().signal;

/** So many bytes every second; 0: it says nothing at all. */
function trickling(
  clock: ManualClock,
  perSecond: number,
  name = 'slow',
): Source & { from: number[] } {
  const from: number[] = [];
  return {
    ...{ name, from, via: 'registry' },
    peek: async () => ok(null),
    head: async () => ok(null),
    async *blob(_digest, offset, _cap, asked) {
      from.push(offset);
      for (let at = offset; at < bytes.length; at += perSecond) {
        await clock.sleep(perSecond === 0 ? 10_000_000 : 1_000, asked);
        if (asked.aborted) {
          const why = fault('link.cut', { peer: name, reason: 'ended by this side' });
          return yield { kind: 'failed', fault: why };
        }
        yield { kind: 'bytes', bytes: bytes.subarray(at, at + perSecond) };
      }
    },
  };
}

async function until<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let done = false;
  void work.then(() => {
    done = true;
  });
  while (!done) {
    await clock.settle();
    if (!done) await clock.advance(1_000);
  }
  return work;
}

async function drain(clock: ManualClock, source: Source, readerMs = 0) {
  const got = { bytes: 0, end: 'whole' };
  const read = async () => {
    for await (const part of paced(source, clock).blob(digest, 0, bytes.length, signal)) {
      if (part.kind === 'bytes') got.bytes += part.bytes.length;
      if (part.kind === 'failed') got.end = part.fault.code;
      if (readerMs > 0) await clock.sleep(readerMs);
    }
  };
  await until(clock, read());
  return { ...got, seconds: Math.round(clock.monotonicMs() / 1_000) };
}

describe('a source among others', () => {
  test('that brings 2 KB a second comes to its end', async () => {
    const clock = manualClock();
    expect(await drain(clock, trickling(clock, 2_000))).toMatchObject({
      bytes: 400_000,
      end: 'whole',
    });
  });
  test('that brings less than 1 KB a second is left after a minute, with what it brought', async () => {
    const clock = manualClock();
    const got = await drain(clock, trickling(clock, 500));
    expect(got).toMatchObject({ end: 'source.slow', seconds: 60 });
    expect(got.bytes).toBeGreaterThan(28_000);
  });
  test('that says nothing is left after a minute', async () => {
    const clock = manualClock();
    const got = await drain(clock, trickling(clock, 0));
    expect(got).toEqual({ bytes: 0, end: 'source.slow', seconds: 60 });
  });
  test('is not called slow for the time of a slow disk', async () => {
    const clock = manualClock();
    const got = await drain(clock, trickling(clock, 40_000), 30_000);
    expect(got).toMatchObject({ bytes: 400_000, end: 'whole' });
  });
});

describe('a download from two', () => {
  async function run(of: (clock: ManualClock) => readonly (Source & { from: number[] })[]) {
    const clock = manualClock();
    const content = contentStore(systemFiles(), mkdtempSync(join(folder, 'state-')));
    if (!content.ok) throw new Error(content.fault.message);
    const sources = of(clock);
    const wanted = { digest, size: bytes.length, name: 'line/plc.bin' };
    const input = { content: content.value, clock };
    const ended = await until(clock, downloads(input).fetchAll([wanted], sources, signal));
    return { ok: ended.ok, from: sources.map(({ from }) => from) };
  }
  test('the second goes on where the slow one was left', async () => {
    const { ok, from } = await run((clock) => [
      trickling(clock, 500),
      trickling(clock, 90_000, 'b'),
    ]);
    expect(ok).toBe(true);
    expect(from[0]).toEqual([0]);
    expect(from[1]?.[0]).toBeGreaterThan(28_000);
  });
  test('both are slow: the first has its time after all', async () => {
    const { ok, from } = await run((clock) => [trickling(clock, 900), trickling(clock, 900, 'b')]);
    expect(ok).toBe(true);
    expect(from.map(({ length }) => length)).toEqual([2, 1]);
  });
  test('one alone is never left for being slow', async () => {
    const { ok, from } = await run((clock) => [trickling(clock, 500)]);
    expect(ok).toBe(true);
    expect(from).toEqual([[0]]);
  });
});
