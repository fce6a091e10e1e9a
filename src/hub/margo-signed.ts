/**
 * A Margo manifest that the fleet's keys have signed (DESIGN section 4, `authority: signature`), as the hub
 * serves it: the manifest byte for byte to every client, for it is signed for all of them at once; below
 * `holdfast/` the envelope over it, by the manifest's digest, and the roots that lead to its keys.
 */
import { fault, ok, type Result } from '#errors/fault.ts';
import type { ServedResponse } from '#platform/listener.ts';
import type { Log } from '#platform/log.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import type { ClientView, MargoClient, MargoClients } from './margo-clients.ts';
import type { Published } from './margo-published.ts';

export interface SignedManifest {
  /** DSSE, JSON, as it was published */
  readonly envelope: Uint8Array;
  /** its payload */
  readonly manifest: Uint8Array;
  /** null: nothing is deployed */
  readonly bundle: Uint8Array | null;
  /** at index i: version i + 2 */
  readonly roots: readonly Uint8Array[];
}

const FIRST_ROOT = 2;

/**
 * Null: what was published is a statement of ours, and each client has a manifest of its own. A number that
 * this client was told for other content before, by whatever the hub served then, is not told again: what
 * was in force stays, until the keys sign above it.
 */
export function signedView(
  { clients, log }: { readonly clients: MargoClients; readonly log: Log },
  client: MargoClient,
  { state, documents, signed }: Published,
): Result<ClientView> | null {
  if (!signed) return null;
  const [before] = client.views();
  const manifest = sha256(signed.manifest);
  if (before?.manifest === manifest) return ok(before);
  if (before && state.point.sequence <= before.version) {
    const held = { signed: state.point.sequence, client: client.name, told: before.version };
    const { code, message, remedy } = fault('hub.margo-held', held);
    log.write('warn', code, { message, remedy });
    return ok(before);
  }
  const contents = [
    ...documents.map(({ bytes }) => bytes),
    ...(signed.bundle ? [signed.bundle] : []),
    signed.manifest,
  ];
  for (const bytes of contents) {
    const kept = clients.putContent(bytes);
    if (!kept.ok) return kept;
  }
  const view: ClientView = {
    ...{ version: state.point.sequence, content: manifest, manifest },
    bundle: signed.bundle && sha256(signed.bundle),
    documents: documents.map(({ id, digest }) => ({ id, digest })),
  };
  const put = client.putView(view);
  if (!put.ok) return put;
  clients.sweep();
  return ok(view);
}

/** Null: nothing of that name is served. */
export function besideManifest(
  published: Published | null,
  [kind = '', name = '', ...more]: readonly string[],
): ServedResponse | null {
  const signed = published?.signed;
  if (!signed || more.length > 0) return null;
  const bytes =
    kind === 'envelopes'
      ? envelopeOf(signed, name)
      : kind === 'roots'
        ? rootOf(signed, name)
        : null;
  if (!bytes) return null;
  const headers = { 'content-type': 'application/json', 'cache-control': 'private' };
  return { status: 200, headers, body: bytes };
}

function envelopeOf({ manifest, envelope }: SignedManifest, name: string): Uint8Array | null {
  const digest: Digest = sha256(manifest);
  return name === digest || name === `sha256%3A${hexOf(digest)}` ? envelope : null;
}

function rootOf({ roots }: SignedManifest, version: string): Uint8Array | null {
  return /^[1-9][0-9]{0,8}$/.test(version) ? (roots[Number(version) - FIRST_ROOT] ?? null) : null;
}
