/** Downloads into the content store: cut, resumed, lied to (check 16; C07, C13). */
import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Fault, fault, ok, refuse } from '#errors/fault.ts';
import { systemClock } from '#platform/node/clock.ts';
import { systemFiles } from '#platform/node/files.ts';
import { type BlobWanted, downloads, fetchSmall } from '#sources/download.ts';
import type { BlobPart, Source } from '#sources/source.ts';
import { hexOf, sha256 } from '#state/digest.ts';
import { type ContentStore, contentStore } from '#store/content.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-download-'));
afterAll(() => rmSync(folder, { recursive: true }));

const bytes = Buffer.alloc(300_000, 'holdfast ');
const wanted: BlobWanted = { digest: sha256(bytes), size: bytes.length, name: 'line/plc.bin' };
const cut = fault('link.cut', { peer: 'registry.example', reason: 'reset' });
const signal = new AbortController().signal;

function openContent(): { content: ContentStore; directory: string } {
  const state = mkdtempSync(join(folder, 'state-'));
  const content = contentStore(systemFiles(), state);
  if (!content.ok) throw new Error(content.fault.message);
  return { content: content.value, directory: join(state, 'content') };
}

interface Asked {
  readonly offset: number;
  readonly cap: number;
}

/** A source whose answers are scripted: one for each time it is asked, the last one for ever. */
function scripted(
  ...answers: readonly ((asked: Asked) => Iterable<BlobPart | Fault | Uint8Array>)[]
): Source & { asked: number[] } {
  const asked: number[] = [];
  return {
    name: `scripted ${answers.length}`,
    via: 'registry',
    asked,
    peek: async () => ok(null),
    head: async () => ok(null),
    blob: async function* (_, offset, cap) {
      const answer = answers[Math.min(asked.length, answers.length - 1)];
      asked.push(offset);
      for (const part of answer?.({ offset, cap }) ?? []) {
        if (part instanceof Uint8Array) yield { kind: 'bytes', bytes: part };
        else yield 'code' in part ? { kind: 'failed', fault: part } : part;
      }
    },
  };
}

const honest = ({ offset }: Asked) => [bytes.subarray(offset)];
const cutAfter =
  (count: number) =>
  ({ offset }: Asked) => [bytes.subarray(offset, offset + count), cut];
const failing = (why: Fault) => () => [why];

async function run(sources: readonly Source[], store = openContent(), blobs = [wanted]) {
  const slept: number[] = [];
  const clock = {
    ...systemClock(),
    sleep: async (ms: number) => void slept.push(ms),
  };
  const fetched = await downloads({ content: store.content, clock }).fetchAll(
    blobs,
    sources,
    signal,
  );
  const blob = join(store.directory, `${hexOf(wanted.digest)}.blob`);
  const here = existsSync(blob) && readFileSync(blob).equals(bytes);
  return {
    ...store,
    slept,
    result: fetched.ok ? 'ok' : fetched.fault.code,
    here,
    files: readdirSync(store.directory).map((name) => name.split('.')[1] ?? ''),
  };
}

