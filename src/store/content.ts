/**
 * The content store: files in `stateDir/content`, named by digest.
 *
 *   HEX.blob         verified content, pristine: never linked to a target, never written again
 *   HEX.part         a download under way: resumed after a restart, its bytes hashed again
 *   HEX.statement    an accepted statement (envelope, documents), by state digest
 *   HEX.rejected     a rejection, by state digest
 *   FLEET.root       the newest root envelope
 *
 * Statements, rejections and roots are framed like records (record.ts): what the store is rebuilt
 * from when it is lost. A file is fsynced before it gets its name; the name counts after `sync`,
 * the one fsync of the directory: an acceptance with one new blob costs three fsyncs here.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, FileReader, Files } from '#platform/files.ts';
import { type Digest, hexOf, parseDigest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { type Fleet, isFleet } from '#state/names.ts';
import {
  type RecordKind,
  type RejectedMark,
  rejectedMarkRecord,
  rootRecord,
  type StatementFile,
  statementRecord,
} from '#wire/records.ts';
import { oneAtATime, type TakeTurn } from './one-at-a-time.ts';
import { openPart, type Part, unlinkIfThere } from './part.ts';
import { frameRecord, openRecord } from './record.ts';

export interface ContentStore {
  /** A blob of this size is there; its bytes are judged when they are read. */
  hasBlob(digest: Digest, size: number): boolean;
  /** Whole, digest checked. `store.blob-missing`, `store.blob-damaged` (drop it and fetch again). */
  readBlob(digest: Digest, cap: number): Result<Uint8Array>;
  /** For streaming: the reader hashes what it uses (check 18). `store.blob-missing` */
  openBlob(digest: Digest): Result<FileReader>;
  /** From memory, digest checked; fsynced, named. */
  putBlob(digest: Digest, bytes: Uint8Array): Result<void>;
  dropBlob(digest: Digest): Result<void>;
  /** A download to go on with: what is on disk is already hashed. Only within a `turn` of its own. */
  partial(digest: Digest): Result<Part>;
  /** One download at a time for each digest, whoever wants it. */
  readonly turn: TakeTurn;
  /** Envelope, documents and way of an accepted statement; fsynced, named. */
  putStatement(digest: Digest, file: StatementFile): Result<void>;
  /** `store.blob-missing`, `store.checksum` */
  readStatement(digest: Digest): Result<StatementFile>;
  /** of its file; 0: there is none */
  statementBytes(digest: Digest): number;
  /** state digests of the statements held, in no order */
  statements(): Result<readonly Digest[]>;
  markRejected(mark: RejectedMark): Result<void>;
  /** those that are readable */
  rejectedMarks(): Result<readonly RejectedMark[]>;
  putRoot(fleet: Fleet, envelope: Uint8Array): Result<void>;
  root(fleet: Fleet): Result<Uint8Array | null>;
  /** Makes all names so far durable. */
  sync(): Result<void>;
  /**
   * Removes what nobody keeps: blobs and parts outside `blobs`, statements and rejections outside
   * `statements`, left-overs of a cut. At most `SWEEP_MAX` files a call; `more` asks for another.
   */
  sweep(keep: Kept): Result<Swept>;
  freeBytes(): Result<number>;
  close(): void;
}

export interface Kept {
  readonly blobs: ReadonlySet<Digest>;
  /** the floor's statement of every channel is always among them: it is the floor's second copy */
  readonly statements: ReadonlySet<Digest>;
}

export interface Swept {
  readonly removed: number;
  readonly more: boolean;
}

const DIRECTORY = 'content';
const SWEEP_MAX = 256;
const FILE_MODE = 0o600;
/** a statement file: envelope, documents, evidence and a frame */
const STATEMENT_BYTES =
  LIMITS.envelopeBytes + LIMITS.documentsBytes + LIMITS.auditFileBytes + 4_096;
const MARK_BYTES = 64 * 1024;

