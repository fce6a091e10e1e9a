/**
 * Many small changes, each published once and applied by every contender in turn: Holdfast, the
 * same steps natively, and the designed path natively (HEAD by tag, envelope as a blob of its own).
 * The order rotates, so that a warm page cache or registry favours none.
 */
import { type Cost, countersOf, since } from './counters.ts';
import { type Desk, type Nudge, unixMs } from './desk.ts';
import type { Agent, AgentChange } from './device.ts';
import type { Native, NativeChange } from './native.ts';
import { until } from './parts.ts';

/** The agent reads ten nudges a second and not more (triggers/nudge.ts). */
const SPACING_MS = 110;
/** changes before the first that counts: the just-in-time compiler */
const WARM = 40;

export interface Measured<T> {
  /** ms from the nudge (right after the acknowledged manifest) to the commit */
  readonly totalMs: number;
  readonly change: T;
}

export interface ChangesResult {
  readonly holdfast: readonly Measured<AgentChange>[];
  readonly same: readonly Measured<NativeChange>[];
  readonly designed: readonly Measured<NativeChange>[];
  /** of the agent, over all counted changes */
  readonly cost: Cost;
  readonly nativeCost: Cost | null;
}

export interface Contest {
  readonly desk: Desk;
  readonly agent: Agent;
  readonly native: Native | null;
  /** writes what is new into the channel's folder */
  readonly edit: (round: number) => void;
  /** counted changes */
  readonly count: number;
  readonly warm?: number;
}

export async function measureChanges(contest: Contest): Promise<ChangesResult> {
  const { agent, native, count, warm = WARM } = contest;
  for (let round = 0; round < warm; round += 1) await oneRound(contest, round);
  const before = { agent: countersOf(agent.pid), native: native && countersOf(native.pid) };
  const result = { holdfast: [], same: [], designed: [] } as {
    holdfast: Measured<AgentChange>[];
    same: Measured<NativeChange>[];
    designed: Measured<NativeChange>[];
  };
  for (let round = warm; round < warm + count; round += 1) {
    const one = await oneRound(contest, round);
    result.holdfast.push(one.holdfast);
    if (one.same) result.same.push(one.same);
    if (one.designed) result.designed.push(one.designed);
  }
  return {
    ...result,
    cost: since(before.agent, countersOf(agent.pid)),
    nativeCost: native && before.native ? since(before.native, countersOf(native.pid)) : null,
  };
}

interface Round {
  holdfast: Measured<AgentChange>;
  same?: Measured<NativeChange>;
  designed?: Measured<NativeChange>;
}

async function oneRound({ desk, agent, native, edit }: Contest, round: number): Promise<Round> {
  edit(round);
  const nudge = await desk.publish();
  const done: Partial<Round> = {};
  const contenders = [
    async () => {
      done.holdfast = await applied(desk, agent, nudge);
    },
    async () => {
      if (native) done.same = await appliedNatively(desk, native, nudge, 'same');
    },
    async () => {
      if (native) done.designed = await appliedNatively(desk, native, nudge, 'designed');
    },
  ];
  for (let turn = 0; turn < contenders.length; turn += 1) {
    await contenders[(round + turn) % contenders.length]?.();
  }
  if (!done.holdfast) throw new Error('unreachable');
  return { ...done, holdfast: done.holdfast };
}

let nudgedAt = 0;

async function applied(desk: Desk, agent: Agent, nudge: Nudge): Promise<Measured<AgentChange>> {
  const before = agent.changes().length;
  const early = nudgedAt + SPACING_MS - unixMs();
  if (early > 0) await Bun.sleep(early);
  nudgedAt = desk.nudge(nudge);
  await until(`change ${nudge.sequence} is applied`, () => agent.changes().length > before);
  const change = agent.changes().at(-1);
  if (!change) throw new Error('unreachable');
  return { totalMs: change.endedMs - nudgedAt, change };
}

async function appliedNatively(
  desk: Desk,
  native: Native,
  nudge: Nudge,
  how: 'same' | 'designed',
): Promise<Measured<NativeChange>> {
  const before = native.changes().length;
  const at = desk.nudge(nudge, `${native.topic}/${how}`);
  await until(`native ${how} has ended`, () => native.changes().length > before);
  const change = native.changes().at(-1);
  if (!change) throw new Error('unreachable');
  return { totalMs: change.endedMs - at, change };
}
