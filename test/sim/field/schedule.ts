/**
 * Schedules of the field: every tenth seed is about a device that follows several channels over several
 * mirrors, with all that its owner and its publishers may say about when; cuts strike there as well.
 */
import { type Dice, dice } from '../world/random.ts';
import type { Channel } from './desk.ts';
import type { Setup } from './device.ts';

/** How often each act comes; of the sum. */
const WEIGHTS = {
  publish: 16,
  'publish-bad': 2,
  'publish-forged': 1,
  'publish-windowed': 5,
  'publish-spread': 5,
  'publish-urgent': 2,
  'publish-reachable': 3,
  'publish-severing': 4,
  'publish-valued': 5,
  'publish-shared': 4,
  'publish-outside': 3,
  values: 5,
  bundle: 4,
  consent: 3,
  follow: 7,
  switch: 4,
  forget: 4,
  'pause-one': 4,
  'pause-all': 1,
  'resume-one': 4,
  'resume-all': 2,
  'pause-and-see': 2,
  'urgent-and-see': 2,
  rollback: 3,
  apply: 1,
  'apply-now': 2,
  mood: 8,
  part: 1,
  'heal-network': 4,
  'bad-network': 1,
  'broker-restart': 1,
  mend: 1,
  'end-program': 2,
  clock: 1,
  'turn-back': 1,
  rotate: 1,
  epoch: 1,
  reload: 2,
  'restart-agent': 2,
  cut: 20,
  'cut-again': 8,
} as const;

export type FieldAct = keyof typeof WEIGHTS;

export interface FieldPlanned {
  /** names the act's own choices */
  readonly number: number;
  readonly act: FieldAct;
  /** ms after the act before it */
  readonly afterMs: number;
}

export interface FieldSchedule {
  readonly seed: number | string;
  readonly setup: Setup;
  readonly acts: readonly FieldPlanned[];
}

export const FIELD_EVERY = 10;
export const FIELD_REST = 2;

/** Among numbered seeds. */
export function isField(seed: number | string): seed is number {
  return typeof seed === 'number' && seed % FIELD_EVERY === FIELD_REST;
}

const GAPS_MS = [0, 0, 5, 40, 200, 200, 900, 3_000, 12_000, 45_000, 400_000, 1_500_000] as const;
const ALL = Object.entries(WEIGHTS) as readonly (readonly [FieldAct, number])[];
const SUM = ALL.reduce((all, [, weight]) => all + weight, 0);

export function fieldScheduleOf(seed: number | string): FieldSchedule {
  const choose = dice(seed).split('field');
  const length = 12 + choose.below(40);
  const setup: Setup = {
    channels: someChannels(choose),
    mirrors: choose.pick([1, 2, 3, 3]),
    consent: choose.oneIn(2) ? 'ask' : 'policy',
  };
  const acts = Array.from({ length }, (_, number) => ({
    number,
    act: number < 2 ? ('publish' as const) : pick(choose),
    afterMs: choose.pick(GAPS_MS),
  }));
  return { seed, setup, acts };
}

/** Two or three; of the two that share a place only one. */
export function someChannels(choose: Dice): readonly Channel[] {
  const line = choose.oneIn(2) ? 'stable' : 'canary';
  return choose.pick([
    ['oem', line],
    ['oem', line],
    [line, 'site'],
    ['oem', line, 'site'],
    ['oem', line, 'site'],
    [line, 'oem', 'site'],
  ] as const);
}

function pick(choose: Dice): FieldAct {
  let at = choose.below(SUM);
  for (const [act, weight] of ALL) {
    at -= weight;
    if (at < 0) return act;
  }
  return 'publish';
}
