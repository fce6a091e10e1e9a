/**
 * Documents that were read before. A digest names its bytes and reading them is pure, so what was
 * read once is read: of 500 deployments, a change of one parses one. Bounded by the bytes of the
 * documents, the oldest leave first; only what was read without fault is kept.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Deployment } from '#state/deployment.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { readDeployment } from './deployment.ts';

interface Known {
  readonly deployment: Deployment;
  /** bytes of its document */
  readonly size: number;
}

export interface Document {
  /** checked by the caller: it is that of `bytes` */
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

const known = new Map<string, Known>();
let held = 0;

/** As `readDeployment`. */
export function readKnownDeployment(
  { digest, bytes, mediaType }: Document,
  where: { readonly id: string; readonly file: string },
): Result<Deployment> {
  const key = `${digest} ${where.id} ${mediaType}`;
  const before = known.get(key);
  if (before) return ok(before.deployment);
  const read = readDeployment(bytes, mediaType, where);
  if (read.ok) keep(key, { deployment: read.value, size: bytes.length });
  return read;
}

function keep(key: string, entry: Known): void {
  known.set(key, entry);
  held += entry.size;
  for (const [oldest, { size }] of known) {
    if (held <= LIMITS.knownDocumentsBytes) return;
    known.delete(oldest);
    held -= size;
  }
}
