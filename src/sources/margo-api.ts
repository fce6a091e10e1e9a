/**
 * The documents behind a Margo manifest: by the bundle, or one by one where the manager does not serve
 * it (MARGO.md sections 2 and 4; M37–M43). Every byte is checked by its digest before it is given on;
 * what does not match ends the look, and nothing of it counts as seen.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { MargoLink } from '#link/margo.ts';
import type { Inflate } from '#platform/inflate.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { MargoManifest } from '#state/margo.ts';
import { readMargoBundle } from '#wire/margo-bundle.ts';

export interface MargoSource {
  readonly link: Pick<MargoLink, 'bundle' | 'document'>;
  readonly inflate: Inflate;
  /** of the accepted state: a digest names its bytes, so they need no fetching */
  known(digest: Digest): Uint8Array | null;
}

type Documents = ReadonlyMap<Digest, Uint8Array>;

/** bytes around the documents of an archive: a header and padding each */
const TAR_OVERHEAD = 4 * 1024 * 1024;
const MIB = 1024 * 1024;

/** All documents of the manifest, or none. */
export async function fetchMargoDocuments(
  source: MargoSource,
  manifest: MargoManifest,
  signal: AbortSignal,
): Promise<Result<Documents>> {
  // Also where every document is known: an archive that is not what the manifest says refuses it.
  const bundle = manifest.bundle ? await fromBundle(source, manifest, signal) : ok(null);
  if (!bundle.ok) return bundle;
  if (bundle.value) return ok(bundle.value);
  const found = new Map<Digest, Uint8Array>();
  for (const { digest } of manifest.deployments) {
    const known = source.known(digest);
    if (known) found.set(digest, known);
  }
  const missing = manifest.deployments.filter(({ digest }) => !found.has(digest));
  let bytes = 0;
  for (const { id, digest } of missing) {
    if (found.has(digest)) continue;
    const document = await source.link.document(id, digest, signal);
    if (!document.ok) return document;
    if (!document.value) return refuse('margo.not-served', { what: `the document of ${id}` });
    const checked = check(`the document of ${id}`, document.value, digest);
    if (!checked.ok) return checked;
    bytes += document.value.length;
    if (bytes > LIMITS.documentsBytes) {
      return refuse('source.too-large', { what: 'the documents', cap: LIMITS.documentsBytes });
    }
    found.set(digest, document.value);
  }
  return ok(found);
}

/** Null: it is not served, and the documents may be one by one. */
async function fromBundle(
  { link, inflate }: MargoSource,
  { bundle, deployments }: MargoManifest,
  signal: AbortSignal,
): Promise<Result<Documents | null>> {
  if (!bundle) return ok(null);
  const packed = await link.bundle(bundle, signal);
  if (!packed.ok) {
    const asked = packed.fault.code === 'margo.answer' || packed.fault.code === 'link.too-large';
    return asked ? ok(null) : packed;
  }
  if (packed.value === null) return ok(null);
  const checked = check('the bundle', packed.value, bundle);
  if (!checked.ok) return checked;
  const ratio = MIB + packed.value.length * LIMITS.unpackRatioMax;
  const cap = Math.min(LIMITS.documentsBytes + TAR_OVERHEAD, ratio);
  const wanted = new Set(deployments.map(({ digest }) => digest));
  return readMargoBundle(inflate.gunzip([ok(packed.value)], cap), wanted);
}

function check(what: string, bytes: Uint8Array, wanted: Digest): Result<void> {
  const got = sha256(bytes);
  return got === wanted ? ok() : refuse('source.digest-mismatch', { what, wanted, got });
}
