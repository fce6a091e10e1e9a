/**
 * A name that is there may not be durable: whoever made it may have been killed before its fsync, and
 * the next power cut takes it away, with all that was built on it since. So each start makes the names
 * durable that a life before it may have left, before recovery or a change relies on any: those of the
 * state directory, of shelves beside targets, of targets themselves and of what was made for them. Clean
 * directories cost an fsync that writes nothing.
 *
 * Contents need none of this: they are synced before they get their name (platform/files.ts).
 */
import { type Fault, ok, type Result, refused } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Places } from './places.ts';
import { HIDDEN, pathsAbove } from './targets.ts';

/** A directory, and directories below it: so many levels of them. */
type Wanted = readonly [path: string, levels: number];

/** below the state directory */
const OF_THE_STATE: readonly Wanted[] = [
  ['', 0],
  ['/content', 0],
  ['/identity', 1],
  ['/places', 0],
  // <deployment>/<slot>
  ['/generations', 2],
];

/** Goes on past what fails. @returns the first fault: a disk that refuses now may not later */
export function settleNames(files: Files, stateDir: string, places: Places): Result<void> {
  const known = places.all();
  if (!known.ok) return known;
  const wanted = new Map<string, number>(
    OF_THE_STATE.map(([path, levels]) => [`${stateDir}${path}`, levels]),
  );
  const want = (path: string, levels = 0): void => {
    wanted.set(path, Math.max(levels, wanted.get(path) ?? 0));
  };
  for (const { kind, path, folder } of known.value) {
    if (kind === 'shelf') {
      want(path);
      want(`${path}/${HIDDEN}`);
      want(`${path}/${HIDDEN}/${folder}`, 1);
    } else {
      for (const above of pathsAbove(path)) want(above);
      if (kind === 'made') want(path);
    }
  }
  let first: Fault | null = null;
  for (const [path, levels] of wanted) {
    const opened = files.open(path, { follow: true });
    const done = opened.ok ? settle(opened.value, levels) : opened;
    if (opened.ok) opened.value.close();
    if (!done.ok && !isAway(done.fault)) first ??= done.fault;
  }
  return first === null ? ok(undefined) : refused(first);
}

function settle(directory: Directory, levels: number): Result<void> {
  const names = levels > 0 ? directory.list() : ok<readonly string[]>([]);
  if (!names.ok) return names;
  for (const name of names.value) {
    const entry = directory.stat(name);
    if (!entry.ok || entry.value?.kind !== 'directory') continue;
    const below = directory.directory(name);
    const done = below.ok ? settle(below.value, levels - 1) : below;
    if (below.ok) below.value.close();
    if (!done.ok && !isAway(done.fault)) return done;
  }
  return directory.sync();
}

/** Removed meanwhile, or something else stands there now: no name of ours. */
function isAway({ code }: Fault): boolean {
  return code === 'platform.missing' || code === 'platform.not-a-directory';
}