/** Opens `stateDir/content`, made with mode 0700 when missing. */
export function contentStore(files: Files, stateDir: string): Result<ContentStore> {
  const state = files.open(stateDir, { create: 0o700, follow: true });
  if (!state.ok) return state;
  const opened = openContent(state.value);
  state.value.close();
  if (!opened.ok) return opened;
  const directory = opened.value;
  return ok({
    ...blobs(directory),
    ...statements(directory),
    sync: () => directory.sync(),
    sweep: (keep) => sweep(directory, keep),
    freeBytes() {
      const space = directory.freeSpace();
      return space.ok ? ok(space.value.bytes) : space;
    },
    close: () => directory.close(),
  });
}

/**
 * Its own name is durable before anything in it counts: a sync of it says nothing of its parent. So
 * as long as it is empty, since a start that was killed may have made it and no more.
 */
function openContent(state: Directory): Result<Directory> {
  const opened = state.directory(DIRECTORY, { create: 0o700 });
  if (!opened.ok) return opened;
  const names = opened.value.list();
  const isNew = names.ok && names.value.length === 0;
  const synced = isNew ? state.sync() : names;
  if (synced.ok) return opened;
  opened.value.close();
  return synced;
}

type Blobs = Pick<
  ContentStore,
  'hasBlob' | 'readBlob' | 'openBlob' | 'putBlob' | 'dropBlob' | 'partial' | 'turn'
>;

function blobs(directory: Directory): Blobs {
  return {
    hasBlob(digest, size) {
      const entry = directory.stat(blobName(digest));
      return entry.ok && entry.value?.kind === 'file' && entry.value.size === size;
    },
    readBlob(digest, cap) {
      const bytes = directory.read(blobName(digest), cap);
      if (!bytes.ok) return missing(digest, bytes);
      const found = sha256(bytes.value);
      return found === digest ? bytes : refuse('store.blob-damaged', { digest, found });
    },
    openBlob(digest) {
      const reader = directory.openFile(blobName(digest));
      return reader.ok ? reader : missing(digest, reader);
    },
    putBlob(digest, bytes) {
      const found = sha256(bytes);
      if (found !== digest) {
        const sizes = { size: bytes.length, wanted: bytes.length };
        return refuse('store.blob-mismatch', { digest, found, ...sizes });
      }
      return replace(directory, blobName(digest), bytes);
    },
    dropBlob: (digest) => unlinkIfThere(directory, blobName(digest)),
    partial: (digest) =>
      openPart({ directory, digest, part: `${hexOf(digest)}.part`, blob: blobName(digest) }),
    turn: oneAtATime(),
  };
}

type Statements = Pick<
  ContentStore,
  | 'putStatement'
  | 'readStatement'
  | 'statementBytes'
  | 'statements'
  | 'markRejected'
  | 'rejectedMarks'
  | 'putRoot'
  | 'root'
>;

function statements(directory: Directory): Statements {
  return {
    putStatement: (digest, file) =>
      putRecord(directory, `${hexOf(digest)}.statement`, statementRecord, file),
    readStatement(digest) {
      const name = `${hexOf(digest)}.statement`;
      const file = readRecord(directory, name, statementRecord, STATEMENT_BYTES);
      if (!file.ok) return missing(digest, file);
      const found = sha256(file.value.envelope.payload);
      return found === digest ? file : refuse('store.blob-damaged', { digest, found });
    },
    statementBytes(digest) {
      const entry = directory.stat(`${hexOf(digest)}.statement`);
      return entry.ok && entry.value?.kind === 'file' ? entry.value.size : 0;
    },
    statements: () => digests(directory, '.statement'),
    markRejected: (mark) =>
      putRecord(
        directory,
        `${hexOf(mark.row.point.stateDigest)}.rejected`,
        rejectedMarkRecord,
        mark,
      ),
    rejectedMarks() {
      const found = digests(directory, '.rejected');
      if (!found.ok) return found;
      const marks: RejectedMark[] = [];
      for (const digest of found.value) {
        const name = `${hexOf(digest)}.rejected`;
        const mark = readRecord(directory, name, rejectedMarkRecord, MARK_BYTES);
        if (mark.ok) marks.push(mark.value);
      }
      return ok(marks);
    },
    putRoot: (fleet, envelope) => putRecord(directory, rootName(fleet), rootRecord, envelope),
    root: (fleet) => rootIn(directory, fleet),
  };
}

