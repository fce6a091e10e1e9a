/**
 * `holdfast explain`: why the agent acts or does not act now, from what it holds in memory and in
 * the store; no network. The first reason that holds is the verdict; below it each check of the
 * last look with the values it compared.
 */
import { phaseOf } from '#apply/journal.ts';
import type { AlsoView, CheckView, ExplainView } from '#control/api.ts';
import { type Code, FAULTS, type Fault } from '#errors/fault.ts';
import { pointText } from '#state/point.ts';
import type { Root } from '#state/root.ts';
import { instantText, type TimeView } from '#trust/time.ts';
import type { Follower } from './follow.ts';
import type { Look } from './found.ts';
import { lookView } from './views.ts';

export interface ExplainInput {
  readonly follower: Follower;
  readonly look: Look | null;
  readonly time: TimeView;
  readonly root: Root;
  readonly nextLookInMs: number | null;
  readonly mqtt: string;
  readonly safeMode: boolean;
  readonly also: readonly AlsoView[];
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

interface Reason {
  readonly verdict: string;
  readonly cure: string | null;
}

function reasonOf({ follower, look, safeMode }: ExplainInput): Reason {
  const row = follower.row();
  const phase = phaseOf(row);
  const applied = row.applied ? pointText(row.applied) : 'nothing';
  if (follower.paused())
    return { verdict: `paused by the operator; ${applied} runs`, cure: 'Run `holdfast resume`.' };
  if (row.hold)
    return {
      verdict: `held at ${applied} after a rollback`,
      cure: 'Run `holdfast resume` to follow the channel again.',
    };
  if (phase === 'stuck')
    return withFault(
      `stuck: undoing ${row.intent ? pointText(row.intent.to) : ''} fails`,
      row.intent?.failure?.code,
    );
  if (phase !== 'idle' && row.intent) {
    return {
      verdict: `${phase} ${pointText(row.intent.to)} (try ${row.intent.tries} of ${row.intent.attemptsMax})`,
      cure: null,
    };
  }
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
  if (look?.result === 'unreachable' && look.fault)
    return told(`${applied} runs; the source cannot be reached`, look.fault);
  if (!look) return { verdict: `${applied} runs; no source was asked yet`, cure: null };
  if (look.result === 'nothing')
    return {
      verdict: `nothing was found for channel "${follower.channel}" (${look.source})`,
      cure: 'Publish to it, or correct channels[].name in agent.yaml.',
    };
  return { verdict: `${applied} is applied and is the newest there is`, cure: null };
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
      value: row.applied ? `${pointText(row.applied)} ${row.applied.stateDigest}` : 'none',
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
    { name: 'next scheduled look', value: next },
    { name: 'mqtt', value: mqtt },
  ];
}
