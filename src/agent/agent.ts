/**
 * The loop: recovers, brings the last proven state into force, reports ready, then looks whenever a
 * trigger wakes it. Everything before `ready` works without network (I5). What is assembled from
 * where is in assemble.ts; one change is cycle.ts.
 */

import { phaseOf } from '#apply/journal.ts';
import { wantsRoom } from '#apply/of-disk.ts';
import { generationsOf, recover } from '#apply/recover.ts';
import { type ApplyContext, type Change, doStep, proveAndCommit } from '#apply/transaction.ts';
import { type Fault, ok, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Generation } from '#state/generation.ts';
import type { Gate } from '#triggers/gate.ts';
import type { Wake } from '#triggers/trigger.ts';
import { type CycleEnd, type CycleParts, resumeFrom, startCycle } from './cycle.ts';
import type { Deferral } from './deferral.ts';
import type { Drift } from './drift.ts';
import { goOnWithDeferred } from './go-on.ts';
import { pointOf, tellRefused } from './recovery-told.ts';
import { replan } from './replan.ts';

/** ms between two looks at the disk and the process table */
const WATCH_EVERY_MS = 30_000;
/** ms to the first further try of a state that failed for a passing reason; doubles to the cap */
const RETRY_BASE_MS = 5_000;
const RETRY_CAP_MS = 15 * 60_000;

export interface AgentParts extends CycleParts {
  readonly context: ApplyContext;
  readonly clock: Clock;
  readonly log: Log;
  readonly gate: Gate;
  readonly drift: Drift;
  readonly deferral: Deferral;
  /** what channels left here that are no longer followed: it runs on */
  orphaned(): readonly Generation[];
  /** the health window of a statement on disk, for recovery */
  healthWindowOf(stateDigest: Generation['digest']): number;
  /** Everything is recovered and runs: systemd, `wait --recovered`. */
  ready(): void;
  /** A look ended: the schedule learns whether its source was reached. */
  looked(end: CycleEnd): void;
  /** what is in force with the values of this device that are; null: it has them */
  makeValuesChange(signal: AbortSignal): Promise<Result<Change | null>>;
  /** These values cannot be used by what is in force. */
  rejectValues(why: Fault): void;
  wake(wake: Wake): void;
  /** Unreferenced blobs, statements and generations; only called when idle. */
  collect(): Promise<void>;
  /** What runs is watched by its health checks from now on; unchanged watches go on. */
  watchHealth(current: readonly Generation[]): void;
}

export interface Agent {
  /** Recovery and start; afterwards the device is in the old or the new state, whole. */
  start(): Promise<Result<void>>;
  /** Until `signal` aborts. Rejects on a broken assumption. */
  run(signal: AbortSignal): Promise<void>;
  /** One look now; resolves with its end. */
  look(wake: Wake): Promise<CycleEnd>;
  /** What waited for the spread or a window is due. */
  goOn(): Promise<void>;
  /** A state on disk that is accepted and not applied goes on (after a cut, after a hold). */
  resume(): Promise<CycleEnd | null>;
  current(): Result<readonly Generation[]>;
  /** Other values of this device are in force: what names them follows. Resolves when it has. */
  valuesChanged(): Promise<void>;
  /** Programs are about to be stopped: what is missing from now on is no drift. */
  leaveAlone(): void;
}

interface Loop {
  readonly parts: AgentParts;
  readonly stopping: AbortController;
  /** looks are done one after the other */
  queue: Promise<unknown>;
  retryMs: number;
  cancelRetry: () => void;
  /** null: none is due */
  cancelCollect: (() => void) | null;
  cancelWatch: () => void;
  /** a look at disk and processes is under way */
  watching: boolean;
  /** nothing is looked for any more */
  leftAlone: boolean;
  /** rejects `run`: the agent stops, recovery takes over at the next start */
  fail: (error: unknown) => void;
}

export function agent(parts: AgentParts): Agent {
  const loop: Loop = {
    parts,
    stopping: new AbortController(),
    queue: Promise.resolve(),
    retryMs: RETRY_BASE_MS,
    cancelRetry: () => {},
    cancelCollect: null,
    cancelWatch: () => {},
    watching: false,
    leftAlone: false,
    fail: (error) => {
      throw error;
    },
  };
  return {
    start: () => start(loop),
    run: (signal) => run(loop, signal),
    look: (wake) => look(loop, wake),
    goOn: () => goOn(loop).catch((error: unknown) => loop.fail(error)),
    resume: () => resume(loop),
    current: () => currentOf(loop),
    valuesChanged: () => valuesChanged(loop).catch((error: unknown) => loop.fail(error)),
    leaveAlone: () => {
      loop.leftAlone = true;
    },
  };
}

async function start(loop: Loop): Promise<Result<void>> {
  const { parts } = loop;
  const { context, follower } = parts;
  const row = follower.row();
  const { intent } = row;
  const window = intent ? parts.healthWindowOf(intent.to.stateDigest) : 0;
  const recovered = await recover(context, row, window, follower.safeMode());
  if (!recovered.ok) return recovered;
  if (recovered.value.kind === 'closed') {
    const begun = await bringIntoForce(loop);
    if (!begun.ok) return begun;
  }
  parts.ready();
  parts.changed();
  if (recovered.value.kind === 'proving') {
    goOnProving(loop, recovered.value.change).catch((error: unknown) => loop.fail(error));
  }
  return ok(undefined);
}

