/**
 * What a trial is: after a run has come to its end, with every fault over and the newest state in force, one
 * story is told that chance seldom tells, with a demand of its own. The model looks on as before, moments
 * of it are branched like those of the schedule, and the device has to take one more good state after it.
 */

import type { ChannelView } from '#control/api.ts';
import { choice, issue, type Stage } from '../actors.ts';
import type { Issued } from '../world/publisher.ts';
import type { Dice } from '../world/random.ts';
import type { World } from '../world/shape.ts';
import type { Choice } from '../world/states.ts';
import { pass } from '../world/world.ts';

export interface Trying {
  readonly stage: Stage;
  readonly choose: Dice;
  /** the newest is applied, or refused for good, and nothing is under way */
  isThere(): boolean;
}

export type Trial = (trying: Trying) => void;

/** ms in which a device has looked, and backoffs after a broken link are over */
export const SEEN_MS = 20 * 60_000;

export function demand({ stage }: Trying, holds: boolean, says: string): void {
  if (!holds) stage.model.violations.push({ invariant: 'trial', says });
}

export function view({ stage }: Trying): ChannelView | null {
  const status = stage.world.running?.ready ? stage.world.running.handlers.status() : null;
  return status?.ok ? (status.value.channels[0] ?? null) : null;
}

/** Publishes, and waits until it is in force. */
export function reach(trying: Trying, made: Choice): Issued {
  const { stage } = trying;
  const issued = issue(stage, made);
  publish(stage, issued);
  pass(stage.world, { ms: SEEN_MS, holds: trying.isThere });
  return issued;
}

export function publish(stage: Stage, issued: Issued): void {
  stage.world.publisher.push(issued);
  stage.world.publisher.nudge(issued, { whole: false, retain: false });
  stage.head = issued;
}

/** Files and a program that stays, nothing that ends by itself. */
export function plain(stage: Stage, choose: Dice): Choice {
  const made = choice(stage, choose);
  const number = stage.contents;
  return { ...made, conf: number, plc: number, conduct: {}, check: 'healthy', reload: false };
}

/** What people do is no step of the agent. */
export function outside({ steps }: World, work: () => void): void {
  const { life } = steps;
  steps.life = null;
  work();
  steps.life = life;
}