describe('an honest source', () => {
  test('in one go', async () => {
    expect(await run([scripted(honest)])).toMatchObject({
      result: 'ok',
      here: true,
      files: ['blob'],
    });
  });
  test('what is here already is not asked for', async () => {
    const first = await run([scripted(honest)]);
    const source = scripted(honest);
    expect((await run([source], first)).result).toBe('ok');
    expect(source.asked).toEqual([]);
  });
  test('cut three times, goes on where it stopped', async () => {
    const source = scripted(cutAfter(100_000), cutAfter(100_000), cutAfter(70_000), honest);
    expect(await run([source])).toMatchObject({ result: 'ok', here: true, slept: [250, 250, 250] });
    expect(source.asked).toEqual([0, 100_000, 200_000, 270_000]);
  });
  test('a body that ends early without an error is gone on with as well', async () => {
    const source = scripted(({ offset }) => [bytes.subarray(offset, offset + 70_000)]);
    expect((await run([source])).result).toBe('ok');
    expect(source.asked).toEqual([0, 70_000, 140_000, 210_000, 280_000]);
  });
  test('after a restart of the agent, from what is on disk', async () => {
    const store = openContent();
    const first = scripted(
      ({ offset }) => [bytes.subarray(offset, offset + 90_000), cut],
      failing(cut),
    );
    expect((await run([first], store)).result).toBe('link.cut');
    expect(readdirSync(store.directory)).toEqual([`${hexOf(wanted.digest)}.part`]);
    const second = scripted(honest);
    expect((await run([second], store)).here).toBe(true);
    expect(second.asked).toEqual([90_000]);
  });
  test('a whole part left by a cut before its rename needs no request', async () => {
    const store = openContent();
    writeFileSync(join(store.directory, `${hexOf(wanted.digest)}.part`), bytes);
    const source = scripted(honest);
    expect(await run([source], store)).toMatchObject({ here: true });
    expect(source.asked).toEqual([]);
  });
  test('that ignores ranges: what was here is thrown away', async () => {
    const source = scripted(cutAfter(100_000), () => [{ kind: 'restart' }, bytes]);
    expect((await run([source])).here).toBe(true);
  });
  test('an empty blob', async () => {
    const empty = { digest: sha256(new Uint8Array()), size: 0, name: 'empty' };
    const { content, result } = await run([scripted(() => [])], openContent(), [empty]);
    expect([result, content.hasBlob(empty.digest, 0)]).toEqual(['ok', true]);
  });
});

describe('a part on disk that is not what it should be', () => {
  const left = (content: Uint8Array) => {
    const store = openContent();
    writeFileSync(join(store.directory, `${hexOf(wanted.digest)}.part`), content);
    return store;
  };
  test('with a changed byte: noticed at the end, and fetched again from nothing', async () => {
    const source = scripted(honest);
    const damaged = Buffer.from(bytes.subarray(0, 1000));
    damaged[500] = 0;
    expect((await run([source], left(damaged))).here).toBe(true);
    expect(source.asked).toEqual([1000, 0]);
  });
  test('longer than the blob: thrown away before anything is asked', async () => {
    const source = scripted(honest);
    expect((await run([source], left(Buffer.alloc(bytes.length + 1)))).here).toBe(true);
    expect(source.asked).toEqual([0]);
  });
  test('whole but wrong', async () => {
    const source = scripted(honest);
    expect((await run([source], left(Buffer.alloc(bytes.length)))).here).toBe(true);
    expect(source.asked).toEqual([0]);
  });
});

