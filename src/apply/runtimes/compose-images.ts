/**
 * Images, from blobs of the content store into the engine: an archive made while it is sent, so that
 * the engine needs no registry, no credentials and no network, and an image is exactly the content
 * whose digest was signed or pinned. In the engine an image is named by its configuration's digest, and
 * carries a tag of ours so that nobody's clean-up takes what a rollback needs.
 */
import { type Blobs, pristine } from '#apply/stage.ts';
import { type Fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import type { GenerationBlob } from '#state/generation.ts';
import { BLOCK, writeHeader } from '#wire/tar-header.ts';
import { type Engine, engineFault, objectOf, textOf } from './compose-engine.ts';

/** A file of an image archive. */
export interface Part {
  /** a file name, unique in the image unless the bytes are the same */
  readonly name: string;
  readonly size: number;
  chunks(): Iterable<Result<Uint8Array>>;
}

export interface ImageParts {
  /** the digest of its configuration */
  readonly id: Digest;
  readonly config: Part;
  readonly layers: readonly Part[];
}

/** Out of the content store, hashed while it is read (check 18). */
export function storedPart(
  blobs: Blobs,
  of: Pick<GenerationBlob, 'digest' | 'size'>,
  ending = '.tar',
): Part {
  return {
    name: `${hexOf(of.digest)}${ending}`,
    size: of.size,
    chunks: () => pristine(blobs, of),
  };
}

const LOAD_IDLE_MS = 15 * 60_000;
const TAG_LENGTH = 40;

/** Of this agent: another one on the same device keeps what it needs by tags of its own. */
function placeOf(storeId: string): string {
  return `localhost/holdfast-${storeId}`;
}

function tagOf(id: Digest): string {
  return hexOf(id).slice(0, TAG_LENGTH);
}

export async function hasImage(engine: Engine, config: Digest): Promise<Result<boolean>> {
  const found = await engine.call({ method: 'GET', path: `/images/${config}/json` });
  if (!found.ok) return found;
  const { status, json } = found.value;
  if (status === 404) return ok(false);
  if (status !== 200) return engineFault('look at an image', found.value);
  const id = textOf(objectOf(json).Id).replace(/^sha256:/, '');
  return ok(id === hexOf(config));
}

/** Nothing that runs is touched. What is there already only gets our tag. */
export async function loadImage(
  engine: Engine,
  storeId: string,
  image: ImageParts,
): Promise<Result<void>> {
  const there = await hasImage(engine, image.id);
  if (!there.ok) return there;
  if (there.value) return tagImage(engine, storeId, image.id);
  const broken: Broken = { fault: null };
  const loaded = await engine.call({
    ...{ method: 'POST', path: '/images/load', query: { quiet: '1' }, idleMs: LOAD_IDLE_MS },
    body: archive(image, `${placeOf(storeId)}:${tagOf(image.id)}`, broken),
  });
  if (broken.fault) return refused(broken.fault);
  if (!loaded.ok) return loaded;
  const { status, json } = loaded.value;
  if (status !== 200 || objectOf(json).error !== undefined) {
    return engineFault('load an image', loaded.value);
  }
  const now = await hasImage(engine, image.id);
  if (!now.ok || now.value) return now.ok ? ok(undefined) : now;
  const store =
    engine.kind === 'docker'
      ? ': its containerd image store does so; set "features": {"containerd-snapshotter": false} in daemon.json'
      : '';
  const reason = `it made another image of it than ${image.id}${store}`;
  return refuse('compose.engine', { what: 'load an image', status, reason });
}

export async function tagImage(engine: Engine, storeId: string, id: Digest): Promise<Result<void>> {
  const query = { repo: placeOf(storeId), tag: tagOf(id) };
  const tagged = await engine.call({ method: 'POST', path: `/images/${id}/tag`, query });
  if (!tagged.ok) return tagged;
  return tagged.value.status < 300 ? ok(undefined) : engineFault('tag an image', tagged.value);
}

/** Our tags of images that nothing kept names; an image without a tag or a container goes. */
export async function sweepImages(
  engine: Engine,
  storeId: string,
  keep: ReadonlySet<Digest>,
): Promise<Result<void>> {
  const filters = JSON.stringify({ reference: [placeOf(storeId)] });
  const listed = await engine.call({ method: 'GET', path: '/images/json', query: { filters } });
  if (!listed.ok) return listed;
  if (listed.value.status !== 200) return engineFault('list images', listed.value);
  const kept = new Set([...keep].map((id) => `${placeOf(storeId)}:${tagOf(id)}`));
  for (const json of Array.isArray(listed.value.json) ? listed.value.json : []) {
    const { RepoTags } = objectOf(json);
    for (const tag of Array.isArray(RepoTags) ? RepoTags.map(textOf) : []) {
      if (!tag.startsWith(`${placeOf(storeId)}:`) || kept.has(tag)) continue;
      // Refused while a container uses it: the next sweep takes it.
      const gone = await engine.call({ method: 'DELETE', path: `/images/${tag}` });
      if (!gone.ok) return gone;
    }
  }
  return ok(undefined);
}

/** Set while an archive is sent that turns out to be damaged. */
interface Broken {
  fault: Fault | null;
}

/** What `docker load` and `podman load` read; each file once. */
async function* archive(
  { config, layers }: ImageParts,
  tag: string,
  broken: Broken,
): AsyncGenerator<Uint8Array> {
  const Layers = layers.map(({ name }) => name);
  const manifest = Buffer.from(JSON.stringify([{ Config: config.name, RepoTags: [tag], Layers }]));
  yield* entry(
    { name: 'manifest.json', size: manifest.length, chunks: () => [ok(manifest)] },
    broken,
  );
  const sent = new Set<string>();
  for (const part of [config, ...layers]) {
    if (sent.has(part.name)) continue;
    sent.add(part.name);
    yield* entry(part, broken);
  }
  // An archive that is cut short has no end: the engine refuses it.
  if (!broken.fault) yield new Uint8Array(2 * BLOCK);
}

function* entry({ name, size, chunks }: Part, broken: Broken): Generator<Uint8Array> {
  if (broken.fault) return;
  yield writeHeader({ type: '0', path: name, mode: 0o644, size });
  for (const chunk of chunks()) {
    if (!chunk.ok) {
      broken.fault = chunk.fault;
      return;
    }
    yield chunk.value;
  }
  const padding = (BLOCK - (size % BLOCK)) % BLOCK;
  if (padding > 0) yield new Uint8Array(padding);
}
