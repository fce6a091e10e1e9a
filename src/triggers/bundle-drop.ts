/**
 * Wakes for a bundle that lies in a watched directory: an OCI image layout (the directory itself, or
 * one below it) or an archive of one. It is told once it stayed the same for two looks, so that what
 * is still being copied is not read, and once for as long as it stays; a stick that is pulled and put
 * in again is told again. Reads only names and stat, follows no link, writes nothing, holds nothing
 * open between two looks.
 */
import { type Fault, fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory, Entry, Files } from '#platform/files.ts';
import type { Trigger, Wake } from './trigger.ts';

const EVERY_MS = 5_000;
/** names looked at in one directory: a stick may hold anything */
const NAMES_MAX = 1_000;
/** bundles, and things that cannot be ones, that are told of */
const LYING_MAX = 64;
const TOO_LARGE = 'platform.too-large';

/** What lies in a watched directory and could be a bundle. */
export interface Lying {
  readonly path: string;
  /** it stayed the same for two looks */
  readonly settled: boolean;
  /** why it is not even read; null: it is */
  readonly problem: Fault | null;
}

export interface BundleDropOptions {
  readonly clock: Clock;
  readonly files: Pick<Files, 'open'>;
  /** absolute paths; may be absent for now, like a mount point without a stick */
  readonly directories: readonly string[];
  readonly everyMs?: number;
  /** What lies there, whenever that has changed. */
  tell?(lying: readonly Lying[]): void;
  /** Asked at each look: this one is to be told once more although it is the same. */
  again?(path: string): boolean;
}

type Marks = ReadonlyMap<string, string | Fault>;

export function bundleDrop(options: BundleDropOptions): Trigger {
  return {
    name: 'bundle-drop',
    start(wake) {
      if (options.directories.length === 0) return () => {};
      let before: Marks = new Map();
      let told = new Map<string, string>();
      let last = '';
      let cancel: () => void = () => {};
      let stopped = false;
      function look(): void {
        const now = bundlesIn(options);
        const settled = [...now].flatMap(([path, mark]) =>
          typeof mark === 'string' && before.get(path) === mark ? [[path, mark] as const] : [],
        );
        const fresh = settled.filter(
          ([path, mark]) => told.get(path) !== mark || options.again?.(path) === true,
        );
        before = now;
        told = new Map(settled);
        if (!stopped) cancel = options.clock.after(options.everyMs ?? EVERY_MS, look);
        const lying = lyingOf(now, told);
        const text = JSON.stringify(lying);
        if (text !== last) options.tell?.(lying);
        last = text;
        for (const [path] of fresh) wake({ kind: 'bundle', path } satisfies Wake);
      }
      cancel = options.clock.after(0, look);
      return () => {
        stopped = true;
        cancel();
      };
    },
  };
}

function lyingOf(marks: Marks, settled: ReadonlyMap<string, string>): readonly Lying[] {
  return [...marks].map(([path, mark]) => ({
    path,
    settled: settled.has(path),
    problem: typeof mark === 'string' ? null : mark,
  }));
}

/** path → what changes when the bundle does, or why it is not read */
function bundlesIn({ files, directories }: BundleDropOptions): Marks {
  const found = new Map<string, string | Fault>();
  for (const path of directories) {
    const directory = files.open(path, { follow: true, untouched: true });
    if (!directory.ok) continue;
    for (const [name, mark] of marksIn(directory.value, path)) {
      if (found.size < LYING_MAX) found.set(name, mark);
    }
    directory.value.close();
  }
  return found;
}

function* marksIn(directory: Directory, path: string): Generator<[string, string | Fault]> {
  const own = layoutMark(directory);
  if (own !== null) yield [path, own];
  const names = directory.list({ max: NAMES_MAX + 1 });
  const many = names.ok ? names.value.length > NAMES_MAX : names.fault.code === TOO_LARGE;
  if (many && own === null) {
    yield [path, notRead(path, `more than ${NAMES_MAX} names stand there`)];
  }
  if (!names.ok) return;
  for (const name of names.value.slice(0, NAMES_MAX)) {
    const mark = markOf(directory, path, name);
    if (mark !== null) yield [`${path}/${name}`, mark];
  }
}

function markOf(directory: Directory, path: string, name: string): string | Fault | null {
  // A name is shown to people: it may not steer their terminal.
  if (/\p{Cc}/u.test(name)) return null;
  const entry = directory.stat(name);
  if (!entry.ok || !entry.value) return null;
  const { kind } = entry.value;
  const isArchive = name.endsWith('.tar');
  if (kind === 'link' && isArchive) {
    return notRead(`${path}/${name}`, 'it is a link, and links are not followed here');
  }
  if (kind === 'file') return isArchive ? stampOf(entry.value) : null;
  if (kind !== 'directory') return null;
  const child = directory.directory(name);
  if (!child.ok) return null;
  const mark = layoutMark(child.value);
  child.value.close();
  return mark;
}

/** Of the files that name everything, and of the place where blobs are added. */
function layoutMark(directory: Directory): string | null {
  const layout = directory.stat('oci-layout');
  if (!layout.ok || layout.value?.kind !== 'file') return null;
  const index = directory.stat('index.json');
  if (!index.ok || !index.value) return null;
  const blobs = directory.directory('blobs');
  const named = blobs.ok ? blobs.value.stat('sha256') : null;
  if (blobs.ok) blobs.value.close();
  const added = named?.ok && named.value ? stampOf(named.value) : '';
  return `${stampOf(index.value)} ${added}`;
}

function stampOf({ inode, size, mtimeNs, device }: Entry): string {
  return `${device} ${inode} ${size} ${mtimeNs}`;
}

function notRead(path: string, reason: string): Fault {
  return fault('source.layout', { path, reason });
}
