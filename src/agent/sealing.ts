/**
 * The sealing key of this device, in files of its own beside the device's key: made with it, or at
 * the first start of a program that knows of it, and made anew with it. It never leaves the device;
 * its public half stands beside it, for who takes it to the desk by hand. One that cannot be read is
 * set aside and replaced: what was sealed for it is refused from then on, and everything else works.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import type { Random } from '#platform/random.ts';
import {
  readSealingPem,
  SEALING_FILE_BYTES,
  SEALING_KEY_BYTES,
  type SealingKey,
  sealingKeyOf,
  sealingPem,
  sealingPublicPem,
} from '#trust/sealing-key.ts';

export const SEALING_KEY_FILE = 'sealing.key';
const SEALING_PUBLIC_FILE = 'sealing.pub.pem';
const DAMAGED = `${SEALING_KEY_FILE}.bad`;
const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;

export interface Sealing {
  readonly key: SealingKey;
  /** made now, not the one of the last start */
  readonly made: boolean;
}

/** @param renew  this is another machine: what was sealed for the one before is not for this one */
export function openSealing(directory: Directory, random: Random, renew: boolean): Result<Sealing> {
  const found = renew ? ok(null) : readKey(directory);
  if (!found.ok) return found;
  const key = found.value ?? sealingKeyOf(random.bytes(SEALING_KEY_BYTES));
  if (!found.value) {
    const kept = replace(directory, SEALING_KEY_FILE, sealingPem(key), PRIVATE_MODE);
    if (!kept.ok) return kept;
  }
  const text = sealingPublicPem(key.publicKey);
  const shown = directory.read(SEALING_PUBLIC_FILE, SEALING_FILE_BYTES);
  if (!shown.ok || Buffer.from(shown.value).toString() !== text) {
    const told = replace(directory, SEALING_PUBLIC_FILE, text, PUBLIC_MODE);
    if (!told.ok) return told;
  }
  return ok({ key, made: found.value === null });
}

/** Null: none there, or one that no program wrote. */
function readKey(directory: Directory): Result<SealingKey | null> {
  const entry = directory.stat(SEALING_KEY_FILE);
  if (!entry.ok) return entry;
  if (!entry.value) return ok(null);
  const file = directory.read(SEALING_KEY_FILE, SEALING_FILE_BYTES);
  const key = file.ok ? readSealingPem(file.value, SEALING_KEY_FILE) : file;
  if (key.ok) return key;
  // A disk that fails to read now may read later; a key that is replaced is gone.
  if (!file.ok && file.fault.code === 'platform.io') return file;
  const cleared = directory.removeTree(DAMAGED);
  if (!cleared.ok) return cleared;
  const aside = directory.rename(SEALING_KEY_FILE, DAMAGED);
  return aside.ok ? ok(null) : aside;
}

function replace(directory: Directory, name: string, text: string, mode: number): Result<void> {
  const temporary = `${name}.new`;
  const removed = directory.removeTree(temporary);
  if (!removed.ok) return removed;
  const written = directory.write(temporary, Buffer.from(text), mode);
  if (!written.ok) return written;
  const renamed = directory.rename(temporary, name);
  return renamed.ok ? directory.sync() : renamed;
}
