/**
 * What is in force on a device, read from the disk and the process table themselves: no code of the
 * agent, no store, no status. A path below a directory link belongs to the path it is seen at.
 */
export interface Medium {
  readonly kind: 'file' | 'directory' | 'link';
  readonly data: Uint8Array;
  readonly target: string;
  readonly entries: ReadonlyMap<string, Medium>;
}

export interface Program {
  readonly version: string;
  /** it may end by itself, and be away for a while */
  readonly mayBeDown: boolean;
  readonly agent: boolean;
}

export interface Seen {
  /** absolute path → text */
  readonly files: ReadonlyMap<string, string>;
  readonly programs: readonly Program[];
}

const HIDDEN = '.holdfast';
const decoder = new TextDecoder();

export function seenOn(root: Medium, targets: string, programs: readonly Program[]): Seen {
  const files = new Map<string, string>();
  const start = at(root, targets.split('/'));
  if (start) walk(start, targets, { root, files });
  return { files, programs: programs.filter(({ agent }) => !agent) };
}

interface Walking {
  readonly root: Medium;
  readonly files: Map<string, string>;
}

function walk(from: Medium, path: string, walking: Walking): void {
  for (const name of [...from.entries.keys()].sort()) {
    const entry = from.entries.get(name);
    if (name.startsWith(HIDDEN) || !entry) continue;
    const below = `${path}/${name}`;
    if (entry.kind === 'directory') walk(entry, below, walking);
    else if (entry.kind === 'file') walking.files.set(below, decoder.decode(entry.data));
    else {
      const led = at(walking.root, [...path.split('/'), ...entry.target.split('/')]);
      if (led?.kind === 'directory') walk(led, below, walking);
      else walking.files.set(below, led ? decoder.decode(led.data) : `-> ${entry.target}`);
    }
  }
}

function at(root: Medium, components: readonly string[]): Medium | null {
  let found: Medium | undefined = root;
  for (const name of components) {
    if (name === '' || name === '.') continue;
    found = found?.entries.get(name);
  }
  return found ?? null;
}
