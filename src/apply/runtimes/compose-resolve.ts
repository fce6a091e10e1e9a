/**
 * From a document to everything that its activation needs, before anything is accepted: the package
 * unpacked, its compose file read and allowed, each image in the engine. Runs once with the registries
 * (`fetch`) and once without (`prepare`), where what is missing is refused. Afterwards a record says what
 * every name means, and nobody is asked again.
 */
import { pristine } from '#apply/stage.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { checkCompose } from '#plan/compose-allow.ts';
import type { ComposeProject, ImageName } from '#state/compose.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import type { Generation, GenerationBlob } from '#state/generation.ts';
import { LIMITS } from '#state/limits.ts';
import { type ComposeComponent, readComposeComponent } from '#wire/compose-component.ts';
import {
  forPlatform,
  type ImageManifest,
  packageLayer,
  readImageManifest,
} from '#wire/image-manifest.ts';
import { imageText, readImageName, readPackageName } from '#wire/image-name.ts';
import { type Archive, imageIn, openArchive } from './compose-archive.ts';
import type { Engine } from './compose-engine.ts';
import type { ComposeEnv } from './compose-env.ts';
import { hasImage, type ImageParts, loadImage, storedPart, tagImage } from './compose-images.ts';
import { notFetched, type RecordedComponent } from './compose-record.ts';
import { type ComposeTree, contentOf, readProject, stageCompose } from './compose-tree.ts';
import { variablesOf } from './compose-variables-of.ts';
import type { Packages } from './packages.ts';

const PACKAGE = {
  type: 'application/vnd.org.margo.component.compose+json',
  layerType: 'application/vnd.org.margo.component.compose.tar+gzip',
};
const UNPACKED_BYTES = 256 * 1024 * 1024;

/** What one component is on this device. The tree is the caller's to close. */
export interface ReadyComponent {
  readonly component: ComposeComponent;
  readonly tree: ComposeTree;
  readonly project: ComposeProject;
  readonly images: Readonly<Record<string, Digest>>;
}

/** All components as recorded; from the disk alone. */
export async function readyComponents(
  env: ComposeEnv,
  of: Generation,
  used: ReadonlySet<string>,
): Promise<Result<readonly ReadyComponent[]>> {
  const record = env.records.read(of);
  if (!record.ok) return record;
  if (record.value === null) return notFetched(of.id, 'what its names mean');
  const ready: ReadyComponent[] = [];
  for (const { name, tree, images } of record.value.components) {
    const one = await readyOne(env, of, { name, blob: tree, used });
    if (!one.ok) {
      closeAll(ready);
      return one;
    }
    ready.push({ ...one.value, images });
  }
  return ok(ready);
}

export function closeAll(ready: readonly ReadyComponent[]): void {
  for (const { tree } of ready) tree.close();
}

async function readyOne(
  env: ComposeEnv,
  of: Generation,
  { name, blob, used }: { name: string; blob: GenerationBlob; used: ReadonlySet<string> },
): Promise<Result<Omit<ReadyComponent, 'images'>>> {
  const { profile } = of.deployment;
  const written =
    profile.kind === 'other' ? profile.components.find((each) => each.name === name) : null;
  if (!written) return notFetched(of.id, `component ${name}`);
  const component = readComposeComponent(of.id, written);
  if (!component.ok) return component;
  // Check 18: bytes that are not the signed ones are no archive that anybody reads.
  const intact = await checkBlob(env, blob);
  if (!intact.ok) return intact;
  const shelf = env.records.folder(of.id);
  if (!shelf.ok) return shelf;
  const tree = await stageCompose(env.tools, shelf.value, blob, { deployment: of.id, used });
  shelf.value.close();
  if (!tree.ok) return tree;
  const project = readProject(tree.value, of.id, name, variablesOf(of, name));
  if (project.ok)
    return ok({ component: component.value, tree: tree.value, project: project.value });
  tree.value.close();
  return project;
}

/** Read once, and thrown away when it is not what its digest says. */
async function checkBlob(
  env: ComposeEnv,
  blob: Pick<GenerationBlob, 'digest' | 'size'>,
): Promise<Result<void>> {
  for (const chunk of pristine(env.content, blob)) {
    if (!chunk.ok) return chunk;
    if (env.tools.spend.spent(chunk.value.length)) await env.tools.spend.breathe();
  }
  return ok(undefined);
}

