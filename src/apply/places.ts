/**
 * Where a deployment has left things on this device, so that sweeping needs no document: files
 * `stateDir/places/<deployment>.<kind>-<hash of path>`, the path as content. A record is durable
 * before the thing is made, and its name proves its content: a torn one is no record.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { folderOf, shortHash } from './folder-name.ts';
import { openOrMake } from './generations.ts';

/**
 * shelf: a directory that holds `.holdfast/<deployment>`; made: a directory that was made for it;
 * purge: a data directory to be removed with it
 */
export type PlaceKind = 'shelf' | 'made' | 'purge';

export interface Place {
  readonly kind: PlaceKind;
  readonly path: string;
}

export interface Places {
  add(id: string, kind: PlaceKind, path: string): Result<void>;
  drop(id: string, kind: PlaceKind, path: string): Result<void>;
  /** in no order */
  list(id: string): Result<readonly Place[]>;
  /** of every deployment, with the name of its folder (folder-name.ts) */
  all(): Result<readonly (Place & { readonly folder: string })[]>;
  /** deployments that have any, by the name of their folder */
  owners(): Result<readonly string[]>;
}

const FOLDER = 'places';
const PATH_BYTES = 8_192;
const FORM = /^(.+)\.(shelf|made|purge)-[0-9a-f]{32}$/;

export function durablePlaces(files: Files, stateDir: string): Places {
  /** records known to be on disk */
  const known = new Set<string>();
  const inFolder = <T>(work: (folder: Directory) => Result<T>): Result<T> => {
    const state = files.open(stateDir, { follow: true });
    if (!state.ok) return state;
    const folder = openOrMake(state.value, FOLDER, 0o700);
    state.value.close();
    if (!folder.ok) return folder;
    const done = work(folder.value);
    folder.value.close();
    return done;
  };
  return {
    add(id, kind, path) {
      const name = nameOf(id, kind, path);
      if (known.has(name)) return ok(undefined);
      const done = inFolder((folder) => record(folder, name, path));
      if (done.ok) known.add(name);
      return done;
    },
    drop(id, kind, path) {
      const name = nameOf(id, kind, path);
      known.delete(name);
      return inFolder((folder) => forget(folder, name));
    },
    list(id) {
      const found = inFolder(read);
      if (!found.ok) return found;
      const own = found.value.filter(({ folder }) => folder === folderOf(id));
      return ok(own.map(({ kind, path }) => ({ kind, path })));
    },
    all() {
      const folder = files.open(`${stateDir}/${FOLDER}`, { follow: true });
      if (!folder.ok) return folder.fault.code === 'platform.missing' ? ok([]) : folder;
      const found = read(folder.value);
      folder.value.close();
      return found;
    },
    owners: () => inFolder(ownersIn),
  };
}

function nameOf(id: string, kind: PlaceKind, path: string): string {
  return `${folderOf(id)}${suffixOf(kind, path)}`;
}

function suffixOf(kind: PlaceKind, path: string): string {
  return `.${kind}-${shortHash(path)}`;
}

function record(folder: Directory, name: string, path: string): Result<void> {
  const held = folder.read(name, PATH_BYTES);
  if (held.ok && Buffer.from(held.value).toString() === path) return ok(undefined);
  const cleared = forget(folder, name);
  if (!cleared.ok) return cleared;
  const written = folder.write(name, Buffer.from(path), 0o600);
  return written.ok ? folder.sync() : written;
}

function forget(folder: Directory, name: string): Result<void> {
  const removed = folder.unlink(name);
  if (removed.ok) return folder.sync();
  return removed.fault.code === 'platform.missing' ? ok(undefined) : removed;
}

function ownersIn(folder: Directory): Result<readonly string[]> {
  const names = folder.list();
  if (!names.ok) return names;
  const owners = names.value.flatMap((name) => FORM.exec(name)?.[1] ?? []);
  return ok([...new Set(owners)]);
}

function read(folder: Directory): Result<readonly (Place & { readonly folder: string })[]> {
  const names = folder.list();
  if (!names.ok) return names;
  const places: (Place & { readonly folder: string })[] = [];
  for (const name of names.value) {
    const [, owner, kind] = FORM.exec(name) ?? [];
    if (owner === undefined) continue;
    const content = folder.read(name, PATH_BYTES);
    if (!content.ok) continue;
    const path = Buffer.from(content.value).toString();
    if (`${owner}${suffixOf(kind as PlaceKind, path)}` !== name) continue;
    places.push({ kind: kind as PlaceKind, path, folder: owner });
  }
  return ok(places);
}
