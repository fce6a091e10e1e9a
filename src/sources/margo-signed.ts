/**
 * A Margo manager as one source among others, where its manifests must be signed (DESIGN section 4,
 * `authority: signature`): the manifest by its API, the envelope over it and the fleet's roots from what a
 * manager of ours serves beside it. Nothing of it is believed: trust/verify.ts judges.
 */
import { fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { MargoLink } from '#link/margo.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { BlobPart, Head, Source } from './source.ts';

export interface MargoSignedInput {
  readonly name: string;
  readonly link: Pick<MargoLink, 'manifest' | 'bundle' | 'beside'>;
  /** older roots are not fetched */
  heldRoot(): { readonly version: bigint };
  /** The manager answered. */
  answered(): void;
  /** the owner wants it left alone now */
  down(): boolean;
}

export function margoSigned(input: MargoSignedInput): Source {
  let last: { readonly etag: string; readonly head: Head } | null = null;
  return {
    ...{ name: input.name, via: 'margo' },
    peek: async () => ok(null),
    async head(wanted, signal) {
      // It knows no names but its own: the others are asked for those.
      if (wanted !== null || input.down()) return ok(null);
      const answer = await input.link.manifest(last?.etag || null, signal);
      if (!answer.ok) return answer;
      input.answered();
      // The whole head is still in memory, so a 304 hides nothing.
      if (answer.value.kind === 'unchanged') return ok(last?.head ?? null);
      const { bytes, etag } = answer.value;
      const head = await headOf(input, bytes, signal);
      if (!head.ok) return head;
      last = { etag, head: head.value };
      return head;
    },
    blob: (digest, _offset, cap, signal) => bundle(input, digest, { cap, signal }),
  };
}

async function headOf(
  { link, name, heldRoot }: MargoSignedInput,
  manifest: Uint8Array,
  signal: AbortSignal,
): Promise<Result<Head>> {
  const manifestDigest = sha256(manifest);
  const path = `envelopes/${manifestDigest}`;
  const envelope = await link.beside(path, LIMITS.envelopeBytes, signal);
  if (!envelope.ok) return envelope;
  if (envelope.value === null) return refuse('margo.unsigned', { source: name });
  const roots: Uint8Array[] = [];
  let version = heldRoot().version + 1n;
  while (roots.length < LIMITS.rootStepsMax) {
    const root = await link.beside(`roots/${version}`, LIMITS.rootBytes, signal);
    if (!root.ok) return root;
    if (root.value === null) break;
    roots.push(root.value);
    version += 1n;
  }
  return ok({ manifestDigest, envelope: envelope.value, roots, inline: new Map() });
}

/** It serves bundles by digest, and no other content. */
async function* bundle(
  { link, name }: MargoSignedInput,
  digest: Digest,
  { cap, signal }: { readonly cap: number; readonly signal: AbortSignal },
): AsyncGenerator<BlobPart> {
  const served = await link.bundle(digest, signal);
  if (!served.ok) return yield { kind: 'failed', fault: served.fault };
  const what = 'the bundle';
  if (served.value === null) {
    return yield { kind: 'failed', fault: fault('source.missing', { what, source: name }) };
  }
  if (served.value.length > cap) {
    return yield { kind: 'failed', fault: fault('source.too-large', { what, cap }) };
  }
  yield { kind: 'bytes', bytes: served.value };
}
