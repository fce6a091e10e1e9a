/** A secret of the owner's, alone on the one line of a file. Never part of a fault. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';

const SECRET_BYTES_MAX = 16 * 1024;

/** @returns the line without its end; `config.secret` when it is empty or not one line of text */
export function readSecret(files: Pick<Files, 'readFile'>, file: string): Result<string> {
  const bytes = files.readFile(file, SECRET_BYTES_MAX);
  if (!bytes.ok) return bytes;
  const text = Buffer.from(bytes.value)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (text === '') return refuse('config.secret', { file, reason: 'is empty' });
  if (/[\p{Cc}\u{fffd}]/u.test(text)) {
    return refuse('config.secret', { file, reason: 'is not one line of text' });
  }
  return ok(text);
}
