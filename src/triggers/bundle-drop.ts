/**
 * Wakes for a bundle that appears in a watched directory: an OCI image layout (a directory with
 * `oci-layout`) or an archive of one. Each is told once as long as it stays the same; a stick that
 * is pulled and put in again is told again. Reads only names and stat; nothing is ever written.
 */
import type { Clock } from '#platform/clock.ts';
import type { Directory, Entry, Files } from '#platform/files.ts';
import type { Trigger, Wake } from './trigger.ts';

const EVERY_MS = 5_000;
/** names looked at in one directory: a stick may hold anything */
const NAMES_MAX = 1_000;

export interface BundleDropOptions {
  readonly clock: Clock;
  readonly files: Pick<Files, 'open'>;
  /** absolute paths; may be absent for now, like a mount point without a stick */
  readonly directories: readonly string[];
  readonly everyMs?: number;
}

export function bundleDrop(options: BundleDropOptions): Trigger {
  return {
    name: 'bundle-drop',
    start(wake) {
      if (options.directories.length === 0) return () => {};
      let seen = new Map<string, string>();
      let cancel: () => void = () => {};
      let stopped = false;
      function look(): void {
        const now = bundlesIn(options);
        const fresh = [...now].filter(([path, mark]) => seen.get(path) !== mark);
        seen = now;
        if (!stopped) cancel = options.clock.after(options.everyMs ?? EVERY_MS, look);
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

/** path → what changes when the bundle does */
function bundlesIn({ files, directories }: BundleDropOptions): Map<string, string> {
  const found = new Map<string, string>();
  for (const path of directories) {
    const directory = files.open(path, { follow: true });
    if (!directory.ok) continue;
    const own = layoutMark(directory.value);
    if (own !== null) found.set(path, own);
    const names = directory.value.list();
    for (const name of names.ok ? names.value.slice(0, NAMES_MAX) : []) {
      const mark = markOf(directory.value, name);
      if (mark !== null) found.set(`${path}/${name}`, mark);
    }
    directory.value.close();
  }
  return found;
}

function markOf(directory: Directory, name: string): string | null {
  const entry = directory.stat(name);
  if (!entry.ok || !entry.value) return null;
  if (entry.value.kind === 'file') return name.endsWith('.tar') ? stampOf(entry.value) : null;
  if (entry.value.kind !== 'directory') return null;
  const child = directory.directory(name);
  if (!child.ok) return null;
  const mark = layoutMark(child.value);
  child.value.close();
  return mark;
}

/** `index.json` is written last and names everything: its stamp is the layout's. */
function layoutMark(directory: Directory): string | null {
  const layout = directory.stat('oci-layout');
  const index = directory.stat('index.json');
  if (!layout.ok || layout.value?.kind !== 'file') return null;
  return index.ok && index.value ? stampOf(index.value) : null;
}

function stampOf({ inode, size, mtimeNs, device }: Entry): string {
  return `${device} ${inode} ${size} ${mtimeNs}`;
}
