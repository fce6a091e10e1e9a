/**
 * What happens in a run, as data: acts with the time between them, made from the seed. An act's own
 * choices come from its number, so that a schedule from which others were taken out still does the
 * same with it: that is how a failing one is shortened.
 */
import { isWide, pickWide, type WideAct } from './width/schedule.ts';
import { type Dice, dice } from './world/random.ts';

export const ACTS = [
  'publish',
  'publish-bad',
  'publish-forged',
  'publish-quietly',
  'equivocate',
  'turn-back',
  'rotate',
  'epoch',
  'bundle',
  'part',
  'heal-network',
  'bad-network',
  'stale',
  'broker-restart',
  'end-program',
  'meddle',
  'pause',
  'resume',
  'rollback',
  'apply',
  'restart-agent',
  'clock',
  'disk-trouble',
  'full-disk',
  'cut',
  'cut-again',
] as const;

/** what schedules are made of that are not wide (width/schedule.ts) */
export type CoreAct = (typeof ACTS)[number];
export type Act = CoreAct | WideAct;

export interface Planned {
  /** names the act's own choices */
  readonly number: number;
  readonly act: Act;
  /** ms after the act before it */
  readonly afterMs: number;
}

const GAPS_MS = [0, 0, 5, 40, 200, 200, 900, 3_000, 12_000, 45_000, 400_000] as const;
/** of 100 */
const WEIGHTS: Readonly<Record<CoreAct, number>> = {
  publish: 14,
  'publish-bad': 4,
  'publish-forged': 2,
  'publish-quietly': 3,
  equivocate: 1,
  'turn-back': 1,
  rotate: 1,
  epoch: 1,
  bundle: 2,
  part: 2,
  'heal-network': 3,
  'bad-network': 2,
  stale: 1,
  'broker-restart': 1,
  'end-program': 2,
  meddle: 4,
  pause: 1,
  resume: 2,
  rollback: 2,
  apply: 1,
  'restart-agent': 1,
  clock: 1,
  'disk-trouble': 1,
  'full-disk': 1,
  cut: 34,
  'cut-again': 16,
};

export interface Schedule {
  readonly seed: number | string;
  readonly acts: readonly Planned[];
}

export function scheduleOf(seed: number | string): Schedule {
  const choose = dice(seed).split('schedule');
  const length = 12 + choose.below(50);
  const calm = choose.oneIn(3);
  const wide = isWide(seed);
  const acts = Array.from({ length }, (_, number) => ({
    number,
    act: number === 0 ? ('publish' as const) : wide ? pickWide(choose) : pickAct(choose, calm),
    afterMs: choose.pick(GAPS_MS),
  }));
  return { seed, acts };
}

/** @param calm  only publishing and cuts: nothing hides what they do */
function pickAct(choose: Dice, calm: boolean): CoreAct {
  const allowed: readonly CoreAct[] = calm
    ? ACTS.filter((act) => act.startsWith('cut') || act === 'publish' || act === 'publish-bad')
    : ACTS;
  const sum = allowed.reduce((all, act) => all + WEIGHTS[act], 0);
  let at = choose.below(sum);
  for (const act of allowed) {
    at -= WEIGHTS[act];
    if (at < 0) return act;
  }
  return 'cut';
}
