/**
 * `promote A B`: what A's head brought, as the next statement of B, signed by B's keys. The bytes
 * come from this folder's own signed layout of A's head, else from the registry; each is checked
 * against the digests that A's head signed, so B never gets anything that A had not.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import type { Platform } from '#platform/platform.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import { pointText } from '#state/point.ts';
import { readDocuments } from '#wire/documents.ts';
import { MARGO_LINE } from '#wire/margo-statement.ts';
import type { Parts } from './artifact.ts';
import { bytesContent, type Content, wholeContent } from './content.ts';
import type { Fleet } from './fleet.ts';
import type { Head } from './head.ts';
import { type ChannelLine, readLine } from './line.ts';
import { type Prepared, prepareCargo, type SignOptions } from './publish.ts';
import { openSigned } from './signed.ts';

export interface Promotion {
  readonly from: Head;
  readonly prepared: Prepared;
}

export async function promote(
  platform: Platform,
  fleet: Fleet,
  names: { readonly from: string; readonly to: string },
  options: SignOptions & { readonly registry: Registry | null },
): Promise<Result<Promotion>> {
  const no = (reason: string) => refuse('publish.not-promotable', { ...names, reason });
  if (names.from === names.to) return no('they are the same channel');
  if ([names.from, names.to].includes(MARGO_LINE)) {
    return no('a Margo manifest and a statement of ours are two kinds of bytes');
  }
  const source = await readLine(platform, fleet, names.from, options.registry);
  if (!source.ok) return source;
  const from = options.registry ? source.value.head : source.value.latest;
  if (!from) return no(`${names.from} has no head`);
  const unsent = unsentOf(source.value, from);
  if (unsent) return no(unsent);
  const parts = await partsOf(platform, fleet, from, options.registry);
  if (!parts.ok) return parts;
  const line = await readLine(platform, fleet, names.to, options.registry);
  if (!line.ok) return line;
  const { deployments, blobs, documents, point } = from.state;
  const cargo = { deployments, blobs, documents, promotedFrom: point.digest };
  const prepared = await prepareCargo(platform, fleet, line.value, {
    cargo,
    parts: parts.value,
    options,
  });
  return prepared.ok ? ok({ from, prepared: prepared.value }) : prepared;
}

/** What was signed here and never arrived would be left behind unnoticed. */
function unsentOf({ latest, head }: ChannelLine, from: Head): string | null {
  if (!latest || latest.state.point.digest === from.state.point.digest) return null;
  const { point } = latest.state;
  const shown = `${pointText(point)} is signed here, its head is ${pointText(from.state.point)}`;
  const ahead =
    !head || point.epoch > head.state.point.epoch || point.sequence > head.state.point.sequence;
  return ahead ? `${shown}: publish ${latest.state.channel} first` : null;
}

/** What a head brought: from this folder's own layout of it, else from the registry. */
export async function partsOf(
  platform: Platform,
  fleet: Fleet,
  from: Head,
  registry: Registry | null,
): Promise<Result<Parts>> {
  const { channel, point } = from.state;
  const kept = await openSigned(platform.files, fleet, channel, point);
  if (!kept.ok) return kept;
  const local = kept.value?.state.point.digest === point.digest ? kept.value.shelf : null;
  const contents = new Map<Digest, Content>();
  const wanted = [...from.state.blobs, ...(from.state.documents ? [from.state.documents] : [])];
  for (const { digest, size } of wanted) {
    if (contents.has(digest)) continue;
    const content =
      local?.content({ digest, size }) ?? (registry && fetched(registry, digest, size));
    if (!content) {
      const bundle = `signed/${channel}/${pointText(point)}`;
      return refuse('publish.bundle', {
        bundle,
        reason: 'it is not here, and there is no registry',
      });
    }
    const got = await content;
    if (!got.ok) return refused(got.fault);
    contents.set(digest, got.value);
  }
  const documents = from.state.documents && contents.get(from.state.documents.digest);
  const checked = checkDocuments(from.state, documents ?? null);
  if (!checked.ok) return checked;
  return ok({ documents: documents ?? null, contents });
}

/** From the registry, in memory: a folder that has not signed A itself still can promote it. */
async function fetched(registry: Registry, digest: Digest, size: number): Promise<Result<Content>> {
  const parts: Uint8Array[] = [];
  for await (const chunk of registry.blob(digest, 0, size)) {
    if (chunk.kind === 'failed') return { ok: false, fault: chunk.fault };
    if (chunk.kind === 'bytes') parts.push(chunk.bytes);
  }
  const content = bytesContent(new Uint8Array(Buffer.concat(parts)));
  if (content.digest === digest) return ok(content);
  const what = `blob ${digest} of ${registry.name}`;
  return refuse('source.digest-mismatch', { what, wanted: digest, got: content.digest });
}

/** The layer must hold every document that the head names, under its digest. */
function checkDocuments(state: DesiredState, layer: Content | null): Result<undefined> {
  if (!layer) return ok();
  const bytes = wholeContent(layer.chunks(), layer.size, 'the documents layer');
  if (!bytes.ok) return bytes;
  const documents = readDocuments(bytes.value);
  if (!documents.ok) return documents;
  const missing = state.deployments.find(({ digest }) => !documents.value.has(digest));
  return missing
    ? refuse('publish.bundle', {
        bundle: `${state.channel} ${pointText(state.point)}`,
        reason: `its documents layer lacks ${missing.id}`,
      })
    : ok();
}
