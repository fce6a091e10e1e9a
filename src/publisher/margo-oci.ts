/**
 * What a channel's head says, once more in the OCI form of Margo (MARGO.md section 11): an image for each
 * device (a gateway's has its children's documents), the version in an annotation. It follows from the
 * signed statement alone, so a run that was cut is simply run again: an image whose documents are the same
 * is left as it is, and none is ever written under a version that is not higher. The numbered tag
 * comes first and stays (clean-ups delete what has no tag), `latest` last.
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import type { Audience, BlobRef } from '#state/desired-state.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { blobNames, readDeployment } from '#wire/deployment.ts';
import { readDocuments } from '#wire/documents.ts';
import { readMargoBundle, writeMargoBundle } from '#wire/margo-bundle.ts';
import { readMargoFacts } from '#wire/margo-document.ts';
import { readMargoOci, writeMargoOci } from '#wire/margo-oci.ts';
import { MARGO_LINE } from '#wire/margo-statement.ts';
import { isJsonObject, readStrictJson } from '#wire/strict-json.ts';
import { bytesContent } from './content.ts';
import type { Fleet } from './fleet.ts';
import { type PointNumber, type SignedState, signedFolder } from './signed.ts';

export interface MargoForms {
  /** devices that have an image */
  readonly devices: number;
  /** of them, those whose image is new now */
  readonly moved: number;
}

export interface MargoFormsInput {
  readonly platform: Pick<Platform, 'files' | 'inflate'>;
  readonly fleet: Fleet;
  readonly head: SignedState;
  beside(repository: string): Registry;
}

interface Form {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly deviceId: string | null;
  readonly blobs: readonly BlobRef[];
}

const LATEST = 'latest';
/** devices that had an image once: one without documents is told so */
const KNOWN_FILE = 'margo-oci.json';
const KNOWN_BYTES = 16 * 1024 * 1024;
const TAR_OVERHEAD = 4 * 1024 * 1024;
const SENT_AT_ONCE = 4;
/** sequences of one epoch */
const EPOCH_BITS = 40n;
const EPOCHS_MAX = 1n << 24n;
const CONFIG = new TextEncoder().encode('{}');
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const COMPONENT_MAX = 100;

/** Null: fleet.yaml does not ask for it on this channel. */
export async function publishMargoForms(
  input: MargoFormsInput,
): Promise<Result<MargoForms | null>> {
  const { fleet, head } = input;
  const { channel, point } = head.state;
  const base = fleet.config.channels.get(channel)?.margoOci ?? null;
  if (base === null) return ok(null);
  const version = margoVersion(point);
  if (version === null) return no(channel, 'its epoch or sequence is beyond what a version holds');
  const forms = await formsOf(input);
  if (!forms.ok) return forms;
  const named = new Set(
    forms.value.flatMap(({ deviceId }) => (deviceId ? [ownerOf(deviceId)] : [])),
  );
  const known = remember(input, named);
  if (!known.ok) return known;
  const queue = [...known.value];
  let moved = 0;
  const sendFrom = async (): Promise<Result<undefined>> => {
    for (let device = queue.shift(); device !== undefined; device = queue.shift()) {
      const own = forms.value.filter((one) => !one.deviceId || ownerOf(one.deviceId) === device);
      const repository = `${base}/${repositoryOf(device)}`;
      const sent = await send(input, { repository, version, forms: own });
      if (!sent.ok) {
        queue.length = 0; // the others end with the device they are at
        return sent;
      }
      moved += sent.value === 'moved' ? 1 : 0;
    }
    return ok();
  };
  const ended = await Promise.all(Array.from({ length: SENT_AT_ONCE }, sendFrom));
  const failed = ended.find((one) => !one.ok);
  return failed && !failed.ok ? failed : ok({ devices: known.value.length, moved });
}

/** Of epoch 1 the sequence itself; a later epoch is above all of the one before. Null: too large. */
export function margoVersion({ epoch, sequence }: PointNumber): bigint | null {
  if (epoch < 1n || epoch > EPOCHS_MAX || sequence >= 1n << EPOCH_BITS) return null;
  return ((epoch - 1n) << EPOCH_BITS) + sequence;
}

/** As a registry's grammar has it; an id that it does not take is named by its SHA-256. */
export function repositoryOf(device: string): string {
  const fits = COMPONENT.test(device) && device.length <= COMPONENT_MAX;
  return fits ? device : `id-${hexOf(sha256(Buffer.from(device))).slice(0, 32)}`;
}

/** A child, or any child (`gateway/*`), is its gateway's to be told of. */
function ownerOf(deviceId: string): string {
  return deviceId.split('/', 1)[0] ?? deviceId;
}

