/**
 * The same payload sent again: with every root that the fleet has by now, and signed anew where the
 * keys that signed it no longer count. The number stays, because nothing else is said. A layout in
 * signed/ is changed by one rename of its index, after what is new lies beside it, fsynced.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { pointText } from '#state/point.ts';
import { verifyAuthorship } from '#trust/authorship.ts';
import { readManifest } from '#wire/oci.ts';
import { type Artifact, makeArtifact, type Parts } from './artifact.ts';
import { bytesContent, type Content } from './content.ts';
import { authorityOf, type Fleet, type FleetChannel, fleetChannel, rootLayers } from './fleet.ts';
import { isOutdated } from './head.ts';
import type { Passphrases } from './keys.ts';
import { addToLayout } from './layout.ts';
import type { Shelf } from './shelf.ts';
import { openSigners, signEnvelope } from './sign.ts';
import { folderName, openSigned, type SignedState, signedFolder, tagOf } from './signed.ts';

/** Unchanged where nothing is missing. `publish.signatures-missing`: keys elsewhere would have to sign. */
export async function renewed(
  platform: Pick<Platform, 'files' | 'keyFiles'>,
  fleet: Fleet,
  signed: SignedState,
  passphrases: Passphrases,
): Promise<Result<SignedState>> {
  if (!isOutdated(signed, fleet)) return ok(signed);
  const channel = fleetChannel(fleet, signed.state.channel);
  if (!channel.ok) return channel;
  const envelope =
    signed.under === fleet.root.version
      ? ok(signed.envelope)
      : await signedAnew(platform, fleet, channel.value, { signed, passphrases });
  if (!envelope.ok) return envelope;
  const parts = await partsBeside(signed);
  if (!parts.ok) return parts;
  const all = { ...parts.value, roots: rootLayers(fleet) };
  const artifact = makeArtifact(signed.state, envelope.value, all);
  if (!artifact.ok) return artifact;
  const kept = await openSigned(platform.files, fleet, channel.value.name, signed.state.point);
  if (!kept.ok) return kept;
  return kept.value?.state.point.digest === signed.state.point.digest
    ? keepRenewed(platform.files, fleet, signed, artifact.value)
    : ok(inMemory(signed, envelope.value, { artifact: artifact.value, fleet }));
}

async function signedAnew(
  platform: Pick<Platform, 'files' | 'keyFiles'>,
  fleet: Fleet,
  channel: FleetChannel,
  { signed, passphrases }: { readonly signed: SignedState; readonly passphrases: Passphrases },
): Promise<Result<Envelope>> {
  const signers = await openSigners(platform, fleet, channel, { passphrases, detached: false });
  if (!signers.ok) return signers;
  const { threshold } = channel.role;
  const point = `${channel.name} ${pointText(signed.state.point)}`;
  const got = signers.value.length;
  if (got < threshold) {
    const folder = signedFolder(fleet, channel.name);
    return refuse('publish.signatures-missing', { point, got, threshold, folder });
  }
  const { payload, payloadType } = signed.envelope;
  const envelope = await signEnvelope(payloadType, payload, signers.value);
  if (!envelope.ok) return envelope;
  const authority = authorityOf(fleet, channel.name);
  const verdict = verifyAuthorship({ envelope: envelope.value, roots: [] }, authority);
  return verdict.kind === 'authored' ? envelope : refused(verdict.fault);
}

/** What is beside the statement; contents that cannot be copied are named by it all the same. */
async function partsBeside({ state, shelf }: SignedState): Promise<Result<Parts>> {
  const contents = new Map<Digest, Content>();
  for (const { digest, size } of state.blobs) {
    const content = shelf.content({ digest, size });
    if (content && !content.ok) return content;
    if (content) contents.set(digest, content.value);
  }
  if (!state.documents) return ok({ documents: null, contents });
  const { digest, size } = state.documents;
  const layer = shelf.content({ digest, size });
  if (layer) return layer.ok ? ok({ documents: layer.value, contents }) : layer;
  const bytes = await shelf.read({ digest, size, data: null }, LIMITS.documentsBytes);
  return bytes.ok ? ok({ documents: bytesContent(bytes.value), contents }) : bytes;
}

async function keepRenewed(
  files: Files,
  fleet: Fleet,
  { state }: SignedState,
  artifact: Artifact,
): Promise<Result<SignedState>> {
  const { channel, point } = state;
  const place = `${signedFolder(fleet, channel)}/${folderName(point)}`;
  const wrote = addToLayout(files, place, artifact, tagOf(channel, point));
  if (!wrote.ok) return wrote;
  const kept = await openSigned(files, fleet, channel, point);
  if (!kept.ok) return kept;
  return kept.value
    ? ok(kept.value)
    : refuse('publish.nothing-signed', { channel, where: `oci:${place}` });
}

/** Another folder's state: what is new lies in memory, all else stays where it is. */
function inMemory(
  signed: SignedState,
  envelope: Envelope,
  { artifact, fleet }: { readonly artifact: Artifact; readonly fleet: Fleet },
): SignedState {
  const { manifest: bytes, manifestDigest, contents } = artifact;
  const manifest = readManifest(bytes);
  const made = new Map(contents.map((content) => [content.digest, content]));
  const shelf: Shelf = {
    ...signed.shelf,
    content({ digest, size }) {
      const content = made.get(digest);
      return content ? ok(content) : signed.shelf.content({ digest, size });
    },
  };
  return {
    ...signed,
    envelope,
    manifest: manifest.ok ? manifest.value : signed.manifest,
    manifestBytes: bytes,
    manifestDigest,
    under: fleet.root.version,
    whole: true,
    shelf,
  };
}
