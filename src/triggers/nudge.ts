/**
 * Wakes for a nudge that names something above the floor, or that carries something: what it carries
 * is handed on before (sources/mqtt-push.ts), so that the look finds it. A nudge is unsigned: it
 * decides nothing but when to look. Anybody at the broker can send any bytes here, as fast as they like, so reading
 * them is rationed too: past the ration only the newest message of each topic is kept, and read when
 * there is a ration again (attack row M07). Malformed and foreign ones are counted, never thrown.
 */
import type { MqttLink, MqttLinkEvent } from '#link/mqtt.ts';
import type { Clock } from '#platform/clock.ts';
import type { Envelope } from '#state/envelope.ts';
import { comparePoints, type Point } from '#state/point.ts';
import { type Nudge, readNudge } from '#wire/nudge.ts';
import { bucket } from './bucket.ts';
import type { Trigger, Wake } from './trigger.ts';

/** messages read at once after a quiet time, then one every 100 ms */
const READ_BURST = 20;
const READ_EVERY_MS = 100;
/** topics of which an unread message is kept: a device subscribes to few */
const UNREAD_MAX = 16;

type NudgeEvent = Extract<MqttLinkEvent, { kind: 'nudge' }>;

export interface NudgeOptions {
  readonly clock: Clock;
  readonly link: Pick<MqttLink, 'listen'>;
  /** the channels this device follows */
  readonly channels: readonly string[];
  /** the highest point ever accepted of a channel; null: none yet */
  floor(channel: string): Pick<Point, 'epoch' | 'sequence'> | null;
  /** Takes what a nudge carries: an envelope, roots. */
  pushed?(nudge: Nudge, retained: boolean): void;
  /** Takes the time statement that came along. */
  timed?(statement: Envelope): void;
}

export interface NudgeTrigger extends Trigger {
  counts(): NudgeCounts;
}

export interface NudgeCounts {
  readonly received: number;
  readonly malformed: number;
  /** for a channel that this device does not follow, or not that of the topic */
  readonly foreign: number;
  /** at or below the floor, with nothing in them */
  readonly old: number;
  /** replaced by a newer one before it was read */
  readonly unread: number;
}

type Count = Exclude<keyof NudgeCounts, 'received'>;

export function nudge(options: NudgeOptions): NudgeTrigger {
  const counts = { received: 0, malformed: 0, foreign: 0, old: 0, unread: 0 };
  return {
    name: 'nudge',
    counts: () => ({ ...counts }),
    start(wake) {
      const reader = rationed(options.clock, {
        unread: () => {
          counts.unread += 1;
        },
        read: (event) => {
          const seen = judge(event, options);
          if (typeof seen === 'string') counts[seen] += 1;
          else wake(seen);
        },
      });
      const stop = options.link.listen((event) => {
        if (event.kind !== 'nudge') return;
        counts.received += 1;
        reader.offer(event);
      });
      return () => {
        stop();
        reader.stop();
      };
    },
  };
}

function judge(event: NudgeEvent, options: NudgeOptions): Wake | Count {
  const read = readNudge(event.payload);
  if (!read.ok) return 'malformed';
  const { channel, epoch, sequence, stateDigest, manifestDigest, urgent } = read.value;
  const { topic } = event;
  if (topic.kind === 'channel-nudge' && topic.channel !== channel) return 'foreign';
  if (!options.channels.includes(channel)) return 'foreign';
  const carries = read.value.envelope !== null || read.value.roots.length > 0;
  if (carries) options.pushed?.(read.value, event.retained);
  if (read.value.time) options.timed?.(read.value.time);
  const floor = options.floor(channel);
  if (!carries && floor && comparePoints({ epoch, sequence }, floor) <= 0) return 'old';
  return { kind: 'nudge', channel, epoch, sequence, stateDigest, manifestDigest, urgent };
}

function rationed(
  clock: Clock,
  to: { read(event: NudgeEvent): void; unread(): void },
): { offer(event: NudgeEvent): void; stop(): void } {
  const ration = bucket(clock, { capacity: READ_BURST, refillMs: READ_EVERY_MS });
  const kept = new Map<string, NudgeEvent>();
  let cancel: (() => void) | null = null;
  function later(): void {
    cancel ??= clock.after(Math.max(1, ration.waitMs()), () => {
      cancel = null;
      for (const [key, event] of kept) {
        if (!ration.take()) break;
        kept.delete(key);
        to.read(event);
      }
      if (kept.size > 0) later();
    });
  }
  return {
    offer(event) {
      const key = `${event.topic.kind}/${'channel' in event.topic ? event.topic.channel : ''}`;
      if (kept.size === 0 && ration.take()) return to.read(event);
      if (kept.has(key) || kept.size >= UNREAD_MAX) to.unread();
      if (kept.has(key) || kept.size < UNREAD_MAX) kept.set(key, event);
      later();
    },
    stop() {
      cancel?.();
      kept.clear();
    },
  };
}
