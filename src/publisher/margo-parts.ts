/**
 * The channel `margo`: its statement is a Margo manifest (wire/margo-statement.ts), so its documents are
 * Margo's and travel as Margo's bundle, and nothing is promised in it that a manifest cannot say.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Inflate } from '#platform/inflate.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { readDocuments } from '#wire/documents.ts';
import { writeMargoBundle } from '#wire/margo-bundle.ts';
import { MARGO_LINE } from '#wire/margo-statement.ts';
import type { Compiled } from './compile.ts';
import { bytesContent, type Content, wholeContent } from './content.ts';
import type { FleetChannel } from './fleet.ts';

/** The layer that a channel's statement names: our documents, or Margo's bundle of them. */
export function documentsFor(
  { inflate }: { readonly inflate: Pick<Inflate, 'gzip'> },
  channel: FleetChannel,
  { deployments, documents }: Pick<Compiled, 'deployments' | 'documents'>,
): Result<Content | null> {
  if (channel.name !== MARGO_LINE) return ok(documents);
  if (channel.entry.epoch !== 1n) return no(`its epoch is ${channel.entry.epoch}, not 1`);
  const unsaid = unsaidOf(channel);
  if (unsaid !== null) return no(`${unsaid} in fleet.yaml cannot be said in a manifest`);
  const other = deployments.find(({ mediaType }) => mediaType !== MEDIA.margoDeployment);
  if (other) return no(`${other.id} is no ApplicationDeployment`);
  if (!documents) return ok(null);
  const layer = wholeContent(documents.chunks(), documents.size, 'the documents layer');
  if (!layer.ok) return layer;
  const read = readDocuments(layer.value);
  if (!read.ok) return read;
  const entries = deployments.flatMap(({ id, digest }) => {
    const bytes = read.value.get(digest);
    return bytes ? [{ id, bytes }] : [];
  });
  return ok(bytesContent(inflate.gzip(writeMargoBundle(entries))));
}

/** Null: nothing; else the key of the channel's policy that a device would never learn of. */
function unsaidOf({ config }: FleetChannel): string | null {
  if (config.audience.kind !== 'everyone') return 'audience';
  if (config.windows.length > 0) return 'windows';
  if (config.spreadMs > 0) return 'spread';
  if (config.urgent) return 'urgent';
  if (config.minAgentVersion !== '') return 'minAgentVersion';
  if (config.healthWindowMs > 0) return 'healthWindow';
  if (config.unattestedMaxMs > 0) return 'unattestedMax';
  if (config.commit !== 'healthy') return 'commit';
  return config.attemptsMax === LIMITS.attemptsMaxDefault ? null : 'attemptsMax';
}

function no(reason: string): Result<never> {
  return refuse('publish.margo', { reason });
}
