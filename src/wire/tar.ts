/**
 * Tar archives: a pull reader that trusts nothing and a writer that always gives the same bytes.
 * The reader yields directories and files only; links, devices, fifos, sparse files, GNU's and
 * other extensions, setuid bits, bad names (tar-path.ts), data after the end and a missing end are
 * refused where they stand (checks 2 and 17; rows B06, B08, D01–D17, D23). Directories that an
 * archive leaves out are yielded before what lies in them. After a refusal nothing follows.
 */
import { assert, ok, type Refused, type Result, refuse, refused } from '#errors/fault.ts';
import { quote } from './quote.ts';
import {
  BLOCK,
  PAX_BYTES_MAX,
  type Reason,
  readHeader,
  readPax,
  SIZE_MAX,
  splitPath,
  type TarHeader,
  writeHeader,
  writePax,
} from './tar-header.ts';
import { type SeenPaths, seenPaths, treePath } from './tar-path.ts';

export type TarItem =
  | { readonly kind: 'directory'; readonly path: readonly string[]; readonly mode: number }
  | {
      readonly kind: 'file';
      readonly path: readonly string[];
      readonly mode: number;
      readonly size: number;
    }
  /** of the file before it; together as long as it said */
  | { readonly kind: 'data'; readonly bytes: Uint8Array };

export interface TarCaps {
  /** files and directories, implied ones included */
  readonly entries: number;
  /** bytes of all files together */
  readonly bytes: number;
}

export interface TarEntry {
  readonly path: string;
  readonly mode: number;
  readonly kind: 'file' | 'directory';
  readonly bytes?: Uint8Array;
}

const IMPLIED_MODE = 0o755;
/** bytes of zeros after the end: tools pad the last record, by default to 10 KiB */
const PADDING_MAX = 1024 * 1024;

export function* readTar(
  chunks: Iterable<Result<Uint8Array>>,
  caps: TarCaps,
): Generator<Result<TarItem>, undefined> {
  const source = byteSource(chunks);
  try {
    const reader: TarReader = { source, caps, seen: seenPaths(), entries: 0, bytes: 0 };
    for (;;) {
      const header = nextHeader(reader);
      if (!header.ok) return yield header;
      if (header.value === null) return undefined;
      const items = itemsOf(reader, header.value);
      if (!items.ok) return yield items;
      for (const item of items.value) yield ok(item);
      if ((yield* readData(source, header.value)) === 'refused') return undefined;
    }
  } finally {
    source.close();
  }
}

interface TarReader {
  readonly source: ByteSource;
  readonly caps: TarCaps;
  readonly seen: SeenPaths;
  entries: number;
  bytes: number;
}

/** The next entry's header with its whole path; null at the end of the archive. */
function nextHeader(reader: TarReader): Result<TarHeader | null> {
  const { source } = reader;
  const header = headerBlock(source);
  if (!header.ok) return header;
  if (header.value === null) return endOfArchive(source);
  if (header.value.type !== 'x') return ok(header.value);
  const { size } = header.value;
  if (size > PAX_BYTES_MAX) return bad('', `an extended header of ${size} bytes`);
  const bytes = source.whole(size);
  if (!bytes.ok) return bytes;
  const padding = source.padding(size);
  if (!padding.ok) return padding;
  const extended = readPax(bytes.value);
  if ('reason' in extended) return bad('', extended.reason);
  const described = headerBlock(source);
  if (!described.ok) return described;
  if (described.value === null) return bad('', 'an extended header describes nothing');
  return ok({ ...described.value, path: extended.path ?? described.value.path });
}

/** Null: a block of zeros. */
function headerBlock(source: ByteSource): Result<TarHeader | null> {
  const block = source.whole(BLOCK);
  if (!block.ok) return block;
  if (isZero(block.value)) return ok(null);
  const header = readHeader(block.value);
  return 'reason' in header ? bad('', header.reason) : ok(header);
}

/** A second block of zeros, then zeros only (row D15). */
function endOfArchive(source: ByteSource): Result<null> {
  let rest = source.whole(BLOCK);
  for (let padding = 0; ; rest = source.some(BLOCK)) {
    if (!rest.ok) return rest;
    if (rest.value.length === 0) return ok(null);
    padding += rest.value.length;
    if (padding > PADDING_MAX || !isZero(rest.value)) {
      return bad('', 'data after the end of the archive');
    }
  }
}

const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ['1', 'hard links are not supported'],
  ['2', 'symbolic links are not supported'],
  ['3', 'device nodes are not supported'],
  ['4', 'device nodes are not supported'],
  ['6', 'fifos are not supported'],
  ['L', 'GNU long names are not supported; make it with --format=ustar'],
  ['S', 'sparse files are not supported'],
  ['g', 'global extended headers are not supported'],
  ['x', 'two extended headers for one entry'],
]);

