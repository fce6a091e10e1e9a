/**
 * The loop of one channel: recovers, brings its last proven state into force, then looks whenever a
 * trigger wakes it. Everything before the device is ready works without network (I5). The loops of a
 * device are put together in device-agent.ts, a loop's parts in line.ts; one change is cycle.ts.
 */

import { phaseOf, wholeInForce } from '#apply/journal.ts';
import { recordLeftOpen } from '#apply/leave-open.ts';
import { wantsRoom } from '#apply/of-disk.ts';
import { generationsOf, recover } from '#apply/recover.ts';
import { type Change, doStep, proveAndCommit } from '#apply/transaction.ts';
import { type Fault, ok, type Result } from '#errors/fault.ts';
import type { Log } from '#platform/log.ts';
import { runsPrograms } from '#state/compose.ts';
import type { Generation } from '#state/generation.ts';
import type { Wake } from '#triggers/trigger.ts';
import { type CycleEnd, resumeFrom, startCycle } from './cycle.ts';
import { goOnWithDeferred } from './go-on.ts';
import type { Agent, AgentParts, Glance } from './loop-parts.ts';
import { pointOf, tellRefused } from './recovery-told.ts';
import { replan } from './replan.ts';

/** ms between two looks at the disk and the process table */
const WATCH_EVERY_MS = 30_000;
/** ms to the first further try of a state that failed for a passing reason; doubles to the cap */
const RETRY_BASE_MS = 5_000;
const RETRY_CAP_MS = 15 * 60_000;

interface Loop {
  readonly parts: AgentParts;
  /** set by `recover`: the change whose proof goes on */
  proving: Change | null;

  readonly stopping: AbortController;
  /** looks are done one after the other */
  queue: Promise<unknown>;
  retryMs: number;
  cancelRetry: () => void;
  /** null: none is due */
  cancelCollect: (() => void) | null;
  cancelWatch: () => void;
  /** a look at disk and processes is under way; null: none is */
  watching: Promise<void> | null;
  /** nothing is looked for any more */
  leftAlone: boolean;
  /** rejects `run`: the agent stops, recovery takes over at the next start */
  fail: (error: unknown) => void;
}

export function agent(parts: AgentParts): Agent {
  const loop: Loop = {
    parts,
    proving: null,
    stopping: new AbortController(),
    queue: Promise.resolve(),
    retryMs: RETRY_BASE_MS,
    cancelRetry: () => {},
    cancelCollect: null,
    cancelWatch: () => {},
    watching: null,
    leftAlone: false,
    fail: (error) => {
      throw error;
    },
  };
  return {
    recover: () => recoverOpen(loop),
    bringIntoForce: async () => (loop.proving ? ok() : bringIntoForce(loop)),
    proveOn() {
      const { proving } = loop;
      loop.proving = null;
      if (proving) goOnProving(loop, proving).catch((error: unknown) => loop.fail(error));
    },
    run: (signal) => run(loop, signal),
    look: (wake) => glance(loop, wake).ended,
    glance: (wake) => glance(loop, wake),
    goOn: () => goOn(loop).catch((error: unknown) => loop.fail(error)),
    resume: () => resume(loop),
    current: () => currentOf(loop),
    valuesChanged: () => valuesChanged(loop).catch((error: unknown) => loop.fail(error)),
    leaveAlone: () => leaveAlone(loop),
  };
}

async function recoverOpen(loop: Loop): Promise<Result<void>> {
  const { parts } = loop;
  const { context, follower } = parts;
  const row = follower.row();
  const { intent } = row;
  const window = intent ? parts.healthWindowOf(intent.to.stateDigest) : 0;
  const recovered = await recover(context, row, window, follower.safeMode());
  if (!recovered.ok) return recovered;
  if (recovered.value.kind === 'proving') loop.proving = recovered.value.change;
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
  for (const generation of current.value) {
    if (!runsPrograms(generation.deployment)) continue;
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
    parts.again.stop();
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
      const { found, ended } = glance(loop, wake);
      // Another wake may be looked at before the change ends.
      ended.catch((error: unknown) => loop.fail(error));
      await found;
    }
  }
}

function glance(loop: Loop, wake: Wake): Glance {
  const { parts, stopping } = loop;
  const begun = loop.queue.then(() => startCycle(parts, wake, stopping.signal));
  const found = begun.then(({ found }) => found).catch(() => null);
  loop.queue = found;
  const ended = begun.then(({ ended }) => ended).then((end) => afterwards(loop, wake, end));
  return { found, ended };
}

function afterwards(loop: Loop, wake: Wake, end: CycleEnd): CycleEnd {
  const { parts, stopping } = loop;
  const code = 'fault' in end ? end.fault.code : '';
  const level = end.kind === 'refused' || end.kind === 'unreachable' ? 'warn' : 'info';
  const quiet = end.kind === 'unchanged' && wake.kind !== 'command';
  const message = 'fault' in end ? end.fault.message : '';
  const { channel } = parts.follower;
  const told = { wake: wake.kind, channel, code, message };
  parts.log.write(quiet ? 'debug' : level, `look.${end.kind}`, told);
  parts.looked(end);
  parts.again.looked(wake, end);
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
  const row = parts.follower.row();
  const { floor, hold, intent } = row;
  if (stopping.signal.aborted || parts.runner.busy || !floor || hold) return null;
  const inForce = wholeInForce(row)?.stateDigest;
  if (floor.stateDigest === inForce && !intent) return followValues(loop);
  // Its second half comes with the start that is asked for (apply/transaction.ts).
  if (intent?.restarting) return null;
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
  // What an undo started anew has not been looked at yet.
  if (end.kind !== 'applied') watchHealthNow(loop);
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
  const code = follower.waitingFor()?.code ?? '';
  if (['package.credential', 'values.unresolved'].includes(code)) wake({ kind: 'schedule' });
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
  if (parts.runner.busy || loop.watching !== null || loop.leftAlone) return;
  const current = currentOf(loop);
  if (!current.ok) return complain(parts.log, '', current.fault);
  loop.watching = parts.drift.pass(current.value, 'stat');
  try {
    await loop.watching;
  } finally {
    loop.watching = null;
  }
  if (!loop.leftAlone) parts.watchHealth(current.value);
}

async function leaveAlone(loop: Loop): Promise<void> {
  const { context, follower, runner, log } = loop.parts;
  loop.leftAlone = true;
  const halted = runner.halt();
  const recorded = recordLeftOpen(context, follower.fleet, follower.channel);
  // The next start takes it for a cut then, and counts it.
  if (!recorded.ok) log.write('warn', 'stop.unrecorded', { code: recorded.fault.code });
  await Promise.all([halted, loop.watching?.catch(() => undefined)]);
}

async function collect(loop: Loop): Promise<void> {
  const { parts } = loop;
  if (parts.deviceBusy()) return collectDue(loop);
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
