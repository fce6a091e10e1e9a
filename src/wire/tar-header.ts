/**
 * One 512-byte tar header, POSIX ustar, and the records of a pax extended header. Strict: octal
 * fields of digits only, a right checksum, no bits beyond permissions (row D09), zero where the
 * format has nothing. GNU's magic is read, its extensions (long names, base-256 sizes) are not.
 * @see POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"
 */
import { decodeText, encodeText } from './text.ts';

export const BLOCK = 512;
/** bytes of one extended header: a path of LIMITS.treePathBytes and the times beside it */
export const PAX_BYTES_MAX = 4_096;
/** the largest size that eleven octal digits hold */
export const SIZE_MAX = 8 ** 11 - 1;

export interface TarHeader {
  readonly type: string;
  readonly path: string;
  /** permission bits with setuid, setgid, sticky */
  readonly mode: number;
  readonly size: number;
}

export type Reason = { readonly reason: string };

/** @param typedModes  take modes that repeat the file type, as skopeo's archives have them */
export function readHeader(block: Uint8Array, typedModes = false): TarHeader | Reason {
  const magic = latin1(block.subarray(257, 265));
  const gnu = magic === 'ustar  \0';
  if (!gnu && magic !== 'ustar\x0000') return { reason: 'it is no ustar header' };
  if (octal(block.subarray(148, 156)) !== checksum(block)) return { reason: 'a wrong checksum' };
  const type = latin1(block.subarray(156, 157));
  const stored = octal(block.subarray(100, 108));
  const mode = typedModes ? withoutFileType(stored, type) : stored;
  const size = octal(block.subarray(124, 136));
  if (mode === null || mode > 0o7777) return { reason: 'the mode is no permission bits' };
  if (size === null) return { reason: 'the size is no octal number' };
  const name = field(block.subarray(0, 100));
  const prefix = field(block.subarray(345, gnu ? 345 : 500));
  if (gnu && block.subarray(345, BLOCK).some((byte) => byte !== 0)) {
    return { reason: 'GNU header fields are not supported; make it with --format=ustar' };
  }
  if (name === null || prefix === null) return { reason: 'the name is not UTF-8 text' };
  const path = prefix === '' ? name : `${prefix}/${name}`;
  return { type, path, mode, size };
}

/** The file type of stat stands in the mode too; it must be that of the entry. */
function withoutFileType(mode: number | null, type: string): number | null {
  const fileType = type === '5' ? 0o040000 : 0o100000;
  return mode !== null && (mode & ~0o7777) === fileType ? mode & 0o7777 : mode;
}

/** What one entry of an archive is made of; `size` at most SIZE_MAX. */
export function writeHeader(header: TarHeader): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const split = splitPath(header.path) ?? { prefix: '', name: 'pax' };
  block.set(encodeText(split.name), 0);
  block.set(encodeText(octalText(header.mode, 7)), 100);
  block.set(encodeText(octalText(0, 7)), 108);
  block.set(encodeText(octalText(0, 7)), 116);
  block.set(encodeText(octalText(header.size, 11)), 124);
  block.set(encodeText(octalText(0, 11)), 136);
  block.set(encodeText(header.type), 156);
  block.set(encodeText('ustar\x0000'), 257);
  block.set(encodeText(split.prefix), 345);
  block.set(encodeText(`${checksum(block).toString(8).padStart(6, '0')}\0 `), 148);
  return block;
}

/** A name and a prefix that fit into a header; null: an extended header has to carry the path. */
export function splitPath(path: string): { prefix: string; name: string } | null {
  if (encodeText(path).length <= 100) return { prefix: '', name: path };
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const prefix = path.slice(0, at);
    const name = path.slice(at + 1);
    const fits = encodeText(prefix).length <= 155 && encodeText(name).length <= 100;
    if (fits && name !== '') return { prefix, name };
  }
  return null;
}

/** Harmless beside the entry itself: none of them changes what is written. */
const PAX_IGNORED = new Set(['atime', 'comment', 'ctime', 'gid', 'gname', 'mtime', 'uid', 'uname']);

/** The path of an extended header, or null when it says nothing about it. */
export function readPax(bytes: Uint8Array): { readonly path: string | null } | Reason {
  const text = decodeText(bytes);
  if (text === null) return { reason: 'an extended header is not UTF-8' };
  const buffer = Buffer.from(bytes);
  const seen = new Map<string, string>();
  for (let at = 0; at < buffer.length; ) {
    const length = /^[1-9][0-9]{0,4} /.exec(buffer.toString('latin1', at, at + 6))?.[0] ?? '';
    const end = at + Number(length);
    const record = buffer.toString('utf8', at + length.length, end);
    const equals = record.indexOf('=');
    if (length === '' || end > buffer.length || equals < 1 || !record.endsWith('\n')) {
      return { reason: 'an extended header has a broken record' };
    }
    const key = record.slice(0, equals);
    if (seen.has(key)) return { reason: 'an extended header has one key twice' };
    if (key !== 'path' && !PAX_IGNORED.has(key)) {
      return { reason: 'an extended header has a key other than path, times and owners' };
    }
    seen.set(key, record.slice(equals + 1, -1));
    at = end;
  }
  return { path: seen.get('path') ?? null };
}

/** One record: its length counts its own digits. */
export function writePax(path: string): Uint8Array {
  const rest = encodeText(` path=${path}\n`).length;
  let length = rest + 1;
  while (`${length}`.length + rest !== length) length += 1;
  return encodeText(`${length} path=${path}\n`);
}

/** The sum of the bytes, those of the field itself taken as spaces. */
function checksum(block: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < 148; at += 1) sum += block[at] ?? 0;
  for (let at = 156; at < BLOCK; at += 1) sum += block[at] ?? 0;
  return sum;
}

/** Digits, after spaces and before spaces and NULs. */
function octal(bytes: Uint8Array): number | null {
  const match = /^ *([0-7]{1,11})[ \0]*$/.exec(latin1(bytes));
  return match?.[1] === undefined ? null : Number.parseInt(match[1], 8);
}

function octalText(value: number, digits: number): string {
  return `${value.toString(8).padStart(digits, '0')}\0`;
}

/** Text up to the first NUL, and nothing but NUL after it. */
function field(bytes: Uint8Array): string | null {
  const end = bytes.indexOf(0);
  if (end < 0) return decodeText(bytes);
  return bytes.subarray(end).some((byte) => byte !== 0) ? null : decodeText(bytes.subarray(0, end));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
