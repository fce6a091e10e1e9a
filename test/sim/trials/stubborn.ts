/**
 * A bad state that the device is cut in, every time it tries: it is activated, and taken up by a start,
 * as often as it allows, and not once more after it was rejected (I6).
 */
import { issue } from '../actors.ts';
import type { CutKind } from '../world/crash.ts';
import { rejectedNow } from '../world/watch.ts';
import { pass } from '../world/world.ts';
import { demand, plain, publish, SEEN_MS, type Trial, type Trying, view } from './trial.ts';

/** More than a state may be tried, and than a device may start in a row without being in safe mode. */
const CUTS = 6;

interface At {
  /** a step before which, or soon after which, it is cut */
  readonly meets: (what: string, path: string) => boolean;
  readonly within: number;
  /** what is met belongs to a try: each life of the agent that meets it has one */
  readonly ofTry: boolean;
}

function cutAgainAndAgain(trying: Trying, { meets, within, ofTry }: At): void {
  const { stage, choose } = trying;
  const { world } = stage;
  const { steps } = world;
  const watch = steps.watch;
  const lives = new Set<number>();
  let left = CUTS;
  steps.watch = (count, what, path) => {
    watch?.(count, what, path);
    if (!meets(what, path)) return;
    lives.add(world.boots);
    if (left === 0) return;
    left -= 1;
    const kind: CutKind = choose.oneIn(2) ? 'kill' : 'power';
    steps.cutAt(count + choose.below(within), kind);
  };
  const bad = issue(stage, { ...plain(stage, choose), check: 'ill' });
  publish(stage, bad);
  pass(world, { ms: SEEN_MS });
  steps.watch = watch;
  steps.cancelCut();
  pass(world, { ms: SEEN_MS, holds: trying.isThere });
  demand(trying, view(trying)?.applied?.stateDigest !== bad.digest, 'a bad state is applied');
  const tries = ofTry ? lives.size : 0;
  demand(trying, tries <= bad.attemptsMax, `a bad state was proven in ${tries} lives`);
}

export const cutInEveryActivation: Trial = (trying) =>
  cutAgainAndAgain(trying, {
    meets: (what, path) => what === 'rename' && path.endsWith('-> /opt/conf/b.conf'),
    within: 6,
    ofTry: false,
  });

export const cutInEveryProof: Trial = (trying) =>
  cutAgainAndAgain(trying, {
    meets: (what, path) => what === 'run' && path.startsWith('/usr/bin/ill'),
    within: 2,
    ofTry: true,
  });

/** Whoever shows it again, and however often the agent starts. */
export const rejectedStaysRejected: Trial = (trying) => {
  const { stage, choose } = trying;
  const { world } = stage;
  const bad = issue(stage, { ...plain(stage, choose), check: 'ill' });
  publish(stage, bad);
  pass(world, { ms: SEEN_MS, holds: trying.isThere });
  for (const digest of rejectedNow(world)) stage.model.rejected(digest);
  for (let time = 0; time < 4; time += 1) {
    if (choose.oneIn(2)) world.running?.stop();
    pass(world, { ms: 5_000, holds: () => world.running?.ready === true });
    world.publisher.nudge(bad, { whole: choose.oneIn(2), retain: false });
    if (choose.oneIn(2)) world.running?.handlers.apply(null, () => {}).catch(() => {});
    pass(world, { ms: 60_000 });
  }
  // An older stick that is still plugged in may have been refused since.
  demand(trying, view(trying)?.refused != null, 'nothing is told of a rejected state');
};

/** By a state that nobody has whole yet, at every start of the agent: its tries are counted all the same. */
export const endedByNewer: Trial = (trying) => {
  const { stage, choose } = trying;
  const { world } = stage;
  const { publisher } = world;
  const bad = issue(stage, { ...plain(stage, choose), check: 'ill' });
  publish(stage, bad);
  const newer = issue(stage, plain(stage, choose));
  const isTrying = (): boolean => {
    const phase = view(trying)?.phase;
    return phase === 'activating' || phase === 'proving';
  };
  for (let time = 0; time < CUTS; time += 1) {
    pass(world, { ms: 30_000, holds: isTrying });
    publisher.nudge(newer, { whole: true, retain: false, empty: true });
    pass(world, { ms: 5_000 });
    world.running?.stop();
    pass(world, { ms: 5_000, holds: () => world.running?.ready === true });
  }
  publish(stage, newer);
  pass(world, { ms: SEEN_MS, holds: trying.isThere });
};
