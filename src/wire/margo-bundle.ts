/**
 * A Margo bundle: one YAML file for each deployment of the manifest and nothing else, in a tar
 * (MARGO.md section 4; M37, M40–M42). Entries are matched by their digests; their names mean nothing,
 * but one that would leave the archive refuses all of it. gzip and its caps are the caller's.
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { quote } from './quote.ts';
import { readTar, writeTar } from './tar.ts';

/** @param tar  unpacked; ends with a fault where unpacking does */
export function readMargoBundle(
  tar: Iterable<Result<Uint8Array>>,
  wanted: ReadonlySet<Digest>,
): Result<ReadonlyMap<Digest, Uint8Array>> {
  const found = new Map<Digest, Uint8Array>();
  let open: { readonly name: string; readonly bytes: Uint8Array; filled: number } | null = null;
  const close = (): Refused | null => {
    if (open === null) return null;
    const digest = sha256(open.bytes);
    if (!wanted.has(digest)) return no(`${quote(open.name)} is none of the manifest's documents`);
    found.set(digest, open.bytes);
    return null;
  };
  const caps = { entries: 2 * LIMITS.deploymentsMax, bytes: LIMITS.documentsBytes };
  for (const item of readTar(tar, caps)) {
    if (!item.ok) return item;
    if (item.value.kind === 'data') {
      open?.bytes.set(item.value.bytes, open.filled);
      if (open) open.filled += item.value.bytes.length;
      continue;
    }
    const wrong = close();
    if (wrong) return wrong;
    open = null;
    // A directory carries nothing: archivers write "./" and the folders of their entries.
    if (item.value.kind === 'directory') continue;
    const name = item.value.path.join('/');
    if (item.value.size > LIMITS.documentBytes) {
      return no(`${quote(name)} is above ${LIMITS.documentBytes} bytes`);
    }
    open = { name, bytes: new Uint8Array(item.value.size), filled: 0 };
  }
  const wrong = close();
  if (wrong) return wrong;
  const missing = [...wanted].find((digest) => !found.has(digest));
  return missing ? no(`it lacks the document ${missing}`) : ok(found);
}

/** The same documents always give the same bytes; names as the reference manager has them. */
export function writeMargoBundle(
  documents: readonly { readonly id: string; readonly bytes: Uint8Array }[],
): Uint8Array {
  return writeTar(
    documents.map(({ id, bytes }) => ({ path: `${id}.yaml`, bytes, mode: 0o644, kind: 'file' })),
  );
}

function no(reason: string): Refused {
  return refuse('margo.bundle', { reason });
}
