/**
 * When this device asks what time it is, and where: over MQTT whenever the link is up, at `time.url`,
 * and for what was signed for everyone, at the tag `time` of its registries. Once each interval where
 * a way answers, with backoff where none does. It asks nobody while its root has no role `time`.
 *
 * Invariants: one round at a time; what comes over MQTT is rationed, so that floods cost little.
 */
import type { Result } from '#errors/fault.ts';
import { type Backoff, backoff } from '#link/backoff.ts';
import type { MqttLink } from '#link/mqtt.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Random } from '#platform/random.ts';
import type { Envelope } from '#state/envelope.ts';
import type { TimeRequest } from '#state/time-statement.ts';
import { bucket } from '#triggers/bucket.ts';
import { readEnvelopeMessage } from '#wire/envelope-message.ts';
import { writeTimeRequest } from '#wire/time-statement.ts';

export interface TimeAsking {
  /** The returned function stops it. */
  start(): () => void;
  /** The root may have a role `time` now, or the last round is worth nothing: soon. */
  kick(): void;
  /** One round, to its end: for an agent that looks once. */
  now(): Promise<void>;
}

export interface TimeAskingInput {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** null: no broker */
  readonly mqtt: Pick<MqttLink, 'listen' | 'publish' | 'state'> | null;
  /** this device's topic for questions */
  readonly askTopic: string;
  /** a POST; null: no time.url */
  askUrl: ((request: TimeRequest, signal: AbortSignal) => Promise<Result<Uint8Array>>) | null;
  /** what the registries hold for everyone */
  readonly tags: readonly ((signal: AbortSignal) => Promise<Result<Uint8Array | null>>)[];
  readonly intervalMs: number;
  /** the root names a role `time` */
  wanted(): boolean;
  /** ms since the last attestation; null: none */
  attestedAgoMs(): number | null;
  /** With a fresh nonce. */
  question(): TimeRequest;
  take(offered: Uint8Array | Envelope, way: string): void;
}

const RETRY_BASE_MS = 60_000;
const RETRY_CAP_MS = 3_600_000;
/** a fleet whose broker comes back does not ask all at once */
const SPREAD_MS = 2_000;
/** messages judged at once after a quiet time, then one a second */
const READ_BURST = 10;
const READ_EVERY_MS = 1_000;
/** of the interval: jitter */
const JITTER = 0.2;

interface Task {
  readonly input: TimeAskingInput;
  readonly waits: Backoff;
  readonly stopping: AbortController;
  cancel: () => void;
  /** a round is under way */
  asking: boolean;
  /** when it is over, another one */
  again: boolean;
}

export function timeAsking(input: TimeAskingInput): TimeAsking {
  const { clock, random, mqtt } = input;
  const capMs = Math.max(RETRY_BASE_MS, Math.min(RETRY_CAP_MS, input.intervalMs));
  const task: Task = {
    input,
    waits: backoff({ baseMs: RETRY_BASE_MS, capMs, random }),
    stopping: new AbortController(),
    cancel: () => {},
    asking: false,
    again: false,
  };
  return {
    kick: () => soon(task),
    now: async () => {
      if (input.wanted()) await askAll(task);
    },
    start() {
      const reader = rationed(clock, (payload) => {
        const envelope = readEnvelopeMessage(payload);
        if (envelope.ok) input.take(envelope.value, 'mqtt');
      });
      const stop =
        mqtt?.listen((event) => {
          if (event.kind === 'up') soon(task);
          if (event.kind === 'time') reader.offer(event.own ? 'own' : 'all', event.payload);
        }) ?? (() => {});
      soon(task);
      return () => {
        stop();
        reader.stop();
        task.cancel();
        task.stopping.abort();
      };
    },
  };
}

/** Past the ration only the newest of each topic is kept, and read when there is a ration again. */
function rationed(clock: Clock, read: (payload: Uint8Array) => void) {
  const ration = bucket(clock, { capacity: READ_BURST, refillMs: READ_EVERY_MS });
  const unread = new Map<'own' | 'all', Uint8Array>();
  let cancel: (() => void) | null = null;
  const later = (): void => {
    cancel ??= clock.after(Math.max(1, ration.waitMs()), () => {
      cancel = null;
      for (const [topic, payload] of unread) {
        if (!ration.take()) break;
        unread.delete(topic);
        read(payload);
      }
      if (unread.size > 0) later();
    });
  };
  return {
    offer(topic: 'own' | 'all', payload: Uint8Array): void {
      if (unread.size === 0 && ration.take()) {
        read(payload);
        return;
      }
      unread.set(topic, payload);
      later();
    },
    stop(): void {
      cancel?.();
      unread.clear();
    },
  };
}

function soon(task: Task): void {
  const { clock, random } = task.input;
  later(task, Math.floor(SPREAD_MS * random.unit()), clock);
}

function later(task: Task, ms: number, clock: Pick<Clock, 'after'>): void {
  task.cancel();
  if (task.stopping.signal.aborted) return;
  if (task.asking) {
    task.again = true;
    return;
  }
  task.cancel = clock.after(ms, () => {
    void round(task);
  });
}

async function round(task: Task): Promise<void> {
  const { input } = task;
  if (!input.wanted()) return;
  task.asking = true;
  task.again = false;
  await askAll(task).finally(() => {
    task.asking = false;
  });
  if (task.again) return soon(task);
  next(task);
}

/** A question over MQTT is answered later: its answer is seen when the next round is due. */
function next(task: Task): void {
  const { clock, random, intervalMs, attestedAgoMs } = task.input;
  const ago = attestedAgoMs();
  if (ago === null || ago >= intervalMs) {
    later(task, task.waits.next(), clock);
    return;
  }
  task.waits.reset();
  later(task, Math.max(RETRY_BASE_MS, (intervalMs - ago) * (1 - JITTER * random.unit())), clock);
}

async function askAll({ input, stopping }: Task): Promise<void> {
  const { mqtt, askTopic, askUrl, tags, log } = input;
  const fresh = input.attestedAgoMs();
  const due = fresh === null || fresh >= input.intervalMs * (1 - JITTER);
  if (due && mqtt?.state().kind === 'up') {
    const asked = await mqtt.publish(askTopic, writeTimeRequest(input.question()), false);
    if (!asked.ok) log.write('debug', 'time.unasked', { way: 'mqtt', code: asked.fault.code });
  }
  if (due && askUrl) {
    const answer = await askUrl(input.question(), stopping.signal);
    if (answer.ok) input.take(answer.value, 'time.url');
    else log.write('info', 'time.unasked', { way: 'time.url', code: answer.fault.code });
  }
  for (const tag of tags) {
    const found = await tag(stopping.signal);
    if (stopping.signal.aborted) return;
    if (found.ok && found.value) input.take(found.value, 'registry');
    if (!found.ok) log.write('debug', 'time.unasked', { way: 'registry', code: found.fault.code });
  }
}
