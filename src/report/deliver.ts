/**
 * Delivers the status when there is a link: a task of its own, which pulling and applying never wait
 * for. It builds the newest status at the moment of sending, so that nothing old is ever sent; one is
 * under way at a time; bursts are put together. What cannot be delivered waits for the link or, when
 * the broker refuses it, for a backoff. Only memory knows what was acknowledged (outbox.ts: settle).
 * Idle, it has no timer.
 */
import { type Fault, ok, type Result } from '#errors/fault.ts';
import { type Backoff, backoff } from '#link/backoff.ts';
import type { MqttLink } from '#link/mqtt.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Random } from '#platform/random.ts';
import type { Signer } from '#platform/signer.ts';
import type { Status } from '#state/status.ts';
import type { StoreReader, StoreWriter } from '#store/store.ts';
import { type Acknowledged, readOutbox, settleOutbox } from './outbox.ts';
import { signStatus } from './sign.ts';
import { makeStatus, sameCondition } from './status.ts';

/** ms between two reports about details: health, restarts, drift */
const DETAIL_EVERY_MS = 3_000;
/** reports of changed phases that may go at once; then one a second */
const PHASE_BURST = 8;
const PHASE_EVERY_MS = 1_000;
/** ms that a phase may last untold: most changes are whole before, and tell their end alone */
const PASSING_MS = 250;
const RETRY_BASE_MS = 1_000;
const RETRY_CAP_MS = 15 * 60_000;

/** What the agent knows; the outbox and the counters are added here. */
export type Snapshot = Omit<
  Status,
  'boot' | 'report' | 'previousReport' | 'events' | 'eventsDropped' | 'deviceKey'
>;

export interface DeliveryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly link: Pick<MqttLink, 'listen' | 'publish' | 'state'>;
  readonly topic: string;
  readonly signer: Signer;
  readonly store: StoreReader;
  /** durable, grows at each start of the agent */
  readonly boot: bigint;
  /** the condition of the device now, read from the disk and the runtimes */
  snapshot(): Result<Snapshot>;
}

export interface Delivery {
  start(): void;
  changed(what: News): void;
  /** Number of the newest event that a broker has acknowledged; 0n: none since the start. */
  acknowledgedEvents(): bigint;
  /** To be called within a commit made for another reason. */
  settle(tx: StoreWriter): Result<void>;
  /** The newest status made, delivered or not: what `holdfast status` compares with. */
  last(): LastReport | null;
  stop(): void;
}

/**
 * `phase`: a phase or a refusal that stays, told at once; `passing`: a phase that another follows,
 * told if that takes long; `detail`: told within a few seconds.
 */
export type News = 'phase' | 'passing' | 'detail';

export interface LastReport {
  readonly report: bigint;
  /** Unix ms of the acknowledgement; null: not delivered */
  readonly deliveredAt: number | null;
  readonly fault: Fault | null;
}

interface Task {
  readonly options: DeliveryOptions;
  report: bigint;
  acknowledged: Acknowledged | null;
  /** what the broker holds as retained message, as far as is known */
  held: Status | null;
  last: LastReport | null;
  dirty: News | null;
  /** monotonic ms since which a passing phase is untold */
  passingSince: number;
  sending: boolean;
  stopped: boolean;
  /** monotonic ms before which nothing is sent: a refusal's backoff */
  notBefore: number;
  lastSentAt: number;
  cancel: () => void;
}

export function deliverStatus(options: DeliveryOptions): Delivery {
  const { clock, link } = options;
  const retries = backoff({ baseMs: RETRY_BASE_MS, capMs: RETRY_CAP_MS, random: options.random });
  const task: Task = {
    options,
    report: 0n,
    acknowledged: null,
    held: null,
    last: null,
    dirty: 'phase',
    passingSince: 0,
    sending: false,
    stopped: true,
    notBefore: Number.NEGATIVE_INFINITY,
    lastSentAt: Number.NEGATIVE_INFINITY,
    cancel: () => {},
  };
  const phases = spacing(clock);
  let unlisten = (): void => {};

  function consider(): void {
    task.cancel();
    task.cancel = () => {};
    if (task.stopped || task.sending || task.dirty === null || link.state().kind === 'down') return;
    const now = clock.monotonicMs();
    const waitMs = Math.max(spacedMs(task, phases, now), task.notBefore - now);
    if (waitMs > 0) {
      task.cancel = clock.after(waitMs, consider);
      return;
    }
    if (task.dirty !== 'detail') phases.take();
    task.dirty = null;
    task.sending = true;
    task.lastSentAt = now;
    void send(task).then((sent) => {
      task.sending = false;
      if (sent.ok) retries.reset();
      else waitAfter(task, sent.fault, retries);
      consider();
    });
  }
  return {
    start() {
      task.stopped = false;
      unlisten = link.listen((event) => {
        if (event.kind !== 'up') return;
        // A broker may have lost what it retained: tell it again.
        task.held = null;
        task.dirty = 'phase';
        consider();
      });
      consider();
    },
    changed(what) {
      note(task, what, clock.monotonicMs());
      // Not within the caller's work: what a change has to do next comes first.
      task.cancel();
      task.cancel = clock.after(0, consider);
    },
    acknowledgedEvents: () => task.acknowledged?.event ?? 0n,
    settle: (tx) => (task.acknowledged ? settleOutbox(tx, task.acknowledged) : ok()),
    last: () => task.last,
    stop() {
      task.stopped = true;
      task.cancel();
      unlisten();
    },
  };
}

