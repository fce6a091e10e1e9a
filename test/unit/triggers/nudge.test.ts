/** Which nudges wake, which are counted only, and what a flood costs. */
import { describe, expect, test } from 'bun:test';
import type { MqttLinkEvent } from '#link/mqtt.ts';
import { sha256 } from '#state/digest.ts';
import { nudge } from '#triggers/nudge.ts';
import type { Wake } from '#triggers/trigger.ts';
import { type Nudge, writeNudge } from '#wire/nudge.ts';
import { manualClock } from '../../support/manual-clock.ts';

const PLAIN: Nudge = {
  channel: 'stable',
  epoch: 1n,
  sequence: 58n,
  stateDigest: null,
  manifestDigest: null,
  urgent: false,
  envelope: null,
  roots: [],
  contents: [],
};
const ON_STABLE = { kind: 'channel-nudge', channel: 'stable' } as const;
const ON_DEVICE = { kind: 'device-nudge', device: 'press-7' } as const;

function made() {
  const clock = manualClock();
  const pushed: string[] = [];
  const timed: Uint8Array[] = [];
  const listeners = new Set<(event: MqttLinkEvent) => void>();
  const trigger = nudge({
    clock,
    link: {
      listen(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    channels: ['stable', 'device.press-7'],
    timed: ({ payload }) => void timed.push(payload),
    floor: (channel) => (channel === 'stable' ? { epoch: 1n, sequence: 57n } : null),
    pushed: ({ envelope, roots }, retained) => {
      pushed.push(
        `${envelope ? 'envelope' : 'none'} ${roots.length}${retained ? ' retained' : ''}`,
      );
    },
  });
  const wakes: Wake[] = [];
  const stop = trigger.start((wake) => wakes.push(wake));
  function say(
    payload: Uint8Array | Partial<Nudge>,
    topic: typeof ON_STABLE | typeof ON_DEVICE = ON_STABLE,
    retained = false,
  ): void {
    const bytes = payload instanceof Uint8Array ? payload : writeNudge({ ...PLAIN, ...payload });
    for (const listener of listeners) {
      listener({ kind: 'nudge', topic, payload: bytes, retained });
    }
  }
  return { clock, trigger, wakes, pushed, timed, say, stop };
}

describe('a nudge', () => {
  test('above the floor wakes, with what it names', () => {
    const { wakes, say } = made();
    const stateDigest = sha256(new Uint8Array([1]));
    const manifestDigest = sha256(new Uint8Array([2]));
    say({ stateDigest, manifestDigest, urgent: true });
    expect(wakes).toEqual([
      {
        kind: 'nudge',
        channel: 'stable',
        epoch: 1n,
        sequence: 58n,
        stateDigest,
        manifestDigest,
        urgent: true,
      },
    ]);
  });

  for (const [epoch, sequence, wakes] of [
    [1n, 57n, false],
    [1n, 56n, false],
    [0n, 99n, false],
    [1n, 58n, true],
    [2n, 1n, true],
    [2n ** 64n - 1n, 2n ** 64n - 1n, true],
  ] as const) {
    test(`for ${epoch}.${sequence} above a floor of 1.57 ${wakes ? 'wakes' : 'is counted only'}`, () => {
      const made_ = made();
      made_.say({ epoch, sequence });
      expect(made_.wakes).toHaveLength(wakes ? 1 : 0);
      const { old, malformed } = made_.trigger.counts();
      expect(old + malformed).toBe(wakes ? 0 : 1);
    });
  }

  test('for the first state of a channel wakes', () => {
    const { wakes, say } = made();
    say({ channel: 'device.press-7', sequence: 1n }, ON_DEVICE);
    expect(wakes).toHaveLength(1);
  });

  test('M08: with an address of an attacker in it carries no address on', () => {
    const { wakes, say } = made();
    const url = new TextEncoder().encode('http://attacker.example/');
    const unknownField = Uint8Array.from([0xa2, 0x06, url.length, ...url]);
    say(Uint8Array.from([...writeNudge(PLAIN), ...unknownField]));
    expect(wakes).toHaveLength(1);
    expect(Object.keys(wakes[0] ?? {}).toSorted()).toEqual([
      'channel',
      'epoch',
      'kind',
      'manifestDigest',
      'sequence',
      'stateDigest',
      'urgent',
    ]);
  });

  test('R18: for another channel than its topic, or one not followed, is counted only', () => {
    const { wakes, say, trigger } = made();
    say({ channel: 'device.press-7' }, ON_STABLE);
    say({ channel: 'canary' }, ON_DEVICE);
    expect(wakes).toEqual([]);
    expect(trigger.counts().foreign).toBe(2);
  });

  for (const [what, bytes] of [
    ['empty', new Uint8Array()],
    ['text', new TextEncoder().encode('{"channel":"stable"}')],
    ['all ones', new Uint8Array(100).fill(0xff)],
    ['cut short', writeNudge(PLAIN).subarray(0, 5)],
    ['128 KiB of groups', new Uint8Array(128 * 1024).fill(0x0b)],
  ] as const) {
    test(`that is malformed (${what}) is counted, not thrown`, () => {
      const { wakes, say, trigger } = made();
      say(bytes);
      expect(wakes).toEqual([]);
      expect(trigger.counts().malformed + trigger.counts().foreign).toBe(1);
    });
  }
});

describe('a nudge that carries something', () => {
  const envelope = { payloadType: 'x', payload: Uint8Array.of(1), signatures: [] };

  test('hands it on before it wakes, also at or below the floor: roots are always walked', () => {
    const { wakes, pushed, say } = made();
    say({ envelope, roots: [envelope] });
    say({ sequence: 57n, envelope }, ON_STABLE, true);
    say({ sequence: 1n, roots: [envelope, envelope] });
    expect(pushed).toEqual(['envelope 1', 'envelope 0 retained', 'none 2']);
    expect(wakes).toHaveLength(3);
  });

  test('hands on the time that came along, and wakes nobody for it', () => {
    const { wakes, pushed, timed, say } = made();
    say({ sequence: 57n, time: envelope });
    expect([wakes.length, pushed.length, timed.length]).toEqual([0, 0, 1]);
    say({ channel: 'canary', time: envelope }, ON_DEVICE);
    expect(timed.length).toBe(1);
  });

  test('contents alone, for what is there already, are counted only', () => {
    const { wakes, pushed, say, trigger } = made();
    say({ sequence: 57n, contents: [Uint8Array.of(1)] });
    expect([wakes.length, pushed.length, trigger.counts().old]).toEqual([0, 0, 1]);
  });

  test('R18: for a channel not followed, hands nothing on', () => {
    const { wakes, pushed, say } = made();
    say({ channel: 'canary', envelope }, ON_DEVICE);
    expect([wakes.length, pushed.length]).toEqual([0, 0]);
  });
});

describe('M07: a flood', () => {
  test('of 10,000 in a second is read at ten a second, the newest of each topic kept', async () => {
    const { clock, wakes, say, trigger } = made();
    const bytes = Array.from({ length: 100 }, (_, i) =>
      writeNudge({ ...PLAIN, sequence: BigInt(1_000 + i) }),
    );
    const last = writeNudge({ ...PLAIN, sequence: 5_000n });
    for (let tenth = 0; tenth < 10; tenth += 1) {
      for (let i = 0; i < 1_000; i += 1) say(bytes[i % 100] ?? last);
      await clock.advance(100);
    }
    say(last);
    await clock.advance(200);
    expect(trigger.counts().received).toBe(10_001);
    expect(wakes.length).toBeLessThanOrEqual(35);
    expect(wakes.at(-1)).toMatchObject({ sequence: 5_000n });
    expect(trigger.counts().unread).toBeGreaterThan(9_900);
    expect(clock.pending()).toBe(0);
  });

  test('on one topic does not crowd out another', async () => {
    const { clock, wakes, say } = made();
    for (let i = 0; i < 1_000; i += 1) say({ sequence: BigInt(100 + i) });
    say({ channel: 'device.press-7', sequence: 1n }, ON_DEVICE);
    for (let i = 0; i < 1_000; i += 1) say({ sequence: BigInt(2_000 + i) });
    await clock.advance(1_000);
    expect(wakes.some((wake) => wake.kind === 'nudge' && wake.channel !== 'stable')).toBe(true);
  });

  test('leaves nothing behind when the trigger stops', async () => {
    const { clock, wakes, say, stop } = made();
    for (let i = 0; i < 1_000; i += 1) say({ sequence: BigInt(100 + i) });
    const before = wakes.length;
    stop();
    expect(clock.pending()).toBe(0);
    await clock.advance(60_000);
    expect(wakes).toHaveLength(before);
  });
});
