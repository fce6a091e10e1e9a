/**
 * What was resolved for a generation before it was accepted: the tree of each component, and which
 * image each name means. `stateDir/compose/<deployment>/<hex>.json`, with a checksum before it, durable
 * before the acceptance, so that activation, undo and repair ask nobody. `purge` beside it says that the
 * deployment was removed and its volumes go with it.
 */
import { folderOf } from '#apply/folder-name.ts';
import { openOrMake } from '#apply/generations.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { type Digest, hexOf, parseDigest, sha256 } from '#state/digest.ts';
import type { Generation, GenerationBlob } from '#state/generation.ts';

export interface ComposeRecord {
  readonly components: readonly RecordedComponent[];
}

export interface RecordedComponent {
  readonly name: string;
  readonly tree: GenerationBlob;
  /** name of an image, as written with variables filled in → its id */
  readonly images: Readonly<Record<string, Digest>>;
}

export const COMPOSE_FOLDER = 'compose';
const RECORD = /^([0-9a-f]{64})\.json$/;
const RECORD_BYTES = 1024 * 1024;
const PURGE = 'purge';

export interface ComposeRecords {
  /** Null: none, or one that is damaged: it is made again. */
  read(generation: Pick<Generation, 'id' | 'digest'>): Result<ComposeRecord | null>;
  write(generation: Pick<Generation, 'id' | 'digest'>, record: ComposeRecord): Result<void>;
  /** every record of the deployment, by generation */
  all(id: string): Result<ReadonlyMap<Digest, ComposeRecord>>;
  remove(id: string, generation: Digest): Result<void>;
  markPurge(id: string, purge: boolean): Result<void>;
  purges(id: string): Result<boolean>;
  /** everything of the deployment */
  clear(id: string): Result<void>;
  /** names of the folders of deployments */
  owners(): Result<readonly string[]>;
  /** The folder of the deployment, made when missing. */
  folder(id: string): Result<Directory>;
}

export function composeRecords(files: Files, stateDir: string): ComposeRecords {
  const folder = (id: string) => openFolder(files, stateDir, id);
  const inside = <T>(id: string, work: (directory: Directory) => Result<T>): Result<T> => {
    const opened = folder(id);
    if (!opened.ok) return opened;
    const done = work(opened.value);
    opened.value.close();
    return done;
  };
  return {
    folder,
    read: ({ id, digest }) => inside(id, (directory) => readRecord(directory, hexOf(digest))),
    write: ({ id, digest }, record) =>
      inside(id, (directory) => replace(directory, `${hexOf(digest)}.json`, textOf(record))),
    all: (id) => inside(id, readAll),
    remove: (id, generation) =>
      inside(id, (directory) => directory.removeTree(`${hexOf(generation)}.json`)),
    markPurge: (id, purge) =>
      inside(id, (directory) => {
        const there = directory.stat(PURGE);
        if (!there.ok || (there.value !== null) === purge) return there.ok ? ok(undefined) : there;
        if (purge) return replace(directory, PURGE, '');
        const removed = directory.removeTree(PURGE);
        return removed.ok ? directory.sync() : removed;
      }),
    purges: (id) =>
      inside(id, (directory) => {
        const there = directory.stat(PURGE);
        return there.ok ? ok(there.value !== null) : there;
      }),
    clear(id) {
      const all = files.open(`${stateDir}/${COMPOSE_FOLDER}`, { follow: true });
      if (!all.ok) return all.fault.code === 'platform.missing' ? ok(undefined) : all;
      const removed = all.value.removeTree(folderOf(id));
      all.value.close();
      return removed;
    },
    owners() {
      const all = files.open(`${stateDir}/${COMPOSE_FOLDER}`, { follow: true });
      if (!all.ok) return all.fault.code === 'platform.missing' ? ok([]) : all;
      const names = all.value.list();
      all.value.close();
      return names;
    },
  };
}

function openFolder(files: Files, stateDir: string, id: string): Result<Directory> {
  const state = files.open(stateDir, { follow: true });
  if (!state.ok) return state;
  const all = openOrMake(state.value, COMPOSE_FOLDER, 0o700);
  state.value.close();
  if (!all.ok) return all;
  const own = openOrMake(all.value, folderOf(id), 0o700);
  all.value.close();
  return own;
}

function textOf(record: ComposeRecord): string {
  const body = JSON.stringify(record);
  return `${hexOf(sha256(Buffer.from(body)))}\n${body}\n`;
}

function replace(directory: Directory, name: string, text: string): Result<void> {
  const cleared = directory.removeTree(`${name}.new`);
  if (!cleared.ok) return cleared;
  const written = directory.write(`${name}.new`, Buffer.from(text), 0o600);
  if (!written.ok) return written;
  const named = directory.rename(`${name}.new`, name);
  return named.ok ? directory.sync() : named;
}

function readRecord(directory: Directory, hex: string): Result<ComposeRecord | null> {
  const bytes = directory.read(`${hex}.json`, RECORD_BYTES);
  if (!bytes.ok) return bytes.fault.code === 'platform.missing' ? ok(null) : bytes;
  const text = Buffer.from(bytes.value).toString('utf8');
  const body = text.slice(65, -1);
  if (text !== `${hexOf(sha256(Buffer.from(body)))}\n${body}\n`) return ok(null);
  // Whole and ours: its checksum is that of what was written.
  return ok(JSON.parse(body) as ComposeRecord);
}

function readAll(directory: Directory): Result<ReadonlyMap<Digest, ComposeRecord>> {
  const names = directory.list();
  if (!names.ok) return names;
  const all = new Map<Digest, ComposeRecord>();
  for (const name of names.value) {
    const hex = RECORD.exec(name)?.[1] ?? '';
    const digest = parseDigest(`sha256:${hex}`);
    const record = digest ? readRecord(directory, hex) : ok(null);
    if (!record.ok) return record;
    if (digest && record.value) all.set(digest, record.value);
  }
  return ok(all);
}

/** A fault for what should be there and is not. */
export function notFetched(deployment: string, what: string) {
  return refuse('compose.not-fetched', { deployment, what });
}
