/**
 * The documents layer: all deployment documents of a statement in one tar, each entry named by the
 * hex digest of its bytes and checked by it (FORMATS: OCI artifact). Whether it holds what the
 * statement names is the caller's to see; what it does not name is never read.
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { type Digest, hexOf, parseDigest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { quote } from './quote.ts';
import { readTar, type TarItem, writeTar } from './tar.ts';

/** @param tar  at most LIMITS.documentsBytes, digest already checked */
export function readDocuments(tar: Uint8Array): Result<ReadonlyMap<Digest, Uint8Array>> {
  if (tar.length > LIMITS.documentsBytes) {
    return bad('(archive)', `${tar.length} bytes; at most ${LIMITS.documentsBytes}`);
  }
  const documents = new Map<Digest, Uint8Array>();
  let open: Open | null = null;
  const caps = { entries: LIMITS.deploymentsMax, bytes: LIMITS.documentsBytes };
  for (const item of readTar([ok(tar)], caps)) {
    if (!item.ok) return item;
    if (item.value.kind === 'data' && open !== null) {
      open.bytes.set(item.value.bytes, open.filled);
      open.filled += item.value.bytes.length;
      continue;
    }
    const closed = close(open, documents);
    if (!closed.ok) return closed;
    const next = begin(item.value);
    if (!next.ok) return next;
    open = next.value;
  }
  const closed = close(open, documents);
  return closed.ok ? ok(documents) : closed;
}

/** Sorted by digest, each document once: the same set always gives the same bytes. */
export function writeDocuments(documents: readonly Uint8Array[]): Uint8Array {
  const byDigest = new Map(documents.map((bytes) => [hexOf(sha256(bytes)), bytes]));
  return writeTar(
    [...byDigest].map(([path, bytes]) => ({ path, bytes, mode: 0o644, kind: 'file' })),
  );
}

interface Open {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  filled: number;
}

function begin(item: TarItem): Result<Open> {
  if (item.kind !== 'file') return bad('(archive)', 'an entry is no file');
  const name = item.path.join('/');
  const digest = parseDigest(`sha256:${name}`);
  if (digest === null) return bad(quote(name), 'the name is not 64 lowercase hex digits');
  if (item.size > LIMITS.documentBytes) {
    return bad(name, `${item.size} bytes; at most ${LIMITS.documentBytes}`);
  }
  return ok({ digest, bytes: new Uint8Array(item.size), filled: 0 });
}

/** Check 4 */
function close(open: Open | null, documents: Map<Digest, Uint8Array>): Result<undefined> {
  if (open === null) return ok();
  const found = sha256(open.bytes);
  if (found !== open.digest) return bad(hexOf(open.digest), `its bytes are ${found}`);
  documents.set(open.digest, open.bytes);
  return ok();
}

function bad(entry: string, reason: string): Refused {
  return refuse('format.documents', { entry, reason });
}