async function formsOf(input: MargoFormsInput): Promise<Result<readonly Form[]>> {
  const { channel, audience, blobs, deployments } = input.head.state;
  const documents = await documentsOf(input);
  if (!documents.ok) return documents;
  const byName = new Map(blobs.map((blob) => [blob.name, blob]));
  const forms: Form[] = [];
  for (const { id, digest, mediaType } of deployments) {
    if (mediaType !== MEDIA.margoDeployment) continue;
    const bytes = documents.value.get(digest);
    if (!bytes) return refuse('plan.document-missing', { deployment: id, digest });
    const deployment = readDeployment(bytes, mediaType, { id, file: `${id}.yaml` });
    if (!deployment.ok) return deployment;
    const facts = readMargoFacts(bytes, `${id}.yaml`);
    if (!facts.ok) return facts;
    const { deviceId } = facts.value;
    const addressed = isAddressed(audience, deviceId);
    if (addressed === null)
      return no(channel, 'its audience is chosen by labels, which it cannot say');
    const own = blobNames(deployment.value).flatMap((name) => byName.get(name) ?? []);
    if (addressed) forms.push({ id, bytes, deviceId, blobs: own });
  }
  return ok(forms);
}

/** Null: only a device itself could say. */
function isAddressed(audience: Audience, deviceId: string | null): boolean | null {
  if (audience.kind === 'everyone') return true;
  if (audience.kind === 'selector') return null;
  return deviceId !== null && audience.ids.includes(deviceId);
}

async function documentsOf({
  platform,
  head,
}: MargoFormsInput): Promise<Result<ReadonlyMap<Digest, Uint8Array>>> {
  const { state, manifest, shelf } = head;
  const layer = manifest.layers.find(({ digest }) => digest === state.documents?.digest);
  if (!layer) return ok(new Map());
  const bytes = await shelf.read(layer, LIMITS.documentsBytes);
  if (!bytes.ok || state.channel !== MARGO_LINE) {
    return bytes.ok ? readDocuments(bytes.value) : bytes;
  }
  const cap = LIMITS.documentsBytes + TAR_OVERHEAD;
  const wanted = new Set(state.deployments.map(({ digest }) => digest));
  return readMargoBundle(platform.inflate.gunzip([ok(bytes.value)], cap), wanted);
}

/** On disk before the first image is written: what is deployed no more is taken back, whoever is cut. */
function remember(
  { platform, fleet, head }: MargoFormsInput,
  named: ReadonlySet<string>,
): Result<readonly string[]> {
  const path = signedFolder(fleet, head.state.channel);
  const folder = platform.files.open(path, { create: 0o755, follow: true });
  if (!folder.ok) return folder;
  try {
    const bytes = readIfThere(folder.value, KNOWN_FILE, KNOWN_BYTES);
    if (!bytes.ok) return bytes;
    const before = bytes.value ? knownFrom(bytes.value) : [];
    if (!before) return no(head.state.channel, `${path}/${KNOWN_FILE} is damaged: restore it`);
    const devices = [...new Set([...before, ...named])].sort();
    if (devices.length === before.length) return ok(devices);
    const text = `${JSON.stringify({ devices }, null, 1)}\n`;
    const put = replaceFile(folder.value, KNOWN_FILE, Buffer.from(text), 0o644);
    return put.ok ? ok(devices) : put;
  } finally {
    folder.value.close();
  }
}

function knownFrom(bytes: Uint8Array): readonly string[] | null {
  const read = readStrictJson(bytes, KNOWN_FILE);
  const devices = read.ok && isJsonObject(read.value) ? read.value.devices : null;
  if (!Array.isArray(devices)) return null;
  return devices.every((one): one is string => typeof one === 'string') ? devices : null;
}

interface Sending {
  readonly repository: string;
  readonly version: bigint;
  readonly forms: readonly Form[];
}

async function send(
  { platform, beside }: MargoFormsInput,
  { repository, version, forms }: Sending,
): Promise<Result<'moved' | 'there-already'>> {
  const registry = beside(repository);
  const packed = platform.inflate.gzip(writeMargoBundle(forms));
  const named = new Map(forms.flatMap(({ blobs }) => blobs).map((blob) => [blob.name, blob]));
  const blobs = [...named.values()];
  const image = writeMargoOci(version, packed, blobs);
  if (image.length > LIMITS.manifestBytes) {
    const what = `the OCI form in ${repository}`;
    return refuse('publish.too-large', { what, size: image.length, most: LIMITS.manifestBytes });
  }
  const place = `${registry.name}:${LATEST}`;
  const there = await registry.getManifest(LATEST);
  if (!there.ok) {
    const { code } = there.fault;
    return code === 'source.media-type' ? no(place, 'something else stands there') : there;
  }
  if (there.value) {
    const read = readMargoOci(there.value.bytes);
    if (!read.ok) return no(place, 'something else stands there');
    // The same documents under the number that they have: nothing to fetch, nothing to say.
    const same = writeMargoOci(read.value.version, packed, blobs);
    if (sha256(same) === there.value.digest) return ok('there-already');
    if (read.value.version >= version) {
      return no(place, `version ${read.value.version} stands there, with other documents`);
    }
  }
  for (const content of [bytesContent(CONFIG), bytesContent(packed)]) {
    const has = await registry.hasBlob(content.digest);
    if (!has.ok) return has;
    if (has.value) continue;
    const sent = await registry.pushBlob(content.digest, content.size, content.chunks);
    if (!sent.ok) return sent;
  }
  for (const tag of [`${version}`, LATEST]) {
    const put = await registry.putManifest(tag, image);
    if (!put.ok) return put;
  }
  return ok('moved');
}

function no(what: string, reason: string): Refused {
  return refuse('publish.margo-oci', { what, reason });
}
