/**
 * The finder of the channel `margo` where its manifests must be signed. Heads come by every way that a
 * statement comes (find.ts: manager, registries, broker, stick) and are judged by every check of
 * trust/verify.ts; what is acceptable is then read as Margo means it: its documents, by bundle or one by
 * one, and of them what is for this device (margo-state.ts). A manifest is signed for many devices at once,
 * so what is for another one is no failure here.
 */
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { MargoLink } from '#link/margo.ts';
import type { Inflate } from '#platform/inflate.ts';
import { fetchMargoDocuments } from '#sources/margo-api.ts';
import type { Source } from '#sources/source.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { MargoManifest } from '#state/margo.ts';
import type { ContentStore } from '#store/content.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import type { Finder } from './find.ts';
import type { Candidate, Found } from './found.ts';
import type { MargoOffer } from './margo-refused.ts';
import {
  keptMargoState,
  type MargoSelf,
  type MargoState,
  margoState,
  readableOf,
} from './margo-state.ts';

type Documents = ReadonlyMap<Digest, Uint8Array>;

export interface MargoSignedInput {
  readonly link: Pick<MargoLink, 'bundle' | 'document'>;
  readonly inflate: Inflate;
  readonly content: Pick<ContentStore, 'readStatement'>;
  self(): Result<MargoSelf>;
  /** what this device can do, told where the manager can be reached */
  introduce(): Promise<Result<void>>;
  /** documents of the states that the row names */
  knownDocuments(): (digest: Digest) => Uint8Array | null;
  /** A manifest was read, as far as it can be; whether it is accepted comes later. */
  offered?(offer: MargoOffer): void;
}

export function signedMargoFinder(input: MargoSignedInput, inner: Finder): Finder {
  return {
    ...inner,
    async find(wake, signal) {
      // A manager that cannot be reached keeps nobody from the other ways.
      if (wake.kind !== 'bundle') await input.introduce();
      const found = await inner.find(wake, signal);
      if (found.kind !== 'candidate') return found;
      const { candidate } = found;
      const fetched = await documentsOf(input, candidate, signal);
      if (!fetched.ok) return unread(candidate, fetched.fault, 'waiting');
      const self = input.self();
      if (!self.ok) return unread(candidate, self.fault, 'waiting');
      const { manifest, documents } = fetched.value;
      const of = [self.value, candidate.envelope.payload, manifest, documents] as const;
      const made = margoState(...of);
      const { sequence: version, digest } = candidate.state.point;
      const deployments = made.ok ? made.value.deployments : readableOf(...of);
      input.offered?.({ version, digest, deployments, why: made.ok ? null : made.fault });
      if (made.ok) return asMargo(candidate, made.value);
      inner.refuse(candidate, made.fault);
      return unread(candidate, made.fault, 'refused');
    },
    judge(envelope, via, startedAt) {
      const found = inner.judge(envelope, via, startedAt);
      if (found.kind !== 'candidate') return found;
      const { candidate } = found;
      const kept = input.content.readStatement(candidate.state.point.digest);
      const self = input.self();
      const made = !kept.ok ? kept : self.ok ? keptMargoState(kept.value, self.value) : self;
      return made.ok ? asMargo(candidate, made.value) : unread(candidate, made.fault, 'waiting');
    },
  };
}

function asMargo(candidate: Candidate, { state, layer }: MargoState): Found {
  // What the statement says of itself stands; what is deployed is Margo's reading of it.
  const { deployments, blobs, documents } = state;
  const along =
    layer && documents
      ? [...candidate.inline, [documents.digest, layer] as const]
      : candidate.inline;
  const own = { ...candidate.state, deployments, blobs, documents, policy: state.policy };
  return { kind: 'candidate', candidate: { ...candidate, state: own, inline: new Map(along) } };
}

function unread({ state, via, source }: Candidate, why: Fault, kind: 'refused' | 'waiting'): Found {
  const told = { offered: state.point, via, attack: false, again: false };
  return { kind, fault: why, source: source?.name ?? '', ...told };
}

/** A fault of fetching is none of the manifest: what a mirror lacks today it may have tomorrow. */
async function documentsOf(
  input: MargoSignedInput,
  candidate: Candidate,
  signal: AbortSignal,
): Promise<Result<{ readonly manifest: MargoManifest; readonly documents: Documents }>> {
  const manifest = readMargoManifest(candidate.envelope.payload);
  if (!manifest.ok) return manifest;
  const link = {
    bundle: (digest: Digest) => bundleOf(input, candidate, digest, signal),
    document: input.link.document,
  };
  const from = { link, inflate: input.inflate, known: input.knownDocuments() };
  const documents = await fetchMargoDocuments(from, manifest.value, signal);
  if (documents.ok) return ok({ manifest: manifest.value, documents: documents.value });
  const { retry, message } = documents.fault;
  return retry === 'never' ? refuse('margo.bundle', { reason: message }) : documents;
}

/** What came along, then where the head was, then the manager. Null: nobody has it. */
async function bundleOf(
  { link }: MargoSignedInput,
  { inline, source }: Candidate,
  digest: Digest,
  signal: AbortSignal,
): Promise<Result<Uint8Array | null>> {
  const along = inline.get(digest);
  if (along) return ok(along);
  const there = source ? await blobOf(source, digest, signal) : null;
  if (there && sha256(there) === digest) return ok(there);
  return source?.via === 'margo' ? ok(null) : link.bundle(digest, signal);
}

async function blobOf(
  source: Source,
  digest: Digest,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  let chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of source.blob(digest, 0, LIMITS.documentsBytes, signal)) {
    if (part.kind === 'failed') return null;
    if (part.kind === 'restart') chunks = [];
    else chunks.push(part.bytes);
    bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (bytes > LIMITS.documentsBytes) return null;
  }
  return new Uint8Array(Buffer.concat(chunks));
}
