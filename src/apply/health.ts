/**
 * Health: the proof after an activation (check 21), and the watch afterwards. A deployment without
 * checks is healthy when its activation has returned; every deployment of programs or containers has the
 * check alive. Deadlines use the monotonic clock; a failure seen while the loop itself was late by more
 * than a second is forgiven once (DESIGN section 6: a stalled SD card, SIGSTOP).
 */
import { type Fault, fault, ok, type Result, refused } from '#errors/fault.ts';
import type { HealthCheck } from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';
import { aliveForMs, hasContainers, type ProbeTools, probeRunner } from './probes/catalogue.ts';
import type { ProbeRunner } from './probes/probe.ts';

const STALLED_MS = 1_000;
const ALIVE_INTERVAL_MS = 1_000;
const ALIVE_GRACE_MS = 10_000;
/** the watch after the proof asks no more often than this */
const WATCH_INTERVAL_MIN_MS = 5_000;
/** ms: as exactly as the start of a program is known (a tick of the kernel) */
const STARTED_WITHIN_MS = 10;

export interface Health {
  readonly health: 'healthy' | 'unhealthy' | 'starting';
  /** `apply.health-failed`, or empty */
  readonly code: string;
  readonly message: string;
  readonly restarts: number;
}

/**
 * The declared checks, and alive for programs and containers unless the document declares one of that kind.
 */
export function checksOf(generation: Generation): readonly HealthCheck[] {
  const { profile, health } = generation.deployment;
  const bare = profile.kind !== 'process' && !hasContainers(generation);
  if (bare || health.some(({ probe }) => probe.kind === 'alive')) {
    return health;
  }
  const alive: HealthCheck = {
    name: 'alive',
    probe: { kind: 'alive' },
    startPeriodMs: 0,
    intervalMs: ALIVE_INTERVAL_MS,
    timeoutMs: aliveForMs(generation) + ALIVE_GRACE_MS,
    retries: 1,
  };
  return [alive, ...health];
}

/**
 * Every check of every generation passes once, and none fails for good until `windowMs` after the
 * start. Ends at the first that fails: `apply.health-failed`; `apply.superseded` on abort. Bounded:
 * each check has passed or failed after its start period and `retries` intervals and timeouts.
 */
export async function proveHealthy(
  tools: ProbeTools,
  generations: readonly Generation[],
  options: { readonly windowMs: number; readonly signal: AbortSignal; readonly point: string },
): Promise<Result<void>> {
  const checks = generations.flatMap((of) => checksOf(of).map((check) => ({ of, check })));
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const startMs = tools.clock.monotonicMs();
  const untilMs = startMs + options.windowMs;
  const window = async (): Promise<Fault | null> => {
    await tools.clock.sleep(options.windowMs, signal);
    return null;
  };
  const proofs = checks.map(({ of, check }) =>
    prove(tools, of, check, { startMs, untilMs, signal }),
  );
  const failed = await firstFault([...proofs, window()]);
  stop.abort();
  await Promise.all(proofs);
  if (failed) return refused(failed);
  if (options.signal.aborted) return refused(fault('apply.superseded', { point: options.point }));
  return ok(undefined);
}

/** As soon as one has failed; null when all have ended well. */
function firstFault(proofs: readonly Promise<Fault | null>[]): Promise<Fault | null> {
  return new Promise((resolve, reject) => {
    for (const proof of proofs) {
      proof.then((failed) => {
        if (failed) resolve(failed);
      }, reject);
    }
    Promise.all(proofs).then(() => resolve(null), reject);
  });
}

