/**
 * A statement whose signatures are still being collected: signed/NAME/EPOCH-SEQUENCE.waiting, an
 * image layout like a signed one, and `envelope.json` beside it with the signatures so far. The
 * payload never changes any more: somebody may have signed it already. What lies here is believed
 * only as far as the person who signs has looked at it; devices judge what comes of it.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { pae } from '#trust/dsse.ts';
import { readEnvelope, writeEnvelope } from '#wire/envelope.ts';
import { readStatement } from '#wire/margo-statement.ts';
import { makeArtifact, type Parts } from './artifact.ts';
import type { Content } from './content.ts';
import { type Fleet, rootLayers } from './fleet.ts';
import { readArtifact } from './head.ts';
import { writeLayout } from './layout.ts';
import { openLayout, type Shelf } from './shelf.ts';
import {
  folderName,
  openSigned,
  type PointNumber,
  type SignedState,
  signedFolder,
  signedNumbers,
  tagOf,
} from './signed.ts';

export interface Waiting {
  readonly state: DesiredState;
  /** with the signatures collected so far */
  readonly envelope: Envelope;
  readonly shelf: Shelf;
  /** absolute */
  readonly folder: string;
}

const ENVELOPE = 'envelope.json';
const WRITING = '.envelope.json';
const PLAIN = 0o644;

function waitingName(number: PointNumber): string {
  return `${folderName(number)}.waiting`;
}

/** Keeps a statement until it is signed; from here on its number is used. */
export async function keepWaiting(
  files: Files,
  fleet: Fleet,
  state: DesiredState,
  made: { readonly envelope: Envelope; readonly parts: Parts },
): Promise<Result<Waiting>> {
  const artifact = makeArtifact(state, made.envelope, made.parts);
  if (!artifact.ok) return artifact;
  const { channel, point } = state;
  const place = { parent: signedFolder(fleet, channel), name: waitingName(point) };
  const wrote = writeLayout(files, place, artifact.value, tagOf(channel, point));
  if (!wrote.ok) return wrote;
  const kept = await openWaiting(files, fleet, channel, point);
  if (!kept.ok) return kept;
  const where = `${place.parent}/${place.name}`;
  return kept.value ? ok(kept.value) : refuse('publish.nothing-signed', { channel, where });
}

/** Null: the highest number of the channel does not wait. */
export async function latestWaiting(
  files: Files,
  fleet: Fleet,
  channel: string,
): Promise<Result<Waiting | null>> {
  const numbers = signedNumbers(files, fleet, channel);
  if (!numbers.ok) return numbers;
  const last = numbers.value.at(-1);
  return last?.waiting ? openWaiting(files, fleet, channel, last) : ok(null);
}

async function openWaiting(
  files: Files,
  fleet: Fleet,
  channel: string,
  number: PointNumber,
): Promise<Result<Waiting | null>> {
  const folder = `${signedFolder(fleet, channel)}/${waitingName(number)}`;
  const no = (reason: string) => refuse('publish.bundle', { bundle: folder, reason });
  const shelf = openLayout(files, folder);
  if (!shelf.ok) return shelf.fault.code === 'platform.missing' ? ok(null) : refused(shelf.fault);
  const manifests = await shelf.value.manifests();
  if (!manifests.ok) return manifests;
  const [found, ...others] = manifests.value;
  if (!found || others.length > 0) return no('it does not hold exactly one artifact');
  const artifact = await readArtifact(shelf.value, found);
  if (!artifact.ok) return artifact;
  const first = artifact.value ? readEnvelope(artifact.value.envelope) : null;
  if (!first) return no('it holds no statement');
  if (!first.ok) return first;
  const envelope = readCollected(files, folder, first.value);
  if (!envelope.ok) return envelope;
  const state = readStatement(envelope.value);
  if (!state.ok) return state;
  const { point, fleet: of } = state.value;
  if (of !== fleet.root.fleet || state.value.channel !== channel)
    return no('it is of another channel');
  if (folderName(point) !== folderName(number)) return no(`it holds ${folderName(point)}`);
  return ok({ state: state.value, envelope: envelope.value, shelf: shelf.value, folder });
}

/** Signatures collected after the layout was written, over the same payload. */
function readCollected(files: Files, folder: string, first: Envelope): Result<Envelope> {
  const bytes = files.readFile(`${folder}/${ENVELOPE}`, LIMITS.envelopeBytes);
  if (!bytes.ok) return bytes.fault.code === 'platform.missing' ? ok(first) : bytes;
  const envelope = readEnvelope(bytes.value);
  if (!envelope.ok) return envelope;
  const signs = ({ payloadType, payload }: Envelope) => pae(payloadType, payload);
  if (Buffer.compare(signs(envelope.value), signs(first)) === 0) return envelope;
  const reason = `${ENVELOPE} holds another payload than the layout`;
  return refuse('publish.bundle', { bundle: folder, reason });
}

/** Replaces the signatures, fsynced. */
export function keepSignatures(
  files: Files,
  { folder }: Waiting,
  envelope: Envelope,
): Result<void> {
  const directory = files.open(folder, { follow: true });
  if (!directory.ok) return directory;
  try {
    const swept = directory.value.removeTree(WRITING); // what a cut left
    if (!swept.ok) return swept;
    const wrote = directory.value.write(WRITING, writeEnvelope(envelope), PLAIN);
    if (!wrote.ok) return wrote;
    const renamed = directory.value.rename(WRITING, ENVELOPE);
    return renamed.ok ? directory.value.sync() : renamed;
  } finally {
    directory.value.close();
  }
}

/** Enough have signed: the statement becomes one like any other, and no longer waits. */
export async function finishWaiting(
  files: Files,
  fleet: Fleet,
  { state, shelf }: Waiting,
  envelope: Envelope,
): Promise<Result<SignedState>> {
  const parts = partsOf(shelf, state);
  if (!parts.ok) return parts;
  const artifact = makeArtifact(state, envelope, { ...parts.value, roots: rootLayers(fleet) });
  if (!artifact.ok) return artifact;
  const { channel, point } = state;
  const place = { parent: signedFolder(fleet, channel), name: folderName(point) };
  const wrote = writeLayout(files, place, artifact.value, tagOf(channel, point));
  if (!wrote.ok) return wrote;
  const parent = files.open(place.parent, { follow: true });
  if (!parent.ok) return parent;
  const swept = parent.value.removeTree(waitingName(point));
  const synced = swept.ok ? parent.value.sync() : swept;
  parent.value.close();
  if (!synced.ok) return synced;
  const signed = await openSigned(files, fleet, channel, point);
  if (!signed.ok) return signed;
  const where = `${place.parent}/${place.name}`;
  return signed.value ? ok(signed.value) : refuse('publish.nothing-signed', { channel, where });
}

function partsOf(shelf: Shelf, { blobs, documents }: DesiredState): Result<Parts> {
  const contents = new Map<Digest, Content>();
  for (const { digest, size } of [...blobs, ...(documents ? [documents] : [])]) {
    const content = shelf.content({ digest, size });
    if (!content)
      return refuse('publish.bundle', { bundle: shelf.name, reason: 'it is no folder' });
    if (!content.ok) return content;
    contents.set(digest, content.value);
  }
  return ok({ documents: (documents && contents.get(documents.digest)) ?? null, contents });
}
