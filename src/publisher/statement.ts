/**
 * The next statement of a channel: what it says, its number, and what it takes away. Pure, but for
 * the time it is given.
 */
import type { BlobRef, DeploymentRef, DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import { comparePoints, type Point } from '#state/point.ts';
import type { Policy } from '#state/policy.ts';
import { raiseFloor } from '#trust/time.ts';
import type { Unsigned } from '#wire/desired-state.ts';
import type { Fleet, FleetChannel } from './fleet.ts';

/** What a statement brings, wherever it comes from: a folder, or another channel's head. */
export interface Cargo {
  readonly deployments: readonly DeploymentRef[];
  readonly blobs: readonly BlobRef[];
  readonly documents: { readonly digest: Digest; readonly size: number } | null;
  readonly promotedFrom: Digest | null;
}

/** The line so far. */
export interface Line {
  /** the highest number used here, pushed or not */
  readonly counter: Pick<Point, 'epoch' | 'sequence'> | null;
  /** the highest statement known, here or at the registry */
  readonly previous: DesiredState | null;
}

export interface Draft {
  readonly unsigned: Unsigned;
  /** ids that the line has and this statement has not */
  readonly removed: readonly string[];
}

export function draftStatement(
  fleet: Fleet,
  channel: FleetChannel,
  cargo: Cargo,
  line: Line,
): Draft {
  const { epoch } = channel.entry;
  const { previous } = line;
  const sequence = nextSequence(epoch, line);
  const wanted = new Set(cargo.deployments.map(({ id }) => id));
  const removed = (previous?.deployments ?? []).map(({ id }) => id).filter((id) => !wanted.has(id));
  // a clock that went back must not make the statement look older than the one before it
  const issuedAt = raiseFloor(fleet.time.estimateMs, issuedBefore(fleet, previous));
  const { config } = channel;
  return {
    removed,
    unsigned: {
      fleet: fleet.root.fleet,
      channel: channel.name,
      epoch,
      sequence,
      previousDigest: previous?.point.digest ?? null,
      promotedFrom: cargo.promotedFrom,
      issuedAt,
      notAfter: config.validForMs === 0 ? 0 : issuedAt + config.validForMs,
      rootVersion: fleet.root.version,
      minAgentVersion: config.minAgentVersion,
      critical: criticalOf(config),
      audience: config.audience,
      policy: policyOf(channel, allowRemoval(epoch, sequence, removed.length > 0, previous)),
      deployments: cargo.deployments,
      blobs: cargo.blobs,
      documents: cargo.documents,
    },
  };
}

/** 0 where a root has reset the time since: what was said before it was wrong. */
function issuedBefore({ chain }: Fleet, previous: DesiredState | null): number {
  const reset = chain.findLast(({ root }) => root.timeReset !== null);
  if (!previous || (reset && previous.rootVersion < reset.root.version)) return 0;
  return previous.issuedAt;
}

/** One above the counter and above the head (FORMATS: Words); 1 in a new epoch. */
function nextSequence(epoch: bigint, { counter, previous }: Line): bigint {
  const used = [counter, previous?.point].filter((point) => point?.epoch === epoch);
  return (
    used.reduce((highest, point) => {
      const sequence = point?.sequence ?? 0n;
      return sequence > highest ? sequence : highest;
    }, 0n) + 1n
  );
}

/**
 * A confirmed removal lets every device below this number lose what it lost; later statements carry
 * that on, for devices that were away. In a new epoch nothing is carried: 1.57 says nothing there.
 */
function allowRemoval(
  epoch: bigint,
  sequence: bigint,
  removes: boolean,
  previous: DesiredState | null,
): bigint {
  if (removes) return sequence;
  return previous?.point.epoch === epoch ? previous.policy.allowRemoval : 0n;
}

function policyOf({ config }: FleetChannel, removal: bigint): Policy {
  return {
    urgent: config.urgent,
    windows: config.windows,
    spreadMs: config.spreadMs,
    atomicity: config.atomicity,
    healthWindowMs: config.healthWindowMs,
    attemptsMax: config.attemptsMax,
    allowRemoval: removal,
    unattestedMaxMs: config.unattestedMaxMs,
    commit: config.commit,
  };
}

/** What an agent that does not know it must not leave out: it would act at the wrong hour, or be cut off. */
function criticalOf({ windows, commit }: FleetChannel['config']): readonly string[] {
  return [
    ...(windows.length > 0 ? ['policy.windows'] : []),
    ...(commit === 'reachable' ? ['policy.commit'] : []),
  ];
}

/** Would a device notice the difference? Numbers, times, removal marks and the root's version aside. */
export function saysTheSame(state: DesiredState, draft: Unsigned): boolean {
  return (
    state.point.epoch === draft.epoch && JSON.stringify(said(state)) === JSON.stringify(said(draft))
  );
}

function said(state: DesiredState | Unsigned) {
  const { urgent, healthWindowMs, attemptsMax, unattestedMaxMs, atomicity } = state.policy;
  const { windows, spreadMs, commit } = state.policy;
  const { minAgentVersion, audience, documents } = state;
  return {
    minAgentVersion,
    audience,
    documents,
    policy: { urgent, healthWindowMs, attemptsMax, unattestedMaxMs, atomicity, spreadMs, commit },
    windows: windows.map(({ weekdays, start, durationMs, timeZone }) => [
      weekdays,
      start,
      durationMs,
      timeZone,
    ]),
    deployments: state.deployments.map(({ id, digest, mediaType }) => [id, digest, mediaType]),
    blobs: state.blobs
      .map(({ name, digest, mediaType, size }) => [name, digest, mediaType, size])
      .sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
  };
}

/** The later of two statements of one line. */
export function laterOf(a: DesiredState | null, b: DesiredState | null): DesiredState | null {
  if (!a || !b) return a ?? b;
  return comparePoints(a.point, b.point) >= 0 ? a : b;
}
