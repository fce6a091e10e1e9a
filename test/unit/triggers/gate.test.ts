/** Wakes put together, limited and spread. */
import { describe, expect, test } from 'bun:test';
import { sha256 } from '#state/digest.ts';
import { gate } from '#triggers/gate.ts';
import type { Wake } from '#triggers/trigger.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { seededRandom } from '../../support/seeded-random.ts';

type Nudge = Extract<Wake, { kind: 'nudge' }>;

function nudge(sequence: number, more: Partial<Nudge> = {}): Nudge {
  return {
    kind: 'nudge',
    channel: 'stable',
    epoch: 1n,
    sequence: BigInt(sequence),
    stateDigest: null,
    manifestDigest: null,
    urgent: false,
    ...more,
  };
}

function made(options: { perMinute?: number; spreadMs?: number } = {}) {
  const clock = manualClock();
  const { perMinute = 6, spreadMs = 0 } = options;
  return { clock, gate: gate({ clock, random: seededRandom(1), perMinute, spreadMs }) };
}

/** Takes cycles for ever; a cycle takes no time. */
function cycles(of: ReturnType<typeof made>): { seen: (readonly Wake[])[]; stop: () => void } {
  const abort = new AbortController();
  const seen: (readonly Wake[])[] = [];
  void (async () => {
    for (;;) {
      const wakes = await of.gate.next(abort.signal);
      if (wakes.length === 0) return;
      seen.push(wakes);
    }
  })();
  return { seen, stop: () => abort.abort() };
}

describe('wakes that come while a cycle runs', () => {
  test('end in one follow-up cycle with one of each kind', async () => {
    const { gate } = made();
    for (let i = 0; i < 100; i += 1) {
      gate.wake({ kind: 'schedule' });
      gate.wake({ kind: 'reconnect' });
      gate.wake({ kind: 'command' });
    }
    const kinds = (await gate.next()).map(({ kind }) => kind);
    expect(kinds.toSorted()).toEqual(['command', 'reconnect', 'schedule']);
    expect(gate.counts()).toEqual({ received: 300, coalesced: 297, dropped: 0 });
  });

  test('keep the highest point of each channel, whatever the order', async () => {
    const { gate } = made();
    gate.wake(nudge(7));
    gate.wake(nudge(9));
    gate.wake(nudge(8));
    gate.wake(nudge(1, { epoch: 2n, channel: 'canary' }));
    gate.wake(nudge(50, { epoch: 1n, channel: 'canary' }));
    expect(await gate.next()).toEqual([nudge(9), nudge(1, { epoch: 2n, channel: 'canary' })]);
  });

  test('do not lose the manifest digest of the same point', async () => {
    const { gate } = made();
    const manifestDigest = sha256(new Uint8Array([1]));
    gate.wake(nudge(9, { manifestDigest }));
    gate.wake(nudge(9));
    expect(await gate.next()).toEqual([nudge(9, { manifestDigest })]);
  });

  test('keep each bundle, sixteen at most', async () => {
    const { gate } = made();
    for (let i = 0; i < 20; i += 1) gate.wake({ kind: 'bundle', path: `/usb/${i}` });
    expect(await gate.next()).toHaveLength(16);
    expect(gate.counts().dropped).toBe(4);
  });
});

describe('the next cycle', () => {
  test('waits without a timer until something comes', async () => {
    const { clock, gate } = made();
    const next = gate.next();
    await clock.settle();
    expect(clock.pending()).toBe(0);
    gate.wake({ kind: 'start' });
    expect(await next).toEqual([{ kind: 'start' }]);
  });

  test('ends empty when it is aborted, and the gate is usable after it', async () => {
    const { gate } = made();
    const abort = new AbortController();
    const next = gate.next(abort.signal);
    abort.abort();
    expect(await next).toEqual([]);
    gate.wake({ kind: 'start' });
    expect(await gate.next()).toEqual([{ kind: 'start' }]);
  });
});

describe('M07: a flood of nudges', () => {
  test('10,000 a second for a minute cost twelve cycles and one place in memory', async () => {
    const of = made({ perMinute: 6 });
    const { seen, stop } = cycles(of);
    let sequence = 0;
    for (let tenth = 0; tenth < 600; tenth += 1) {
      for (let i = 0; i < 1000; i += 1) {
        sequence += 1;
        of.gate.wake(nudge(sequence));
      }
      await of.clock.advance(100);
    }
    stop();
    expect(seen.length).toBeLessThanOrEqual(12);
    expect(seen.length).toBeGreaterThanOrEqual(11);
    expect(seen.every((wakes) => wakes.length === 1)).toBe(true);
    expect(of.clock.pending()).toBe(0);
  });

  test('forged urgent ones pass the limit once in ten minutes', async () => {
    const of = made({ perMinute: 1 });
    const { seen, stop } = cycles(of);
    of.gate.wake(nudge(1));
    await of.clock.settle();
    expect(seen).toHaveLength(1);
    of.gate.wake(nudge(2, { urgent: true }));
    await of.clock.settle();
    expect(seen).toHaveLength(2);
    for (let i = 3; i < 1000; i += 1) of.gate.wake(nudge(i, { urgent: true }));
    await of.clock.settle();
    expect(seen).toHaveLength(2);
    await of.clock.advance(60_000);
    expect(seen).toHaveLength(3);
    await of.clock.advance(10 * 60_000);
    of.gate.wake(nudge(2000));
    of.gate.wake(nudge(2001, { urgent: true }));
    await of.clock.settle();
    expect(seen).toHaveLength(4);
    stop();
  });

  test('does not hold up a command, which takes the waiting nudge along', async () => {
    const of = made({ perMinute: 1 });
    const { seen, stop } = cycles(of);
    of.gate.wake(nudge(1));
    await of.clock.settle();
    of.gate.wake(nudge(2));
    await of.clock.settle();
    expect(seen).toHaveLength(1);
    of.gate.wake({ kind: 'command' });
    await of.clock.settle();
    expect(seen[1]).toEqual([{ kind: 'command' }, nudge(2)]);
    stop();
  });

  test('with a limit of 0, nudges wake nobody by themselves', async () => {
    const of = made({ perMinute: 0 });
    const { seen, stop } = cycles(of);
    of.gate.wake(nudge(1));
    await of.clock.advance(3_600_000);
    expect(seen).toHaveLength(0);
    expect(of.clock.pending()).toBe(0);
    stop();
  });
});

describe('the spread', () => {
  test('delays a nudge by less than its width, and an urgent one not at all', async () => {
    const of = made({ spreadMs: 10_000 });
    const { seen, stop } = cycles(of);
    of.gate.wake(nudge(1));
    await of.clock.settle();
    expect(seen).toHaveLength(0);
    await of.clock.advance(10_000);
    expect(seen).toHaveLength(1);
    of.gate.wake(nudge(2));
    of.gate.wake(nudge(3, { urgent: true }));
    await of.clock.settle();
    expect(seen).toHaveLength(2);
    stop();
  });
});
