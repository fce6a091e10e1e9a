/** What a device has to keep: what nobody acknowledged, what a rollback goes to, what was never whole. */
import { issue } from '../actors.ts';
import { seenNow } from '../world/watch.ts';
import { pass } from '../world/world.ts';
import { demand, plain, publish, reach, SEEN_MS, type Trial, view } from './trial.ts';

/** The link breaks under what is told, again and again: no event is lost (I8, by the reports). */
export const toldIntoNothing: Trial = (trying) => {
  const { stage, choose } = trying;
  const { world } = stage;
  for (let time = 0; time < 3; time += 1) {
    const issued = issue(stage, plain(stage, choose));
    publish(stage, issued);
    const applied = (): boolean => view(trying)?.applied?.stateDigest === issued.digest;
    pass(world, { ms: SEEN_MS, holds: applied });
    pass(world, { ms: choose.pick([0, 1, 3, 10, 40, 251, 260, 300]) });
    world.network.part(true);
    pass(world, { ms: 2_000 });
    // Something is written down meanwhile: what was acknowledged by then may go.
    world.running?.handlers.pause('simulated');
    world.running?.handlers.resume();
    pass(world, { ms: choose.pick([5_000, 120_000]) });
    if (choose.oneIn(3)) world.running?.stop();
    world.network.part(false);
    pass(world, { ms: SEEN_MS });
  }
};

/** After changes, collections and idle minutes the last state but one is still whole, without a network. */
export const rolledBackOffline: Trial = (trying) => {
  const { stage, choose } = trying;
  const { world, model } = stage;
  const back = reach(trying, plain(stage, choose));
  for (let time = 0; time < choose.below(3); time += 1) reach(trying, { ...back.choice });
  const last = reach(trying, plain(stage, choose));
  pass(world, { ms: SEEN_MS });
  if (choose.oneIn(2)) world.running?.stop();
  world.network.part(true);
  pass(world, { ms: 60_000, holds: () => world.running?.ready === true });
  pass(world, { ms: 60_000 });
  model.askedBack();
  let result = 'no answer';
  world.running?.handlers
    .rollback(() => {})
    .then((end) => {
      if (end.kind === 'end') result = `${end.result} ${end.fault?.code ?? ''}`;
    })
    .catch(() => {});
  pass(world, { ms: 120_000 });
  demand(trying, result === 'rolled back to ', `a rollback ended: ${result}`);
  const { files } = seenNow(world);
  const wanted = Object.entries(back.wanted.files);
  const there = wanted.every(([path, content]) => files.get(path) === content);
  demand(trying, there, 'a rollback did not bring back what had been in force');
  world.network.part(false);
  world.running?.handlers.resume();
  const isBack = (): boolean => view(trying)?.applied?.stateDigest === last.digest;
  demand(trying, pass(world, { ms: SEEN_MS, holds: isBack }), 'after a rollback nothing goes on');
};

/** Everything is stopped while a good state is tried, and started again: no verdict, and no try of it. */
export const stoppedOnTrial: Trial = (trying) => {
  const { stage, choose } = trying;
  const { world, model } = stage;
  const issued = issue(stage, plain(stage, choose), { healthWindowMs: 700, attemptsMax: 1 });
  publish(stage, issued);
  model.excused();
  for (let time = 0; time < 3; time += 1) {
    const isTried = (): boolean => {
      const phase = view(trying)?.phase;
      return phase === 'activating' || phase === 'proving';
    };
    pass(world, { ms: SEEN_MS, holds: isTried });
    pass(world, { ms: choose.pick([0, 1, 5, 40, 300, 690]) });
    world.startsAfterMs = choose.pick([600, 30_000]);
    world.running?.handlers.stop().catch(() => {});
    pass(world, { ms: 500 });
    pass(world, { ms: 60_000, holds: () => world.running?.ready === true });
  }
  pass(world, { ms: SEEN_MS, holds: trying.isThere });
  model.well();
  const applied = view(trying)?.applied?.stateDigest === issued.digest;
  demand(trying, applied, 'a state that was stopped on trial is not applied');
};

/** A registry gives other bytes of the same length: nothing of them is used, and the right ones are taken. */
export const otherBytes: Trial = (trying) => {
  const { stage, choose } = trying;
  const { world } = stage;
  const { blobs } = world.registry;
  // What an earlier state named as well, the device may have.
  const before = new Set(blobs.keys());
  const issued = issue(stage, plain(stage, choose));
  const digests = [
    ...issued.cargo.blobs.map(({ digest }) => digest).filter((digest) => !before.has(digest)),
    ...(choose.oneIn(3) ? [issued.manifestDigest] : []),
  ];
  publish(stage, issued);
  const digest = choose.pick(digests);
  const right = blobs.get(digest);
  blobs.set(digest, new Uint8Array(right?.length ?? 0).fill(35));
  pass(world, { ms: 90_000 });
  const held = view(trying)?.applied?.stateDigest !== issued.digest || digests.length === 0;
  demand(trying, held, 'a state was applied whose bytes nobody had');
  if (right) blobs.set(digest, right);
  pass(world, { ms: SEEN_MS, holds: trying.isThere });
};