interface Span {
  readonly startMs: number;
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

/** One check until it has passed and the window is over, or it has failed for good. */
async function prove(
  tools: ProbeTools,
  of: Generation,
  check: HealthCheck,
  { startMs, untilMs, signal }: Span,
): Promise<Fault | null> {
  const { clock } = tools;
  const runner = probeRunner(tools, of, check.probe);
  const look = lookAt(tools, of, check, runner);
  for (;;) {
    const seen = await look(clock.monotonicMs() - startMs < check.startPeriodMs, signal);
    if (signal.aborted) return null;
    if (seen.kind === 'failed') return seen.fault;
    const leftMs = untilMs - clock.monotonicMs();
    if (seen.kind === 'passed' && leftMs <= 0) return null;
    await clock.sleep(
      seen.kind === 'passed' ? Math.min(check.intervalMs, leftMs) : check.intervalMs,
      signal,
    );
    if (signal.aborted) return null;
  }
}

type Seen =
  | { readonly kind: 'passed' }
  /** failures do not count yet, or not often enough */
  | { readonly kind: 'pending'; readonly reason: string }
  | { readonly kind: 'failed'; readonly fault: Fault };

/** Counts failures in a row; the one that a late loop may have caused does not count, once. */
function lookAt(tools: ProbeTools, of: Generation, check: HealthCheck, runner: ProbeRunner) {
  const { clock } = tools;
  let failures = 0;
  let forgiven = false;
  let dueMs: number | null = null;
  return async (starting: boolean, signal: AbortSignal): Promise<Seen> => {
    const begunMs = clock.monotonicMs();
    const lateMs = dueMs === null ? 0 : begunMs - dueMs;
    const result = await runner.run(of, check.timeoutMs, signal);
    const endedMs = clock.monotonicMs();
    dueMs = endedMs + check.intervalMs;
    if (result.healthy) {
      failures = 0;
      return { kind: 'passed' };
    }
    const stalled = Math.max(lateMs, endedMs - begunMs - check.timeoutMs) > STALLED_MS;
    const { reason } = result;
    if (starting) return { kind: 'pending', reason };
    if (stalled && !forgiven) {
      forgiven = true;
      return { kind: 'pending', reason };
    }
    failures += 1;
    if (failures < Math.max(1, check.retries)) return { kind: 'pending', reason };
    const details = { deployment: of.id, check: check.name, reason };
    return { kind: 'failed', fault: fault('apply.health-failed', details) };
  };
}

/** The checks of what is applied, seldom and cheap: status reads the last result. */
export interface HealthMonitor {
  /** These have just passed every check: they are healthy before their first look here. */
  proven(generations: readonly Generation[]): void;
  /**
   * Watches exactly these from now on; unchanged ones are not disturbed, unless their program was
   * started anew since their watch began: then it has its start period again.
   */
  watch(generations: readonly Generation[]): void;
  health(generation: Generation): Health;
  close(): void;
}

export function healthMonitor(
  tools: ProbeTools,
  onChange: (generation: Generation) => void,
): HealthMonitor {
  const watched = new Map<string, Watch>();
  const proven = new Set<string>();
  const keyOf = ({ id, digest }: Generation) => `${id}\0${digest}`;
  return {
    proven(generations) {
      for (const generation of generations) proven.add(keyOf(generation));
    },
    watch(generations) {
      const wanted = new Map(generations.map((generation) => [keyOf(generation), generation]));
      for (const [key, { stop, begunMs }] of watched) {
        const generation = wanted.get(key);
        if (generation && !isYounger(tools, generation, begunMs)) continue;
        stop.abort();
        watched.delete(key);
      }
      for (const [key, generation] of wanted) {
        if (watched.has(key)) continue;
        watched.set(key, watchOne(tools, generation, { onChange, proven: proven.has(key) }));
      }
      proven.clear();
    },
    health: (generation) => healthOf(tools, generation, watched.get(keyOf(generation))),
    close() {
      for (const { stop } of watched.values()) stop.abort();
      watched.clear();
    },
  };
}

interface Watch {
  readonly stop: AbortController;
  /** monotonic ms */
  readonly begunMs: number;
  /** by check name; absent: no look has come to an end yet */
  readonly seen: Map<string, LastLook>;
}

interface LastLook {
  /** monotonic ms at which it began */
  readonly at: number;
  /** null: passed */
  readonly fault: Fault | null;
}

/** Its program was started after this moment: what was seen until then was another one (I8). */
function isYounger(tools: ProbeTools, of: Generation, at: number): boolean {
  const { running, upMs } = tools.conditionOf(of);
  const live = running === 'yes' || running === 'starting';
  return live && at < tools.clock.monotonicMs() - upMs + STARTED_WITHIN_MS;
}

/** undefined: none of the program that runs now */
function lastLook(tools: ProbeTools, of: Generation, seen: LastLook | undefined) {
  return seen && isYounger(tools, of, seen.at) ? undefined : seen;
}

/** Alive needs no timer: the process table is asked when status is made. */
function watchOne(
  tools: ProbeTools,
  of: Generation,
  { onChange, proven }: { onChange: (generation: Generation) => void; proven: boolean },
): Watch {
  const begunMs = tools.clock.monotonicMs();
  const watch: Watch = { stop: new AbortController(), begunMs, seen: new Map() };
  for (const check of lookedAt(of)) {
    // Its proof came after its start, however exactly that is known.
    const at = begunMs + STARTED_WITHIN_MS;
    if (proven) watch.seen.set(check.name, { at, fault: null });
    void keepLooking(tools, of, check, { ...watch, onChange });
  }
  return watch;
}

function lookedAt(of: Generation): readonly HealthCheck[] {
  return checksOf(of).filter(({ probe }) => probe.kind !== 'alive');
}

async function keepLooking(
  tools: ProbeTools,
  of: Generation,
  check: HealthCheck,
  { stop, seen: looks, onChange }: Watch & { onChange: (generation: Generation) => void },
): Promise<void> {
  const { clock } = tools;
  const intervalMs = Math.max(check.intervalMs, WATCH_INTERVAL_MIN_MS);
  const slow = { ...check, intervalMs };
  const look = lookAt(tools, of, slow, probeRunner(tools, of, check.probe));
  const startMs = clock.monotonicMs();
  while (!stop.signal.aborted) {
    const at = clock.monotonicMs();
    const seen = await look(at - startMs < check.startPeriodMs, stop.signal);
    if (stop.signal.aborted) return;
    const before = lastLook(tools, of, looks.get(check.name))?.fault;
    const now = seen.kind === 'failed' ? seen.fault : seen.kind === 'passed' ? null : before;
    if (now !== undefined) looks.set(check.name, { at, fault: now });
    const news = before === undefined ? now !== undefined : before?.code !== now?.code;
    if (news) onChange(of);
    // Until it is known how it is, as often as its author wants.
    await pause(tools, now === undefined ? check.intervalMs : intervalMs, stop.signal);
  }
}

/** Not a `sleep`: a pending look at health does not keep the agent's process from ending. */
function pause({ clock }: ProbeTools, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', aborted);
      resolve();
    });
    const aborted = () => {
      cancel();
      resolve();
    };
    signal.addEventListener('abort', aborted, { once: true });
  });
}

function healthOf(tools: ProbeTools, generation: Generation, watch: Watch | undefined): Health {
  const condition = tools.conditionOf(generation);
  const { restarts } = condition;
  if (condition.running === 'no' || condition.running === 'starting') {
    const starting = condition.running === 'starting';
    const message = condition.message || 'not running';
    const code = 'apply.health-failed';
    return { health: starting ? 'starting' : 'unhealthy', code, message, restarts };
  }
  const looks = lookedAt(generation).map(({ name }) => {
    const last = lastLook(tools, generation, watch?.seen.get(name));
    return { name, fault: last?.fault };
  });
  const failed = looks.find(({ fault }) => fault)?.fault;
  const open = watch && looks.find(({ fault }) => fault === undefined);
  if (open && !failed) {
    const message = `check ${open.name} has not passed yet`;
    return { health: 'starting', code: '', message, restarts };
  }
  if (!failed) return { health: 'healthy', code: '', message: '', restarts };
  return { health: 'unhealthy', code: failed.code, message: failed.message, restarts };
}