/** @param packages  null: what is not here is refused */
export async function resolve(
  env: ComposeEnv,
  of: Generation,
  packages: Packages | null,
): Promise<Result<void>> {
  const { profile } = of.deployment;
  const engine = await env.engine();
  if (!engine.ok) return engine;
  const recorded: RecordedComponent[] = [];
  for (const written of profile.kind === 'other' ? profile.components : []) {
    const component = readComposeComponent(of.id, written);
    if (!component.ok) return component;
    const blob = await treeBlob(env, of, component.value, packages);
    if (!blob.ok) return blob;
    const one = await readyOne(env, of, { name: written.name, blob: blob.value, used: new Set() });
    if (!one.ok) return one;
    const images = await imagesOf(
      { env, of, packages, engine: engine.value, blob: blob.value },
      one.value,
    );
    one.value.tree.close();
    if (!images.ok) return images;
    recorded.push({ name: written.name, tree: blob.value, images: images.value });
  }
  return env.records.write(of, { components: recorded });
}

async function treeBlob(
  env: ComposeEnv,
  of: Generation,
  { name, from }: ComposeComponent,
  packages: Packages | null,
): Promise<Result<GenerationBlob>> {
  if (from.kind === 'blob') {
    const blob = of.blobs.get(from.blob);
    return blob ? ok(blob) : refuse('plan.blob-missing', { deployment: of.id, blob: from.blob });
  }
  const place = readPackageName(from.repository);
  if (!place) return refuse('package.name', { deployment: of.id, name: from.repository });
  if (!packages) return notFetched(of.id, `the package of component ${name}`);
  const text = `${from.repository}:${from.revision}`;
  const digest = await packages.pinned(place, from.revision);
  if (!digest.ok) return digest;
  const manifest = await packages.manifest(place, digest.value);
  if (!manifest.ok) return manifest;
  const layer = packageLayer(manifest.value, text, PACKAGE);
  if (!layer.ok) return layer;
  const fetched = await packages.fetch(place, [layer.value]);
  if (!fetched.ok) return fetched;
  const { digest: packed, size } = layer.value;
  const unpackedSize = unpackedBytes(env, { digest: packed, size }, text);
  return unpackedSize.ok
    ? ok({ digest: packed, size, unpackedSize: unpackedSize.value, tree: true })
    : unpackedSize;
}

/** Counted, since nobody signed it; bounded like any other tree. */
function unpackedBytes(
  env: ComposeEnv,
  blob: { readonly digest: Digest; readonly size: number },
  name: string,
): Result<number> {
  const cap = Math.min(UNPACKED_BYTES, 1024 * 1024 + blob.size * LIMITS.unpackRatioMax);
  let bytes = 0;
  for (const chunk of env.tools.inflate.gunzip(pristine(env.content, blob), cap)) {
    if (!chunk.ok) {
      const large = chunk.fault.code === 'source.too-large';
      const reason = large ? `it unpacks to more than ${cap} bytes` : chunk.fault.message;
      return chunk.fault.code.startsWith('store.')
        ? chunk
        : refuse('package.format', { name, reason });
    }
    bytes += chunk.value.length;
  }
  return ok(bytes);
}

interface Resolving {
  readonly env: ComposeEnv;
  readonly of: Generation;
  readonly packages: Packages | null;
  readonly engine: Engine;
  /** of the component's tree */
  readonly blob: GenerationBlob;
}

async function imagesOf(
  resolving: Resolving,
  { component, project, tree }: Omit<ReadyComponent, 'images'>,
): Promise<Result<Readonly<Record<string, Digest>>>> {
  const { env, of, packages } = resolving;
  const absent = project.services.flatMap(({ name, mounts }) =>
    mounts.flatMap((mount) =>
      mount.kind === 'package' && contentOf(tree, mount.path) === null
        ? [
            `service ${name} mounts ./${mount.path.join('/')}, which the package has not: name a volume for data`,
          ]
        : [],
    ),
  );
  if (absent[0]) return refuse('compose.file', { deployment: of.id, reason: absent[0] });
  if (packages) {
    const allowed = checkCompose(of.id, project.needs, packages.allow, env.places);
    if (!allowed.ok) return allowed;
  } else if (project.needs.length > 0) {
    // Judged when it was fetched: without a record of that nothing is taken for granted.
    const before = env.records.read(of);
    if (!before.ok || before.value === null) {
      return before.ok ? notFetched(of.id, 'the consent to what it needs') : before;
    }
  }
  const archives: Archive[] = [];
  try {
    for (const name of component.images) {
      const blob = of.blobs.get(name);
      if (!blob) return refuse('plan.blob-missing', { deployment: of.id, blob: name });
      const intact = await checkBlob(env, blob);
      if (!intact.ok) return intact;
      const opened = openArchive(env.content, name, blob);
      if (!opened.ok) return opened;
      archives.push(opened.value);
    }
    const images: Record<string, Digest> = {};
    for (const { image } of project.services) {
      if (images[image]) continue;
      const id = await imageOf(resolving, image, archives);
      if (!id.ok) return id;
      images[image] = id.value;
    }
    return ok(images);
  } finally {
    for (const { reader } of archives) reader.close();
  }
}

