/**
 * `commit: reachable`: a change that cuts this device off from its control plane undoes itself. Which
 * ways there were is found out right before the acceptance and stands in its row; each of them has to
 * answer again, over a connection made after the activation, while the health checks pass. A way that
 * was not there before is not demanded: a stick has to be able to mend a network.
 *
 * After a cut the window begins again, in a bounded number of tries (check 20).
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Step } from '#plan/step.ts';
import type { Generation } from '#state/generation.ts';
import { pointText } from '#state/point.ts';
import type { StatusPoint } from '#state/status.ts';

/** `registry`: one of the registries answers; `broker`: a session is acknowledged */
export type Way = 'registry' | 'broker';

/** ms that a way may take to come back where the policy has no health window */
const REACH_WINDOW_MS = 5 * 60_000;

export interface ControlPath {
  /** Those that answer now; a few seconds at most. */
  open(signal: AbortSignal): Promise<readonly Way[]>;
  /**
   * Each answers over a connection that was made after this call.
   * @returns `apply.cut-off` when one has not within `windowMs`; `apply.superseded` on abort
   */
  comesBack(
    ways: readonly string[],
    within: { readonly windowMs: number; readonly signal: AbortSignal; readonly point: string },
  ): Promise<Result<void>>;
}

export interface Proof {
  readonly generations: readonly Generation[];
  /** absent: nothing is demanded */
  readonly reach?: readonly string[];
  readonly healthWindowMs: number;
  readonly to: StatusPoint;
}

/** Whether anything has to be watched before the commit. */
export function needsProof(change: Pick<Proof, 'healthWindowMs' | 'reach'> & Steps): boolean {
  if (change.steps.length > 0 && change.healthWindowMs > 0) return true;
  if (change.reach && change.reach.length > 0) return true;
  return change.steps.some(
    (step) =>
      step.kind === 'activate' &&
      (step.next.deployment.health.length > 0 || step.next.deployment.profile.kind === 'process'),
  );
}

interface Steps {
  readonly steps: readonly Step[];
}

interface Proving {
  prove(
    generations: readonly Generation[],
    windowMs: number,
    signal: AbortSignal,
  ): Promise<Result<void>>;
  readonly control?: ControlPath;
}

/** Both at once; the first that fails ends the other. */
export async function proveReachable(
  { prove, control }: Proving,
  { generations, reach = [], healthWindowMs: windowMs, to }: Proof,
  signal: AbortSignal,
): Promise<Result<void>> {
  if (reach.length === 0 || !control) return prove(generations, windowMs, signal);
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const within = { windowMs: windowMs || REACH_WINDOW_MS, signal: either, point: pointText(to) };
  const first: { failed: Result<void> | null } = { failed: null };
  const watched = async (work: Promise<Result<void>>): Promise<void> => {
    const done = await work;
    if (done.ok || first.failed) return;
    first.failed = done;
    stop.abort();
  };
  await Promise.all([
    watched(prove(generations, windowMs, either)),
    watched(control.comesBack(reach, within)),
  ]);
  return first.failed ?? ok(undefined);
}
