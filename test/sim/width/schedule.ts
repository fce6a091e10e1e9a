/**
 * Wide schedules: every fifth seed is about people and the parts around the core (operators, removals,
 * drift, …) instead of cuts at any step, so that neither thins out the other. Cuts still strike here.
 */
import type { Dice } from '../world/random.ts';

export const WIDE_ACTS = [
  'stop',
  'publish-removing',
  'clone-card',
  'publish-edited',
  'edit',
] as const;

export type WideAct = (typeof WIDE_ACTS)[number];

export const WIDE_EVERY = 5;
/** … and another fifth about states that come into force deployment by deployment */
export const PARTS_AT = 3;

/** Among numbered seeds. */
export function isWide(seed: number | string): boolean {
  return typeof seed === 'number' && seed % WIDE_EVERY === WIDE_EVERY - 1;
}

/** How often each act comes here; those that are left out do not. */
const WEIGHTS = {
  publish: 14,
  'publish-bad': 3,
  'publish-quietly': 4,
  rotate: 1,
  epoch: 1,
  bundle: 1,
  part: 1,
  'heal-network': 2,
  'broker-restart': 1,
  meddle: 2,
  pause: 8,
  resume: 8,
  rollback: 6,
  apply: 2,
  'restart-agent': 3,
  cut: 10,
  'cut-again': 4,
  stop: 4,
  'publish-removing': 6,
  'clone-card': 2,
  'publish-edited': 5,
  edit: 8,
} as const;

export type ActOfWide = keyof typeof WEIGHTS;

const ALL = Object.entries(WEIGHTS) as readonly (readonly [ActOfWide, number])[];
const SUM = ALL.reduce((all, [, weight]) => all + weight, 0);

export function pickWide(choose: Dice): ActOfWide {
  let at = choose.below(SUM);
  for (const [act, weight] of ALL) {
    at -= weight;
    if (at < 0) return act;
  }
  return 'publish';
}