/** The newest root that an agent kept there, without opening anything else; null: none. */
export function keptRoot(
  files: Pick<Files, 'open'>,
  stateDir: string,
  fleet: Fleet,
): Result<Uint8Array | null> {
  const directory = files.open(`${stateDir}/${DIRECTORY}`, { follow: true });
  if (!directory.ok) return directory.fault.code === 'platform.missing' ? ok(null) : directory;
  const found = rootIn(directory.value, fleet);
  directory.value.close();
  return found;
}

function rootIn(directory: Directory, fleet: Fleet): Result<Uint8Array | null> {
  const found = readRecord(directory, rootName(fleet), rootRecord, LIMITS.rootBytes + 4_096);
  return !found.ok && found.fault.code === 'platform.missing' ? ok(null) : found;
}

function blobName(digest: Digest): string {
  return `${hexOf(digest)}.blob`;
}

function rootName(fleet: Fleet): string {
  return `${fleet}.root`;
}

/** write beside, fsync, rename over: a cut leaves the old file or the new one. */
function replace(directory: Directory, name: string, bytes: Uint8Array): Result<void> {
  const temporary = `${name}.tmp`;
  const cleared = unlinkIfThere(directory, temporary);
  if (!cleared.ok) return cleared;
  const written = directory.write(temporary, bytes, FILE_MODE);
  if (!written.ok) {
    unlinkIfThere(directory, temporary);
    return written;
  }
  return directory.rename(temporary, name);
}

function putRecord<T>(
  directory: Directory,
  name: string,
  kind: RecordKind<T>,
  value: T,
): Result<void> {
  return replace(directory, name, frameRecord(name, kind.write(value)));
}

function readRecord<T>(
  directory: Directory,
  name: string,
  kind: RecordKind<T>,
  cap: number,
): Result<T> {
  const bytes = directory.read(name, cap);
  if (!bytes.ok) return bytes;
  const body = openRecord(name, bytes.value);
  return body.ok ? kind.read(body.value, name) : body;
}

function missing<T>(digest: Digest, result: Result<T>): Result<T> {
  const absent = !result.ok && result.fault.code === 'platform.missing';
  return absent ? refuse('store.blob-missing', { digest }) : result;
}

function digests(directory: Directory, suffix: string): Result<readonly Digest[]> {
  const names = directory.list();
  if (!names.ok) return names;
  const found: Digest[] = [];
  for (const name of names.value) {
    const digest = name.endsWith(suffix) ? digestOf(name.slice(0, -suffix.length)) : null;
    if (digest) found.push(digest);
  }
  return ok(found);
}

function digestOf(hex: string): Digest | null {
  return parseDigest(`sha256:${hex}`);
}

function sweep(directory: Directory, keep: Kept): Result<Swept> {
  const names = directory.list();
  if (!names.ok) return names;
  const there = new Set(names.value);
  const unwanted = names.value.filter((name) => !isKept(name, keep) || isDone(name, there));
  let removed = 0;
  for (const name of unwanted.slice(0, SWEEP_MAX)) {
    const gone = directory.removeTree(name);
    if (!gone.ok) return gone;
    removed += 1;
  }
  return ok({ removed, more: unwanted.length > removed });
}

/** A download that was cut, of what has come whole by another way since. */
function isDone(name: string, there: ReadonlySet<string>): boolean {
  return name.endsWith('.part') && there.has(`${name.slice(0, -'.part'.length)}.blob`);
}

function isKept(name: string, keep: Kept): boolean {
  const dot = name.indexOf('.');
  const stem = name.slice(0, dot);
  const digest = digestOf(stem);
  switch (name.slice(dot)) {
    case '.blob':
    case '.part':
      return digest !== null && keep.blobs.has(digest);
    case '.statement':
    case '.rejected':
      return digest !== null && keep.statements.has(digest);
    case '.root':
      return isFleet(stem);
    default:
      return false;
  }
}