describe('a dishonest or broken source', () => {
  const wrong = () => [Buffer.alloc(bytes.length, 'x')];
  test('C13: other bytes are thrown away, once', async () => {
    const source = scripted(wrong);
    expect(await run([source])).toMatchObject({ result: 'source.digest-mismatch', files: [] });
    expect(source.asked).toEqual([0]);
  });
  test('C13: the next mirror is asked from the first byte', async () => {
    const mirror = scripted(honest);
    expect((await run([scripted(wrong), mirror])).here).toBe(true);
    expect(mirror.asked).toEqual([0]);
  });
  test('C13: poison from one mirror, the rest from another: the other gets a second try', async () => {
    const poison = scripted(() => [
      Buffer.alloc(90_000, 'x'),
      fault('link.http-status', { peer: 'a', status: 500, message: '' }),
    ]);
    const mirror = scripted(honest);
    expect((await run([poison, mirror])).here).toBe(true);
    expect(mirror.asked).toEqual([90_000, 0]);
  });
  test('C07: more than was signed is thrown away', async () => {
    const source = scripted(({ offset }) => [bytes.subarray(offset), new Uint8Array(1)]);
    expect(await run([source])).toMatchObject({ result: 'source.too-large', files: [] });
  });
  test('a wrong range starts again from nothing, once', async () => {
    const range = fault('source.range', { what: 'blob', reason: 'it starts at 7' });
    const healed = scripted(cutAfter(100_000), failing(range), honest);
    expect((await run([healed])).here).toBe(true);
    expect(healed.asked).toEqual([0, 100_000, 0]);
    const lasting = scripted(cutAfter(100_000), failing(range));
    expect((await run([lasting])).result).toBe('source.range');
    expect(lasting.asked).toEqual([0, 100_000, 0]);
  });
  test('cut again and again without progress: three tries, then the next', async () => {
    const source = scripted(cutAfter(10));
    const mirror = scripted(honest);
    expect((await run([source, mirror])).here).toBe(true);
    expect(source.asked).toEqual([0, 10, 20]);
    expect(mirror.asked).toEqual([30]);
  });
  test('missing everywhere: the fault that may pass by itself is reported', async () => {
    const missing = failing(fault('source.missing', { what: 'blob', source: 'a' }));
    const denied = failing(fault('link.forbidden', { peer: 'b', message: '' }));
    expect((await run([scripted(missing), scripted(denied)])).result).toBe('source.missing');
    expect((await run([scripted(denied), scripted(failing(cut))])).result).toBe('link.cut');
    expect((await run([scripted(denied)])).result).toBe('link.forbidden');
    expect((await run([])).result).toBe('source.missing');
  });
});

describe('several blobs', () => {
  const many = Array.from({ length: 6 }, (_, index) => Buffer.from(`blob ${index}`));
  const list = many.map(
    (one, index): BlobWanted => ({ digest: sha256(one), size: one.length, name: `${index}` }),
  );

  test('two at a time, each digest once', async () => {
    let now = 0;
    let most = 0;
    const asked: string[] = [];
    const source: Source = {
      ...scripted(honest),
      blob: async function* (digest) {
        asked.push(digest);
        now += 1;
        most = Math.max(most, now);
        await new Promise((resolve) => setImmediate(resolve));
        now -= 1;
        yield {
          kind: 'bytes',
          bytes: many.find((one) => sha256(one) === digest) ?? new Uint8Array(),
        };
      },
    };
    expect((await run([source], openContent(), [...list, ...list])).result).toBe('ok');
    expect([most, asked.length]).toEqual([2, 6]);
  });

  test('the first that fails stops the other, whose part is kept', async () => {
    const store = openContent();
    const source: Source = {
      ...scripted(honest),
      blob: async function* (digest, offset, _, signal) {
        if (digest !== wanted.digest) {
          await new Promise((resolve) => setImmediate(resolve));
          yield { kind: 'failed', fault: fault('source.missing', { what: 'x', source: 'y' }) };
          return;
        }
        yield { kind: 'bytes', bytes: bytes.subarray(offset, 100) };
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield { kind: 'failed', fault: cut };
      },
    };
    const other = list[0] as BlobWanted;
    const { result, files } = await run([source], store, [wanted, other]);
    expect([result, files.includes('part')]).toEqual(['source.missing', true]);
  });
});

test('a full disk ends the download: no mirror helps', async () => {
  const store = openContent();
  const full = { operation: 'write', path: 'x', errno: 'ENOSPC' };
  const content = {
    hasBlob: store.content.hasBlob,
    turn: store.content.turn,
    partial: (digest: typeof wanted.digest) => {
      const part = store.content.partial(digest);
      if (!part.ok) return part;
      const write = () => refuse('platform.no-space', full);
      return ok({ ...part.value, write, size: 0 });
    },
  };
  const mirror = scripted(honest);
  const input = { content, clock: { ...systemClock(), sleep: async () => undefined } };
  const fetched = await downloads(input).fetchAll([wanted], [scripted(honest), mirror], signal);
  expect(!fetched.ok && fetched.fault.code).toBe('platform.no-space');
  expect(mirror.asked).toEqual([]);
});