async function imageOf(
  resolving: Resolving,
  image: string,
  archives: readonly Archive[],
): Promise<Result<Digest>> {
  const { of, engine, env } = resolving;
  const name = readImageName(image);
  if (!name) return refuse('package.name', { deployment: of.id, name: image.slice(0, 200) });
  for (const archive of archives) {
    const parts = imageIn(archive, name, engine.architecture);
    if (!parts.ok) return parts;
    if (!parts.value) continue;
    const loaded = await loadImage(engine, env.storeId, parts.value);
    return loaded.ok ? ok(parts.value.id) : loaded;
  }
  const known = await recordedImage(resolving, image);
  if (!known.ok) return known;
  if (known.value) return ok(known.value);
  if (!resolving.packages) return notFetched(of.id, `image ${imageText(name)}`);
  return fetchImage({ ...resolving, packages: resolving.packages, env }, name);
}

/** Of an earlier look at the same generation, where the engine still has it. */
async function recordedImage(
  { env, of, engine }: Resolving,
  image: string,
): Promise<Result<Digest | null>> {
  const record = env.records.read(of);
  if (!record.ok) return record;
  const found = record.value?.components.find(({ images }) => images[image] !== undefined);
  const id = found?.images[image];
  if (!id) return ok(null);
  const there = await hasImage(engine, id);
  return there.ok ? ok(there.value ? id : null) : there;
}

async function fetchImage(
  { env, of, engine, packages, blob }: Resolving & { readonly packages: Packages },
  name: ImageName,
): Promise<Result<Digest>> {
  const text = imageText(name);
  if (name.digest === null && packages.requireDigests) {
    return refuse('package.unpinned', { deployment: of.id, name: text });
  }
  const digest =
    name.digest === null
      ? await packages.pinned(name, name.tag ?? 'latest', `of ${hexOf(blob.digest)}`)
      : ok(name.digest as Digest);
  if (!digest.ok) return digest;
  const manifest = await imageManifest(packages, name, digest.value, engine.architecture);
  if (!manifest.ok) return manifest;
  if (manifest.value === null) {
    const reason = `there is none for linux/${engine.architecture}`;
    return refuse('compose.image', { deployment: of.id, image: text, reason });
  }
  const { config, layers } = manifest.value;
  const there = await hasImage(engine, config.digest);
  if (!there.ok) return there;
  if (there.value) {
    const tagged = await tagImage(engine, env.storeId, config.digest);
    return tagged.ok ? ok(config.digest) : tagged;
  }
  const room = checkRoom(env, [config, ...layers]);
  if (!room.ok) return room;
  const fetched = await packages.fetch(name, [config, ...layers]);
  if (!fetched.ok) return fetched;
  const parts: ImageParts = {
    id: config.digest,
    config: storedPart(env.content, config, '.json'),
    layers: layers.map((layer) => storedPart(env.content, layer)),
  };
  const loaded = await loadImage(engine, env.storeId, parts);
  if (!loaded.ok) return loaded;
  // The engine has it now: on small disks nothing is held twice.
  const own = new Set([...of.blobs.values()].map((each) => each.digest));
  for (const part of [config, ...layers])
    if (!own.has(part.digest)) env.content.dropBlob(part.digest);
  return ok(config.digest);
}

async function imageManifest(
  packages: Packages,
  name: ImageName,
  digest: Digest,
  architecture: string,
): Promise<Result<ImageManifest | null>> {
  const read = async (at: Digest) => {
    const bytes = await packages.manifest(name, at);
    if (!bytes.ok) return bytes;
    // Check 4
    const got = sha256(bytes.value);
    if (got !== at)
      return refuse('source.digest-mismatch', { what: imageText(name), wanted: at, got });
    return readImageManifest(bytes.value, imageText(name));
  };
  const first = await read(digest);
  if (!first.ok || first.value.kind === 'image') return first as Result<ImageManifest>;
  const fitting = forPlatform(first.value, architecture);
  if (fitting === null) return ok(null);
  const inner = await read(fitting.digest);
  if (!inner.ok) return inner;
  return ok(inner.value.kind === 'image' ? inner.value : null);
}

function checkRoom(env: ComposeEnv, parts: readonly { readonly size: number }[]): Result<void> {
  const free = env.content.freeBytes();
  if (!free.ok) return free;
  const needed = parts.reduce((sum, { size }) => sum + size, 0);
  if (free.value >= needed) return ok(undefined);
  return refuse('apply.no-space', { needed, free: free.value, reserve: 0 });
}