const RANK: Readonly<Record<News, number>> = { detail: 0, passing: 1, phase: 2 };

function waitAfter(task: Task, { code }: Fault, retries: Backoff): void {
  task.dirty ??= 'detail';
  // Without a link its return is what starts the next try.
  if (code === 'link.down') return;
  task.notBefore = task.options.clock.monotonicMs() + retries.next();
}

function note(task: Task, what: News, now: number): void {
  if (what === 'passing' && task.dirty !== 'passing') task.passingSince = now;
  if (task.dirty === null || RANK[what] > RANK[task.dirty]) task.dirty = what;
}

/** ms until what is to be told may go, by its kind alone */
function spacedMs(task: Task, phases: Spacing, now: number): number {
  if (task.dirty === 'detail') return task.lastSentAt + DETAIL_EVERY_MS - now;
  const passingMs = task.dirty === 'passing' ? task.passingSince + PASSING_MS - now : 0;
  return Math.max(passingMs, phases.waitMs());
}

/** Builds, signs and publishes one status. */
async function send(task: Task): Promise<Result<void>> {
  const { clock, log, link, topic, signer, store, boot, snapshot } = task.options;
  const seen = snapshot();
  if (!seen.ok) return failed(task, seen.fault);
  const outbox = readOutbox(store, task.acknowledged);
  if (!outbox.ok) return failed(task, outbox.fault);
  const { events, eventsDropped, previousReport } = outbox.value;
  const { status, payload } = makeStatus({
    ...seen.value,
    events,
    eventsDropped,
    previousReport,
    boot,
    report: task.report + 1n,
    deviceKey: signer.publicKey,
  });
  const nothingNew = events.length === 0 && eventsDropped === 0n;
  if (nothingNew && task.held && sameCondition(status, task.held)) return ok();
  const signed = await signStatus(signer, payload);
  if (!signed.ok) return failed(task, signed.fault);
  // Counted even if it fails: what a broker may have seen is never another report.
  task.report = status.report;
  const published = await link.publish(topic, signed.value.message, true);
  if (!published.ok) {
    // It may have arrived or not: only an acknowledged one is known to be held.
    task.held = null;
    return failed(task, published.fault);
  }
  task.held = status;
  task.acknowledged = {
    boot,
    report: status.report,
    digest: signed.value.digest,
    event: status.events.at(-1)?.number ?? outbox.value.before,
  };
  task.last = { report: status.report, deliveredAt: clock.wallMs(), fault: null };
  log.write('debug', 'report.delivered', {
    report: status.report,
    bytes: signed.value.message.length,
  });
  if (status.events.length < events.length) task.dirty ??= 'detail';
  return ok();
}

function failed(task: Task, fault: Fault): Result<void> {
  task.last = { report: task.report, deliveredAt: null, fault };
  if (fault.code !== 'link.down') {
    task.options.log.write('warn', 'report.failed', { code: fault.code, message: fault.message });
  }
  return { ok: false, fault };
}

interface Spacing {
  waitMs(): number;
  take(): void;
}

/** PHASE_BURST at once, then one every PHASE_EVERY_MS. */
function spacing(clock: Pick<Clock, 'monotonicMs'>): Spacing {
  // As a virtual time: how far ahead of real time the reports already are.
  let fullAt = Number.NEGATIVE_INFINITY;
  return {
    waitMs: () => fullAt - (PHASE_BURST - 1) * PHASE_EVERY_MS - clock.monotonicMs(),
    take: () => {
      fullAt = Math.max(fullAt, clock.monotonicMs()) + PHASE_EVERY_MS;
    },
  };
}
