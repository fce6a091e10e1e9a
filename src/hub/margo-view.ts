/**
 * What one client is to run, as Margo's manifest: of the published statement the documents that are for
 * a device of this client. A client that told nothing of itself yet is told nothing (M27); the version
 * rises with every change of content and is on disk before it is said (M26).
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Inflate } from '#platform/inflate.ts';
import type { Log } from '#platform/log.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { judgeAudience } from '#trust/audience.ts';
import { writeMargoBundle } from '#wire/margo-bundle.ts';
import { writeMargoManifest } from '#wire/margo-manifest.ts';
import type { JsonObject } from '#wire/strict-json.ts';
import { isJsonObject } from '#wire/strict-json.ts';
import type { ClientView, MargoClient, MargoClients } from './margo-clients.ts';
import type { MargoDocument, Published } from './margo-published.ts';
import { signedView } from './margo-signed.ts';

/** before the resources of a client; in the older dialects its id follows */
export const MARGO_PREFIX = '/api/v1/';

export interface MargoViewOf {
  readonly published: Published | null;
  readonly prefix?: string;
}

export interface MargoViewParts {
  readonly clients: MargoClients;
  readonly inflate: Inflate;
  readonly log: Log;
}

/** The view in force, made anew where what was published has changed for this client. */
export function viewFor(
  { clients, inflate, log }: MargoViewParts,
  client: MargoClient,
  { published, prefix = MARGO_PREFIX }: MargoViewOf,
): Result<ClientView> {
  const signed = published ? signedView({ clients, log }, client, published) : null;
  if (signed) return signed;
  const [before] = client.views();
  const documents = published ? documentsFor(client, published) : [];
  const blobs = [
    ...new Map(documents.flatMap((one) => one.blobs).map((blob) => [blob.name, blob])).values(),
  ];
  const listed = documents.map(({ id, digest }) => ({ id, digest }));
  const content = sha256(Buffer.from(JSON.stringify([listed, blobs])));
  if (before?.content === content) return ok(before);
  const version = (before?.version ?? 0n) + 1n;
  let bundle: { readonly digest: Digest; readonly size: number } | null = null;
  for (const { bytes } of documents) {
    const kept = clients.putContent(bytes);
    if (!kept.ok) return kept;
  }
  if (documents.length > 0) {
    const archive = inflate.gzip(writeMargoBundle(documents));
    const kept = clients.putContent(archive);
    if (!kept.ok) return kept;
    bundle = { digest: kept.value, size: archive.length };
  }
  const deployments = documents.map(({ id, digest, bytes }) => ({
    id,
    digest,
    size: bytes.length,
  }));
  const bytes = writeMargoManifest({ version, bundle, deployments, blobs, prefix });
  const manifest = clients.putContent(bytes);
  if (!manifest.ok) return manifest;
  const view = {
    version,
    content,
    manifest: manifest.value,
    bundle: bundle?.digest ?? null,
    documents: listed,
  };
  const put = client.putView(view);
  if (!put.ok) return put;
  clients.sweep();
  return ok(view);
}

function documentsFor(
  client: MargoClient,
  { state, documents }: Published,
): readonly MargoDocument[] {
  const devices = client.devices();
  if (devices.length === 0) return [];
  const addressed = devices.filter((id) => {
    const facts = { id, labels: labelsOf(client.capabilities(id)) };
    return judgeAudience(state.audience, facts).kind === 'passed';
  });
  return documents.filter(({ deviceId }) => addressed.some((id) => isFor(deviceId, id)));
}

/** `gateway/*`: any child of it, and so what its gateway is told. */
function isFor(wanted: string | null, deviceId: string): boolean {
  if (wanted === null || wanted === deviceId) return true;
  return wanted.endsWith('/*') && `${deviceId}/*` === wanted;
}

function labelsOf(capabilities: JsonObject | null): Readonly<Record<string, string>> {
  const labels = capabilities?.labels;
  if (!isJsonObject(labels)) return {};
  return Object.fromEntries(
    Object.entries(labels).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : `${value}`,
    ]),
  );
}
