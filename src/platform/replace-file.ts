/** A file that is there whole, old or new, whatever was cut, and durable once this returns. */
import { ok, type Result } from '#errors/fault.ts';
import type { Directory } from './files.ts';

/** Through `NAME.new` beside it: written, fsynced, renamed, and the directory fsynced. */
export function replaceFile(
  directory: Directory,
  name: string,
  bytes: Uint8Array,
  mode = 0o600,
): Result<undefined> {
  const temporary = `${name}.new`;
  const removed = directory.removeTree(temporary);
  if (!removed.ok) return removed;
  const written = directory.write(temporary, bytes, mode);
  if (!written.ok) return written;
  const renamed = directory.rename(temporary, name);
  if (!renamed.ok) return renamed;
  const synced = directory.sync();
  return synced.ok ? ok() : synced;
}

/** Null when there is no such file. */
export function readIfThere(
  directory: Directory,
  name: string,
  cap: number,
): Result<Uint8Array | null> {
  const entry = directory.stat(name);
  if (!entry.ok) return entry;
  return entry.value === null ? ok(null) : directory.read(name, cap);
}
