/** From the agent's own types to what the control sockets carry (control/api.ts). Pure. */
import type {
  ChannelView,
  CredentialView,
  HistoryView,
  LookView,
  PlanView,
  PointView,
} from '#control/api.ts';
import { faultView } from '#control/api.ts';
import type { Fault } from '#errors/fault.ts';
import type { Step } from '#plan/step.ts';
import type { HistoryRow } from '#state/channel-row.ts';
import type { Credential } from '#state/enrolment.ts';
import type { Generation } from '#state/generation.ts';
import { pointText } from '#state/point.ts';
import type { ChannelStatus, StatusPoint } from '#state/status.ts';
import type { Planned } from './change.ts';
import type { Follower } from './follow.ts';
import type { Look } from './found.ts';

export function pointView(point: StatusPoint | null): PointView | null {
  if (!point) return null;
  return {
    point: pointText(point),
    epoch: `${point.epoch}`,
    sequence: `${point.sequence}`,
    stateDigest: point.stateDigest,
    at: point.at,
  };
}

export function channelView(status: ChannelStatus, follower: Follower): ChannelView {
  const waiting = follower.waitingFor();
  const { refused } = status;
  return {
    channel: status.channel,
    desired: pointView(status.desired),
    applied: pointView(status.applied),
    phase: status.phase,
    via: status.via,
    degraded: status.degraded,
    heldByOperator: follower.row().hold !== null,
    paused: follower.paused(),
    freshness: status.freshness,
    waitingFor: waiting && faultView(waiting),
    refused: refused && {
      code: refused.code,
      message: refused.message,
      remedy: '',
      offered: refused.offered && pointText(refused.offered),
      attack: refused.attack,
    },
    deployments: status.deployments,
  };
}

/** null: not enrolled */
export function credentialStatus(held: Credential | null): CredentialView | null {
  return held && { kind: held.kind, notAfter: held.notAfter, fingerprint: held.fingerprint };
}

export function lookView(look: Look | null): LookView | null {
  if (!look) return null;
  const { at, wake, source, result, fault } = look;
  return { at, wake, source, result, fault: fault && faultView(fault) };
}

export function historyView(row: HistoryRow): HistoryView {
  return { ...row, number: `${row.number}`, point: row.point && pointText(row.point) };
}

/**
 * A plan that could be made; what an update of a program restarts is said.
 * `waits`: why it would not begin now.
 */
export function planView(
  planned: Planned,
  applied: StatusPoint | null,
  waits: Fault | null,
): PlanView {
  const { plan, candidate, missing } = planned;
  return {
    result: plan.steps.length === 0 ? 'nothing to change' : 'changes',
    offered: pointText(candidate.state.point),
    applied: applied && pointText(applied),
    fault: null,
    steps: plan.steps.map(stepView),
    unchanged: plan.desired.length - plan.steps.filter(({ kind }) => kind === 'activate').length,
    downloads: {
      blobs: missing.length,
      bytes: missing.reduce((sum, { size }) => sum + size, 0),
    },
    waits: waits && faultView(waits),
  };
}

/** Why there is no plan. */
export function emptyPlan(
  result: string,
  applied: StatusPoint | null,
  fault: Fault | null,
): PlanView {
  return {
    result,
    offered: null,
    applied: applied && pointText(applied),
    fault: fault && faultView(fault),
    steps: [],
    unchanged: 0,
    downloads: { blobs: 0, bytes: 0 },
    waits: null,
  };
}

function stepView(step: Step): PlanView['steps'][number] {
  const generation = step.kind === 'remove' ? step.previous : step.next;
  const { profile } = generation.deployment;
  return {
    action: step.kind === 'remove' ? 'remove' : step.previous ? 'update' : 'install',
    deployment: generation.id,
    runtime: profile.kind === 'other' ? profile.type : profile.kind,
    restarts: profile.kind === 'process',
    targets: targetsOf(generation),
  };
}

function targetsOf({ deployment }: Generation): readonly string[] {
  const { profile } = deployment;
  return profile.kind === 'files' ? profile.components.map(({ target }) => target) : [];
}
