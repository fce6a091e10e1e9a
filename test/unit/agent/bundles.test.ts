/** agent/bundles.ts: what is done with what lies in a watched directory, and how often. */
import { describe, expect, test } from 'bun:test';
import type { Inspection } from '#agent/bundle-inspection.ts';
import { type BundleShelf, bundleShelf } from '#agent/bundles.ts';
import type { CycleEnd } from '#agent/cycle.ts';
import { type Fault, fault } from '#errors/fault.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';

const A = '/media/a';
const lying = (path = A, problem: Fault | null = null) => ({ path, settled: true, problem });
const halfCopied = fault('source.missing', { what: 'blob', source: A });
const refused = (why: Fault): CycleEnd => ({ kind: 'refused', fault: why, offered: '1.2' });

interface World {
  readonly clock: ManualClock;
  readonly shelf: BundleShelf;
  readonly looked: string[];
  /** for so many ms, each look of the trigger (5 s) */
  passes(ms: number): Promise<void>;
}

function world(end: CycleEnd | Inspection, consent: 'policy' | 'ask' = 'policy'): World {
  const clock = manualClock();
  const looked: string[] = [];
  const took = async (path: string) => {
    looked.push(path);
    return end as never;
  };
  const shelf = bundleShelf({
    ...{ clock, consent, log: { write: () => undefined }, changed: () => undefined },
    look: consent === 'policy' ? took : () => Promise.reject(new Error('not without consent')),
    inspect: took,
  });
  return {
    ...{ clock, shelf, looked },
    async passes(ms) {
      for (let at = 0; at < ms; at += 5_000) {
        await clock.advance(5_000);
        if (shelf.again(A)) shelf.offered(A);
        await clock.advance(0);
      }
    },
  };
}

describe('by policy', () => {
  test('what is applied is looked at once', async () => {
    const point = { epoch: 1n, sequence: 2n, digest: 'sha256:aa' } as never;
    const { shelf, looked, passes } = world({ kind: 'applied', point, tookMs: 5 });
    shelf.lying([lying()]);
    expect(shelf.list()).toMatchObject([{ state: 'reading' }]);
    shelf.offered(A);
    await passes(3_600_000);
    expect(looked).toEqual([A]);
    expect(shelf.list()).toMatchObject([{ state: 'applied', point: '1.2', nextReadMs: null }]);
  });

  test('what cannot be read whole is read seven times in minutes, then when it changes', async () => {
    const { shelf, looked, passes } = world(refused(halfCopied));
    shelf.lying([lying()]);
    shelf.offered(A);
    await passes(60_000);
    expect(looked.length).toBeGreaterThanOrEqual(4);
    await passes(24 * 3_600_000);
    expect(looked.length).toBe(7);
    expect(shelf.list()).toMatchObject([{ state: 'refused', fault: { code: 'source.missing' } }]);
    shelf.lying([{ ...lying(), settled: false }]);
    shelf.lying([lying()]);
    shelf.offered(A);
    await passes(60_000);
    expect(looked.length).toBeGreaterThan(10);
  });

  test('what is refused for what it says is read once', async () => {
    const why = fault('trust.rollback', { offered: '1.1', floor: '1.2' } as never);
    const { shelf, looked, passes } = world(refused(why));
    shelf.lying([lying()]);
    shelf.offered(A);
    await passes(3_600_000);
    expect(looked).toEqual([A]);
  });

  test('what waits, for the end of a pause for one, is looked at again for as long as it lies there', async () => {
    const why = fault('agent.paused', { offered: '1.2' });
    const { shelf, looked, passes } = world({ kind: 'waiting', fault: why, offered: '1.2' });
    shelf.lying([lying()]);
    shelf.offered(A);
    await passes(2 * 3_600_000);
    expect(looked.length).toBeGreaterThan(20);
    expect(looked.length).toBeLessThan(40);
    shelf.lying([]);
    expect(shelf.list()).toEqual([]);
    const before = looked.length;
    await passes(3_600_000);
    expect(looked.length).toBe(before);
  });

  test('a hundred at once: one is read at a time, 16 wait, the others have their turn later', async () => {
    let inside = 0;
    let most = 0;
    const clock = manualClock();
    const shelf = bundleShelf({
      ...{ clock, consent: 'policy', log: { write: () => undefined }, changed: () => undefined },
      async look() {
        inside += 1;
        most = Math.max(most, inside);
        await clock.sleep(1_000);
        inside -= 1;
        return { kind: 'unchanged', source: '' };
      },
      inspect: () => Promise.reject(new Error('policy')),
    });
    const paths = Array.from({ length: 100 }, (_, n) => `/media/${n}`);
    shelf.lying(paths.map((path) => lying(path)));
    for (const path of paths) shelf.offered(path);
    await clock.advance(60_000);
    expect(most).toBe(1);
    const read = () => shelf.list().filter(({ state }) => state === 'current').length;
    expect(read()).toBe(16);
    for (let rounds = 0; rounds < 10; rounds += 1) {
      for (const path of paths) if (shelf.again(path)) shelf.offered(path);
      await clock.advance(60_000);
    }
    expect([read(), most]).toEqual([100, 1]);
    shelf.close();
  });
});

describe('with consent: ask', () => {
  const offered: Inspection = {
    ...{ state: 'offered', channel: 'stable', point: '1.2', plan: null, fault: null, more: [] },
  };

  test('it is inspected and never looked at; a person who applied it is told', async () => {
    const { shelf, looked, passes } = world(offered, 'ask');
    shelf.lying([lying()]);
    shelf.offered(A);
    await passes(60_000);
    expect(looked).toEqual([A]);
    expect(shelf.list()).toMatchObject([{ state: 'offered', channel: 'stable', point: '1.2' }]);
    await shelf.inspect(new AbortController().signal);
    expect(looked.length).toBe(2);
    shelf.ended(A, { kind: 'unchanged', source: A });
    expect(shelf.list()).toMatchObject([{ state: 'current' }]);
  });

  test('what the trigger would not read is listed with its reason', () => {
    const { shelf } = world(offered, 'ask');
    const problem = fault('source.layout', { path: A, reason: 'it is a link' });
    shelf.lying([{ path: A, settled: false, problem }]);
    expect(shelf.list()).toMatchObject([{ state: 'refused', fault: { code: 'source.layout' } }]);
  });
});
