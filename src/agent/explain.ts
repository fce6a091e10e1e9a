/**
 * `holdfast explain`: why the agent acts or does not act now, from what it holds in memory and in
 * the store; no network. The first reason that holds is the verdict; below it each check of the
 * last look with the values it compared.
 */
import type { AlsoView, CheckView, ExplainView } from '#control/api.ts';
import { type Code, FAULTS, type Fault } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { pointText } from '#state/point.ts';
import { durationText } from '#state/quantity.ts';
import { channelOf, type Root } from '#state/root.ts';
import { instantText, type TimeView } from '#trust/time.ts';
import type { Follower } from './follow.ts';
import type { Look } from './found.ts';
import type { Alarm } from './heads-watch.ts';
import { MARGO_CHANNEL } from './margo-state.ts';
import type { TimekeepingView } from './timekeeping.ts';
import { lookView } from './views.ts';

export interface ExplainInput {
  readonly follower: Follower;
  readonly look: Look | null;
  readonly time: TimeView;
  readonly root: Root;
  readonly nextLookInMs: number | null;
  readonly mqtt: string;
  readonly safeMode: boolean;
  readonly timekeeping: Omit<TimekeepingView, 'alarm'> & { readonly alarm: Alarm | null };
  readonly also: readonly AlsoView[];
  /** sections of the configuration that a state brought */
  readonly fromState?: readonly string[];
}

export function explain(input: ExplainInput): ExplainView {
  const { follower, look } = input;
  const { verdict, cure } = reasonOf(input);
  const checks: CheckView[] = (look?.checks ?? []).map((check) => ({
    ...check,
    at: look?.at ?? 0,
  }));
  return {
    verdict,
    cure,
    channel: follower.channel,
    look: lookView(look),
    checks,
    facts: facts(input),
    also: input.also,
  };
}

export interface Reason {
  readonly verdict: string;
  readonly cure: string | null;
  /** the newest state there is runs: nothing to tell */
  readonly fine?: true;
}

export function reasonOf({ follower, look, safeMode, timekeeping, root }: ExplainInput): Reason {
  const row = follower.row();
  const applied = inForceText(row);
  if (follower.paused())
    return { verdict: `paused by the operator; ${applied} runs`, cure: 'Run `holdfast resume`.' };
  if (row.hold)
    return {
      verdict: `held at ${applied} after a rollback`,
      cure: 'Run `holdfast resume` to follow the channel again.',
    };
  const open = openReason(follower);
  if (open) return open;
  if (safeMode)
    return {
      verdict: `safe mode after repeated crashes; ${applied} runs`,
      cure: 'Publish a newer state, or run `holdfast resume`.',
    };
  const waiting = follower.waitingFor();
  if (waiting) return told('waits', waiting);
  const refused = follower.refusal();
  if (refused && look?.result !== 'current')
    return withFault(`refused ${refused.code}: ${refused.message}`, refused.code);
  const { alarm } = timekeeping;
  if (alarm) return told(`${applied} runs, and the time authority knows more`, alarm.fault);
  if (look?.result === 'unreachable' && look.fault)
    return told(`${applied} runs; the source cannot be reached`, look.fault);
  if (!look) return { verdict: `${applied} runs; no source was asked yet`, cure: null };
  // A Margo manager needs no root to name its channel.
  if (follower.channel !== MARGO_CHANNEL && !channelOf(root, follower.channel)) {
    const named = root.channels.map(({ name }) => name).join(', ');
    return {
      verdict: `the root names no channel "${follower.channel}" (it has: ${named})`,
      cure: 'Correct channels[].name in agent.yaml, or add the channel to the root.',
    };
  }
  if (look.result === 'nothing')
    return {
      verdict: `nothing was found for channel "${follower.channel}" (${look.source})`,
      cure: 'Publish to it, or correct channels[].name in agent.yaml.',
    };
  return { verdict: `${applied} is applied and is the newest there is`, cure: null, fine: true };
}

/** Deployment by deployment, and some failed: `status` says which. */
function inForceText({ applied, partly }: ChannelRow): string {
  if (!applied) return 'nothing';
  return partly ? `${pointText(applied)} in part` : pointText(applied);
}

/** An accepted state on its way, or kept from it; null: nothing is open. */
function openReason(follower: Follower): Reason | null {
  const { intent, degraded } = follower.row();
  if (!intent) return null;
  const to = pointText(intent.to);
  const waiting = follower.waitingFor();
  if (intent.phase === 'stuck') {
    if (waiting) return told(`stuck: undoing ${to} fails`, waiting);
    const code = degraded ?? intent.failure?.code;
    return withFault(`stuck: undoing ${to} fails${code ? `: ${code}` : ''}`, code);
  }
  const at = `${intent.phase} ${to} (try ${Math.max(1, intent.tries)} of ${intent.attemptsMax})`;
  // Set again by each try that fails, cleared by each that begins (follow.ts).
  if (waiting) return told(at, waiting);
  if (intent.phase !== 'waiting' || !intent.failure) return { verdict: at, cure: null };
  const { code, message } = intent.failure;
  return withFault(`${at}: ${code}: ${message}`, code);
}

function told(what: string, fault: Fault): Reason {
  return { verdict: `${what}: ${fault.code}: ${fault.message}`, cure: fault.remedy };
}

function withFault(verdict: string, code: string | undefined): Reason {
  const cure = code && code in FAULTS ? FAULTS[code as Code].remedy : null;
  return { verdict, cure };
}

function facts(input: ExplainInput): ExplainView['facts'] {
  const { follower, time, root, nextLookInMs, mqtt } = input;
  const row = follower.row();
  const next = nextLookInMs === null ? 'never' : `in ${Math.round(nextLookInMs / 1000)} s`;
  return [
    { name: 'channel', value: follower.channel },
    {
      name: 'floor (highest accepted)',
      value: row.floor ? `${pointText(row.floor)} ${row.floor.stateDigest}` : 'none',
    },
    {
      name: 'applied (proven)',
      value: row.applied ? `${inForceText(row)} ${row.applied.stateDigest}` : 'none',
    },
    { name: 'rollback goes to', value: row.previous[0] ? pointText(row.previous[0]) : 'nothing' },
    {
      name: 'root',
      value: `version ${root.version}${root.notAfter === 0 ? '' : `, ends ${instantText(root.notAfter)}`}`,
    },
    {
      name: 'time',
      value: `${instantText(time.estimateMs)} (${time.grade}${time.wallPlausible ? '' : ', wall clock implausible'})`,
    },
    { name: 'time floor', value: instantText(time.floorMs) },
    { name: 'time attested', value: attestedText(input.timekeeping) },
    { name: 'next scheduled look', value: next },
    { name: 'mqtt', value: mqtt },
    ...(input.fromState && input.fromState.length > 0
      ? [{ name: 'configuration from a state', value: input.fromState.join(', ') }]
      : []),
  ];
}

function attestedText({ hasRole, attested, refused }: Omit<TimekeepingView, 'alarm'>): string {
  const last = refused ? `; the last answer was refused: ${refused.code}` : '';
  if (!hasRole) return 'never: the root names no role time';
  if (!attested) return `not since the agent started${last}`;
  const agoMs = Math.floor(attested.ageMs / 1_000) * 1_000;
  return `${durationText(agoMs)} ago, as ${instantText(attested.atMs)}${last}`;
}
