/**
 * Directories on the way to a file, or the file itself, that somebody else can write: who can rename
 * a directory on the way can put another file in its place. Sticky directories (/tmp) protect what is
 * already in them, not what is still missing. Both ways count: the path as it is written, and where
 * its links lead.
 */
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { type Finding, weak } from './finding.ts';

export interface Guarded {
  /** for people */
  readonly what: string;
  /** absolute */
  readonly path: string;
}

interface Seen {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly kind: string;
}

const ROOT_USER = 0;
const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/** One finding for each such place, however many files lie below it. */
export function writableAbove(
  { files, processes }: Pick<Platform, 'files' | 'processes'>,
  guarded: readonly Guarded[],
): readonly Finding[] {
  const stateDir = guarded.find(({ what }) => what === 'stateDir');
  const agent = stateDir ? look(files, stateDir.path) : null;
  // The agent's own user, when root asks: whose directory the state is. The agent checks that one.
  const trusted = new Set([ROOT_USER, processes.self.uid, ...(agent ? [agent.uid] : [])]);
  const open = new Map<string, { readonly who: string; readonly below: Set<string> }>();
  for (const { what, path } of guarded) {
    for (const { place, who } of weakPlaces(files, path, trusted)) {
      const known = open.get(place) ?? { who, below: new Set() };
      known.below.add(what);
      open.set(place, known);
    }
  }
  return [...open].map(([place, { who, below }]) =>
    weak(
      'directories',
      `${place} can be changed by ${who}: with it ${[...below].join(', ')}`,
      `chown root ${place} && chmod go-w ${place}, or move what lies there.`,
    ),
  );
}

function weakPlaces(
  files: Files,
  path: string,
  trusted: ReadonlySet<number>,
): readonly { readonly place: string; readonly who: string }[] {
  const real = files.realPath(path);
  const ways = new Set([path, ...(real.ok ? [real.value] : [])]);
  return [...ways].flatMap((way) => {
    const places = placesOf(way).map((place) => ({ place, seen: look(files, place) }));
    return places.flatMap(({ place, seen }, index) => {
      if (seen === null) return [];
      const next = places[index + 1];
      const who = whoElse(seen, { trusted, isNextThere: next === undefined || next.seen !== null });
      return who === null ? [] : [{ place, who }];
    });
  });
}

/** Who beside the trusted can write there; null: nobody. */
function whoElse(
  { uid, gid, mode, kind }: Seen,
  { trusted, isNextThere }: { trusted: ReadonlySet<number>; isNextThere: boolean },
): string | null {
  // The kernel asks nobody's leave at a link: its directory counts.
  if (kind === 'link') return null;
  if (!trusted.has(uid)) return `user ${uid}`;
  if ((mode & STICKY) !== 0 && kind === 'directory' && isNextThere) return null;
  if ((mode & OTHERS_WRITE) !== 0) return 'everybody';
  if ((mode & GROUP_WRITES) !== 0 && !trusted.has(gid)) return `group ${gid}`;
  return null;
}

/** `/a`, `/a/b` for `/a/b`. */
function placesOf(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`);
}

function look(files: Files, path: string): Seen | null {
  const slash = path.lastIndexOf('/');
  const directory = files.open(path.slice(0, slash) || '/', { follow: true });
  if (!directory.ok) return null;
  const entry = directory.value.stat(path.slice(slash + 1));
  directory.value.close();
  return entry.ok ? entry.value : null;
}