/** The second half of a change that was cut; what follows is as after any other change. */
async function goOnProving(loop: Loop, change: Change): Promise<void> {
  const { parts } = loop;
  await parts.runner.runOther(pointOf(change.to), async (signal) => {
    const outcome = await proveAndCommit(parts.context, change, signal);
    const code = 'fault' in outcome ? outcome.fault.code : '';
    parts.log.write('info', `recovery.${outcome.kind}`, { code });
    tellRefused(parts.follower, change, outcome);
  });
  parts.changed();
  const { intent, applied } = parts.follower.row();
  if (intent) retryLater(loop);
  else if (applied?.stateDigest === change.to.stateDigest) collectLater(loop);
  watchHealthNow(loop);
  await followValues(loop);
}

/**
 * The last proven state, in order. One deployment that cannot start does not keep the others from
 * starting; the watch tries it again, and status says so.
 */
async function bringIntoForce(loop: Loop): Promise<Result<void>> {
  const { parts } = loop;
  const current = currentOf(loop);
  if (!current.ok) return current;
  for (const generation of [...current.value, ...parts.orphaned()]) {
    if (generation.deployment.profile.kind !== 'process') continue;
    const step = { kind: 'activate', next: generation, previous: generation } as const;
    const done = await doStep(parts.context, step);
    if (!done.ok) complain(parts.log, generation.id, done.fault);
  }
  await parts.drift.pass(current.value, 'hash');
  parts.watchHealth(current.value);
  return ok(undefined);
}

async function run(loop: Loop, signal: AbortSignal): Promise<void> {
  const { parts, stopping } = loop;
  const failed = new Promise<never>((_, reject) => {
    loop.fail = reject;
  });
  const stop = () => stopping.abort();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  watchLater(loop);
  void resume(loop)
    .then(() => followValues(loop))
    .then(() => parts.deferral.begin())
    .catch(loop.fail);
  try {
    await Promise.race([wakes(loop), failed]);
  } finally {
    stopping.abort();
    loop.cancelRetry();
    parts.deferral.stop();
    loop.cancelCollect?.();
    loop.cancelWatch();
  }
  if (!parts.runner.busy) return;
  parts.log.write('info', 'stop.leaves-open', { phase: phaseOf(parts.follower.row()) });
}

async function wakes(loop: Loop): Promise<void> {
  const { parts, stopping } = loop;
  while (!stopping.signal.aborted) {
    for (const wake of await parts.gate.next(stopping.signal)) {
      await look(loop, wake, 'head only').catch(loop.fail);
    }
  }
}

/** @param until  `head only`: resolves when another wake may be looked at, before the change ends */
function look(loop: Loop, wake: Wake, until?: 'head only'): Promise<CycleEnd> {
  const { parts, stopping } = loop;
  const begun = loop.queue.then(() => startCycle(parts, wake, stopping.signal));
  loop.queue = begun.then(({ looked }) => looked).catch(() => undefined);
  const ended = begun.then(({ ended }) => ended).then((end) => afterwards(loop, wake, end));
  if (until === undefined) return ended;
  ended.catch((error: unknown) => loop.fail(error));
  return loop.queue.then(() => ({ kind: 'unchanged', source: '' }));
}

function afterwards(loop: Loop, wake: Wake, end: CycleEnd): CycleEnd {
  const { parts, stopping } = loop;
  const code = 'fault' in end ? end.fault.code : '';
  const level = end.kind === 'refused' || end.kind === 'unreachable' ? 'warn' : 'info';
  const quiet = end.kind === 'unchanged' && wake.kind !== 'command';
  const message = 'fault' in end ? end.fault.message : '';
  parts.log.write(quiet ? 'debug' : level, `look.${end.kind}`, { wake: wake.kind, code, message });
  parts.looked(end);
  settle(loop, end);
  // What was applied a moment ago has been read back by its own steps.
  const due = end.kind !== 'applied' && !stopping.signal.aborted;
  if (due) void watch(loop).catch(loop.fail);
  return end;
}

/** What follows an end: collect when all is well, another try when it may pass by itself. */
function settle(loop: Loop, end: CycleEnd): void {
  const { parts } = loop;
  if (end.kind === 'applied') {
    watchHealthNow(loop);
    collectLater(loop);
    void followValues(loop).catch(loop.fail);
    return;
  }
  const { intent } = parts.follower.row();
  // Values that came while this was under way.
  if (end.kind === 'refused' || end.kind === 'superseded') {
    void followValues(loop).catch(loop.fail);
  }
  // What was fetched and staged for a state that is refused is needed by nobody.
  if (end.kind === 'refused' && !intent) collectLater(loop);
  if (end.kind !== 'waiting') return;
  // A disk may be full of what was replaced a moment ago and is not yet removed.
  if (wantsRoom(end.fault.code)) void collect(loop);
  if (intent) retryLater(loop);
}

