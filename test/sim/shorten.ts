/** A shorter schedule that still fails the same way: parts are taken out, larger ones first. */
import type { Ran } from './run.ts';

const TRIES_MAX = 400;

interface Acting {
  readonly acts: readonly unknown[];
}

export function shorten<Schedule extends Acting>(
  schedule: Schedule,
  invariant: string,
  run: (schedule: Schedule) => Ran,
): Schedule {
  let tries = 0;
  const fails = (acts: Acting['acts']): boolean => {
    tries += 1;
    const { violations } = run({ ...schedule, acts });
    return violations.some((violation) => violation.invariant === invariant);
  };
  let acts: Acting['acts'] = schedule.acts;
  for (let size = Math.ceil(acts.length / 2); size >= 1 && tries < TRIES_MAX; ) {
    let smaller = false;
    for (let at = 0; at < acts.length && tries < TRIES_MAX; ) {
      const without = [...acts.slice(0, at), ...acts.slice(at + size)];
      if (fails(without)) {
        acts = without;
        smaller = true;
      } else at += size;
    }
    if (size === 1 && !smaller) break;
    size = size === 1 ? 1 : Math.floor(size / 2);
  }
  return { ...schedule, acts };
}
