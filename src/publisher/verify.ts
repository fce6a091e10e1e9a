/**
 * `verify` and `inspect`: what lies on a shelf, judged against a root, or only shown. Verifying
 * looks at everything: who signed, and that the documents and blobs are there and are what was signed.
 */
import { type Fault, fault, ok, type Result } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import { sha256Hasher } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import {
  type Authored,
  type Authority,
  type Unacceptable,
  verifyAuthorship,
} from '#trust/authorship.ts';
import type { CheckTrace } from '#trust/outcome.ts';
import { readDocuments } from '#wire/documents.ts';
import { readEnvelope } from '#wire/envelope.ts';
import { MARGO_LINE, readStatement } from '#wire/margo-statement.ts';
import type { OciManifest } from '#wire/oci.ts';
import { readArtifact } from './head.ts';
import type { Shelf } from './shelf.ts';

/** One artifact of a shelf and what became of it. */
export interface Judged {
  readonly manifestDigest: Digest;
  readonly channel: string;
  readonly state: DesiredState | null;
  readonly checks: readonly CheckTrace[];
  /** null: signed as it should be, and complete */
  readonly fault: Fault | null;
}

/** Verified or not: what the artifact says of itself. */
export interface Shown {
  readonly manifestDigest: Digest;
  readonly manifest: OciManifest;
  readonly state: DesiredState;
  readonly envelope: Envelope;
  readonly keyids: readonly string[];
}

/** @param authorities  one for each channel that may have been meant */
export async function verifyShelf(
  shelf: Shelf,
  authorities: readonly Authority[],
): Promise<Result<readonly Judged[]>> {
  const manifests = await shelf.manifests();
  if (!manifests.ok) return manifests;
  const judged: Judged[] = [];
  for (const found of manifests.value) {
    const artifact = await readArtifact(shelf, found);
    if (!artifact.ok) return artifact;
    if (!artifact.value) continue; // another tool's
    const { envelope, roots, manifest } = artifact.value;
    const verdict = furthest(authorities, { envelope, roots });
    if (!verdict) continue;
    const { channel, outcome } = verdict;
    const state = outcome.kind === 'authored' ? outcome.state : null;
    const incomplete = state ? await whyIncomplete(shelf, manifest, state) : null;
    judged.push({
      manifestDigest: found.digest,
      channel,
      state,
      checks: outcome.checks,
      fault: outcome.kind === 'authored' ? incomplete : outcome.fault,
    });
  }
  return ok(judged);
}

export async function showShelf(shelf: Shelf): Promise<Result<readonly Shown[]>> {
  const manifests = await shelf.manifests();
  if (!manifests.ok) return manifests;
  const shown: Shown[] = [];
  for (const found of manifests.value) {
    const artifact = await readArtifact(shelf, found);
    if (!artifact.ok) return artifact;
    if (!artifact.value) continue;
    const envelope = readEnvelope(artifact.value.envelope);
    if (!envelope.ok) return envelope;
    const state = readStatement(envelope.value);
    if (!state.ok) return state;
    shown.push({
      manifestDigest: found.digest,
      manifest: artifact.value.manifest,
      state: state.value,
      envelope: envelope.value,
      keyids: envelope.value.signatures.map(({ keyid }) => keyid),
    });
  }
  return ok(shown);
}

type Verdict = (Authored | Unacceptable) & { readonly checks: readonly CheckTrace[] };

/** The channel it was signed for; when it is for none, the one that it came nearest to. */
function furthest(
  authorities: readonly Authority[],
  signed: { readonly envelope: Uint8Array; readonly roots: readonly Uint8Array[] },
): { readonly channel: string; readonly outcome: Verdict } | null {
  let best: { readonly channel: string; readonly outcome: Verdict } | null = null;
  for (const authority of authorities) {
    const outcome = verifyAuthorship(signed, authority);
    if (outcome.kind === 'authored') return { channel: authority.channel, outcome };
    const further = outcome.checks.length > (best?.outcome.checks.length ?? 0);
    if (further) best = { channel: authority.channel, outcome };
  }
  return best;
}

/** Everything that the statement names is a layer of its size; what can be read is hashed. */
async function whyIncomplete(
  shelf: Shelf,
  { layers }: OciManifest,
  state: DesiredState,
): Promise<Fault | null> {
  const byDigest = new Map(layers.map((layer) => [layer.digest, layer]));
  const wanted = [...state.blobs, ...(state.documents ? [state.documents] : [])];
  for (const { digest, size } of wanted) {
    const layer = byDigest.get(digest);
    if (layer?.size !== size) {
      const reason = `${digest} of ${size} bytes is signed, but no layer`;
      return fault('publish.bundle', { bundle: shelf.name, reason });
    }
  }
  for (const { digest, size } of layers) {
    const wrong = whyWrong(shelf, digest, size);
    if (wrong) return wrong;
  }
  // A bundle is packed; its digest is that of the layer, which was hashed.
  if (!state.documents || state.channel === MARGO_LINE) return null;
  const layer = byDigest.get(state.documents.digest);
  const bytes = layer ? await shelf.read(layer, LIMITS.documentsBytes) : null;
  if (bytes && !bytes.ok) return bytes.fault;
  const documents = bytes ? readDocuments(bytes.value) : null;
  if (documents && !documents.ok) return documents.fault;
  const missing = state.deployments.find(({ digest }) => !documents?.value.has(digest));
  const reason = `the documents layer lacks ${missing?.id}`;
  return missing ? fault('publish.bundle', { bundle: shelf.name, reason }) : null;
}

function whyWrong(shelf: Shelf, digest: Digest, size: number): Fault | null {
  const content = shelf.content({ digest, size });
  if (!content) return null; // a repository: devices check what they fetch
  if (!content.ok) return content.fault;
  const hasher = sha256Hasher();
  for (const chunk of content.value.chunks()) {
    if (!chunk.ok) return chunk.fault;
    hasher.update(chunk.value);
  }
  const got = hasher.digest();
  if (got === digest) return null;
  return fault('source.digest-mismatch', { what: `a blob of ${shelf.name}`, wanted: digest, got });
}