function watchHealthNow(loop: Loop): void {
  const current = currentOf(loop);
  if (current.ok) loop.parts.watchHealth(current.value);
}

function collectLater(loop: Loop): void {
  loop.retryMs = RETRY_BASE_MS;
  loop.cancelRetry();
  collectDue(loop);
}

/** The first of many changes sets the time: a channel that never rests is collected as well. */
function collectDue(loop: Loop): void {
  loop.cancelCollect ??= loop.parts.clock.after(WATCH_EVERY_MS, () => {
    loop.cancelCollect = null;
    void collect(loop);
  });
}

function retryLater(loop: Loop): void {
  loop.cancelRetry();
  const wait = loop.retryMs;
  loop.retryMs = Math.min(wait * 2, RETRY_CAP_MS);
  loop.cancelRetry = loop.parts.clock.after(wait, () => void resume(loop).catch(loop.fail));
}

/**
 * The floor's statement is on disk, accepted, neither applied nor rejected: it is judged again
 * (check 13: resumed) and tried again; what is missing is fetched.
 */
async function resume(loop: Loop): Promise<CycleEnd | null> {
  const { parts, stopping } = loop;
  const { floor, applied, hold, intent } = parts.follower.row();
  if (stopping.signal.aborted || parts.runner.busy || !floor || hold) return null;
  if (floor.stateDigest === applied?.stateDigest && !intent) return followValues(loop);
  if (intent && intent.phase !== 'waiting') return undoAgain(loop);
  if (intent?.kind === 'values') return followValues(loop);
  const kept = parts.context.content.readStatement(floor.stateDigest);
  if (!kept.ok) return null;
  const { envelope, via } = kept.value;
  const found = parts.finder.judge(envelope, via, parts.clock.monotonicMs());
  if (found.kind === 'current' && !intent) return null;
  const end = await resumeFrom(parts, found);
  parts.log.write('info', `resume.${end.kind}`, { code: 'fault' in end ? end.fault.code : '' });
  settle(loop, end);
  return end;
}

async function goOn(loop: Loop): Promise<void> {
  const { parts, stopping } = loop;
  if (stopping.signal.aborted) return;
  const end = await goOnWithDeferred(parts);
  if (end) afterwards(loop, { kind: 'schedule' }, end);
  else await resume(loop);
}

/** What is on disk goes on with them, a state that was only looked at is looked at again. */
async function valuesChanged(loop: Loop): Promise<void> {
  const { follower, wake } = loop.parts;
  await resume(loop);
  if (follower.waitingFor()?.code === 'values.unresolved') wake({ kind: 'schedule' });
}

async function followValues(loop: Loop): Promise<null> {
  if (loop.stopping.signal.aborted) return null;
  const end = await replan(loop.parts, loop.stopping.signal);
  if (end === 'nothing') return null;
  loop.parts.changed();
  if (end === 'later') retryLater(loop);
  else collectLater(loop);
  watchHealthNow(loop);
  return end === 'ended' ? followValues(loop) : null;
}

/** From `stuck`: the undo is tried again; it is idempotent like every step of it. */
async function undoAgain(loop: Loop): Promise<null> {
  const { parts } = loop;
  const { intent } = parts.follower.row();
  if (!intent) return null;
  await parts.runner.runOther(pointOf(intent.to), async () => {
    const again = await recover(parts.context, parts.follower.row(), 0);
    if (!again.ok) complain(parts.log, '', again.fault);
  });
  parts.changed();
  if (parts.follower.row().intent) retryLater(loop);
  // Closed now: judged once more, so that a rejection is told.
  else await resume(loop);
  return null;
}

function watchLater(loop: Loop): void {
  const { parts, stopping } = loop;
  loop.cancelWatch = parts.clock.after(WATCH_EVERY_MS, () => {
    void watch(loop)
      .catch(loop.fail)
      .finally(() => {
        if (!stopping.signal.aborted) watchLater(loop);
      });
  });
}

/** Every 30 s and after each wake that changed nothing; never two at once. */
async function watch(loop: Loop): Promise<void> {
  const { parts } = loop;
  if (parts.runner.busy || loop.watching || loop.leftAlone) return;
  const current = currentOf(loop);
  if (!current.ok) return complain(parts.log, '', current.fault);
  loop.watching = true;
  try {
    await parts.drift.pass(current.value, 'stat');
  } finally {
    loop.watching = false;
  }
  parts.watchHealth(current.value);
}

async function collect(loop: Loop): Promise<void> {
  const { parts } = loop;
  if (parts.runner.busy) return collectDue(loop);
  await parts.collect().catch(loop.fail);
}

/** The generations of the applied state; its row is decoded and loaded once (apply/load.ts). */
function currentOf(loop: Loop): Result<readonly Generation[]> {
  const row = loop.parts.follower.row();
  return generationsOf(loop.parts.context, row, row.applied?.stateDigest ?? null);
}

function complain(log: Log, deployment: string, why: Fault): void {
  log.write('error', 'start.failed', { deployment, code: why.code, message: why.message });
}
