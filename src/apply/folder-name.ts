/** Ids as names on disk: deployments and components, whatever alphabet their format allows. */
import { sha256 } from '#state/digest.ts';

const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** One directory name for an id; what is odd or long by its hash, which no plain name can equal. */
export function folderOf(id: string): string {
  return PLAIN_NAME.test(id) ? id : `_${shortHash(id)}`;
}

/** 32 hex digits. */
export function shortHash(text: string): string {
  return sha256(Buffer.from(text)).slice('sha256:'.length, 'sha256:'.length + 32);
}