describe('one blob that two channels want at once', () => {
  /** Says a part of it, then waits: with the first bytes on the way when `reached` resolves. */
  function held(): { source: Source; asked: number; reached: Promise<void>; goOn(): void } {
    const reached = Promise.withResolvers<void>();
    const mayGoOn = Promise.withResolvers<void>();
    const world = {
      asked: 0,
      reached: reached.promise,
      goOn: mayGoOn.resolve,
      source: {
        ...scripted(),
        blob: async function* (_: unknown, offset: number): AsyncIterable<BlobPart> {
          world.asked += 1;
          yield { kind: 'bytes', bytes: bytes.subarray(offset, 100_000) };
          reached.resolve();
          await mayGoOn.promise;
          yield { kind: 'bytes', bytes: bytes.subarray(100_000) };
        },
      } satisfies Source,
    };
    return world;
  }

  test('is fetched once, and both have it', async () => {
    const { content, directory } = openContent();
    const world = held();
    const input = { content, clock: systemClock() };
    const first = downloads(input).fetchAll([wanted], [world.source], signal);
    await world.reached;
    const second = downloads(input).fetchAll([wanted], [world.source], signal);
    world.goOn();
    expect(await Promise.all([first, second])).toEqual([ok(), ok()]);
    expect(world.asked).toBe(1);
    expect(readdirSync(directory)).toEqual([`${hexOf(wanted.digest)}.blob`]);
    expect(content.readBlob(wanted.digest, bytes.length).ok).toBe(true);
  });

  test('is gone on with by the second when the first fails', async () => {
    const { content } = openContent();
    const world = held();
    const ended = new AbortController();
    const input = { content, clock: systemClock() };
    const failing = { ...world.source, blob: aborting(world.source, ended.signal) };
    const first = downloads(input).fetchAll([wanted], [failing], ended.signal);
    await world.reached;
    const other = scripted(honest);
    const second = downloads(input).fetchAll([wanted], [other], signal);
    ended.abort();
    world.goOn();
    expect((await first).ok).toBe(false);
    expect(await second).toEqual(ok());
    expect(other.asked).toEqual([100_000]);
  });

  test('is not waited for by one that is asked to stop', async () => {
    const { content } = openContent();
    const world = held();
    const input = { content, clock: systemClock() };
    const first = downloads(input).fetchAll([wanted], [world.source], signal);
    await world.reached;
    const stop = new AbortController();
    const second = downloads(input).fetchAll([wanted], [world.source], stop.signal);
    stop.abort();
    const told = await second;
    expect(!told.ok && told.fault.code).toBe('link.cut');
    world.goOn();
    expect(await first).toEqual(ok());
  });
});

/** The source, that fails at the piece after an abort. */
function aborting(source: Source, stop: AbortSignal): Source['blob'] {
  return async function* (...asked) {
    for await (const piece of source.blob(...asked)) {
      yield stop.aborted ? { kind: 'failed', fault: cut } : piece;
    }
  };
}

test('progress is told after each chunk', async () => {
  const told: number[] = [];
  const { content } = openContent();
  const clock = { ...systemClock(), sleep: async () => undefined };
  const progress = (_: BlobWanted, count: number) => told.push(count);
  const source = scripted(cutAfter(200_000), honest);
  await downloads({ content, clock, progress }).fetchAll([wanted], [source], signal);
  expect(told).toEqual([200_000, 300_000]);
});

test('a small blob comes from the first source that has it right', async () => {
  const small = Buffer.from('small');
  const lying = scripted(() => [Buffer.from('SMALL')]);
  const good = scripted(() => [small]);
  const get = (...sources: Source[]) => fetchSmall(sources, sha256(small), 5, signal);
  expect(await get(lying, good)).toEqual(ok(small));
  const refused = await get(lying);
  expect(!refused.ok && refused.fault.code).toBe('source.digest-mismatch');
  expect((await get()).ok).toBe(false);
});