/** The entry, after the directories that it implies. */
function itemsOf(reader: TarReader, header: TarHeader): Result<readonly TarItem[]> {
  const { type, mode, size } = header;
  const directory = type === '5';
  if (!directory && type !== '0' && type !== '\0') {
    return bad(header.path, UNSUPPORTED.get(type) ?? `entries of type ${quote(type)}`);
  }
  if ((mode & 0o7000) !== 0) return bad(header.path, 'setuid, setgid or sticky');
  if (directory && size !== 0) return bad(header.path, 'a directory with content');
  const path = treePath(directory ? header.path.replace(/\/$/, '') : header.path);
  if ('reason' in path) return bad(header.path, path.reason);
  const implied = reader.seen.add(path, directory ? 'directory' : 'file');
  if ('reason' in implied) return bad(header.path, implied.reason);
  reader.entries += implied.length + 1;
  reader.bytes += size;
  if (reader.entries > reader.caps.entries) {
    return bad(header.path, `the archive has more than ${reader.caps.entries} entries`);
  }
  if (reader.bytes > reader.caps.bytes) {
    return bad(header.path, `the archive has more than ${reader.caps.bytes} bytes`);
  }
  const parents = implied.map(
    (parent): TarItem => ({ kind: 'directory', path: parent, mode: IMPLIED_MODE }),
  );
  const self: TarItem = directory
    ? { kind: 'directory', path, mode }
    : { kind: 'file', path, mode, size };
  return ok([...parents, self]);
}

function* readData(
  source: ByteSource,
  { size }: TarHeader,
): Generator<Result<TarItem>, 'read' | 'refused'> {
  for (let left = size; left > 0; ) {
    const chunk = source.some(left);
    const part = chunk.ok && chunk.value.length === 0 ? cut() : chunk;
    if (!part.ok) {
      yield part;
      return 'refused';
    }
    left -= part.value.length;
    yield ok({ kind: 'data', bytes: part.value });
  }
  const padding = source.padding(size);
  if (padding.ok) return 'read';
  yield padding;
  return 'refused';
}

interface ByteSource {
  /** Up to `count` bytes, without copying; none at the end. */
  some(count: number): Result<Uint8Array>;
  /** Exactly `count` bytes. */
  whole(count: number): Result<Uint8Array>;
  /** The zeros that fill the last block of `size` bytes. */
  padding(size: number): Result<undefined>;
  close(): void;
}

function byteSource(chunks: Iterable<Result<Uint8Array>>): ByteSource {
  const iterator = chunks[Symbol.iterator]();
  let current: Uint8Array = new Uint8Array();
  const some = (count: number): Result<Uint8Array> => {
    while (current.length === 0) {
      const next = iterator.next();
      if (next.done === true) return ok(current);
      if (!next.value.ok) return refused(next.value.fault);
      current = next.value.value;
    }
    const part = current.subarray(0, count);
    current = current.subarray(part.length);
    return ok(part);
  };
  const whole = (count: number): Result<Uint8Array> => {
    if (current.length >= count) return some(count);
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; ) {
      const part = some(count - at);
      if (!part.ok) return part;
      if (part.value.length === 0) return cut();
      bytes.set(part.value, at);
      at += part.value.length;
    }
    return ok(bytes);
  };
  return {
    some,
    whole,
    padding(size) {
      const zeros = whole((BLOCK - (size % BLOCK)) % BLOCK);
      if (!zeros.ok) return zeros;
      return isZero(zeros.value) ? ok() : bad('', 'padding is not zero');
    },
    close: () => void iterator.return?.(),
  };
}

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== 0) return false;
  return true;
}

/**
 * Entries sorted by path, no times, no owners: the same content always gives the same bytes.
 * Paths must pass `treePath`; `readTar` of the result finds names that collide.
 */
export function writeTar(entries: Iterable<TarEntry>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const entry of [...entries].sort(byPath)) {
    const problem: readonly string[] | Reason = treePath(entry.path);
    assert(!('reason' in problem), `a path that cannot be archived: ${quote(entry.path)}`);
    const directory = entry.kind === 'directory';
    const bytes = (directory ? undefined : entry.bytes) ?? new Uint8Array();
    assert(bytes.length <= SIZE_MAX, 'a file too large for an archive');
    const path = directory ? `${entry.path}/` : entry.path;
    if (splitPath(path) === null) parts.push(...withPadding('x', path, 0o644, writePax(path)));
    parts.push(...withPadding(directory ? '5' : '0', path, entry.mode & 0o777, bytes));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  const archive = Buffer.concat(parts);
  return new Uint8Array(archive.buffer, archive.byteOffset, archive.length);
}

function withPadding(type: string, path: string, mode: number, bytes: Uint8Array): Uint8Array[] {
  const padding = new Uint8Array((BLOCK - (bytes.length % BLOCK)) % BLOCK);
  return [writeHeader({ type, path, mode, size: bytes.length }), bytes, padding];
}

/** By components, so that a directory comes right before what lies in it. */
function byPath(a: TarEntry, b: TarEntry): number {
  const left = a.path.replaceAll('/', '\0');
  const right = b.path.replaceAll('/', '\0');
  return left < right ? -1 : left > right ? 1 : 0;
}

function cut(): Refused {
  return bad('', 'the archive is cut');
}

/** An empty name: the archive as a whole. */
function bad(entry: string, reason: string): Refused {
  return refuse('format.tar', { entry: entry === '' ? '(archive)' : quote(entry), reason });
}
