/**
 * A channel's folder as what will be signed: its documents, exactly as they are written, and the
 * blobs they name. Everything that a device could only refuse later is refused here: documents that
 * do not read, dependencies that are missing or circular, trees that no device would unpack.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { inOrder } from '#plan/order.ts';
import { mergeValues } from '#plan/values.ts';
import type { Platform } from '#platform/platform.ts';
import type { Deployment } from '#state/deployment.ts';
import type { BlobRef, DeploymentRef } from '#state/desired-state.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { isId } from '#state/names.ts';
import { blobNames, readDeployment } from '#wire/deployment.ts';
import { writeDocuments } from '#wire/documents.ts';
import { treePath } from '#wire/tar-path.ts';
import { isValues, readValues, type ValuesDocument } from '#wire/values.ts';
import { bytesContent, type Content, fileContent } from './content.ts';
import { splitLast } from './place.ts';
import { packTree } from './tree.ts';

/** What a channel's folder holds; everything of it by digest. */
export interface Compiled {
  readonly deployments: readonly DeploymentRef[];
  readonly blobs: readonly BlobRef[];
  /** null: no deployments */
  readonly documents: Content | null;
  /** of every blob, once */
  readonly contents: ReadonlyMap<Digest, Content>;
  /** deployment id → the blobs that its document names */
  readonly uses: ReadonlyMap<string, readonly string[]>;
}

type CompilePlatform = Pick<Platform, 'files' | 'inflate'>;

export interface Document {
  readonly ref: DeploymentRef;
  readonly bytes: Uint8Array;
  /** null: it is a values document */
  readonly deployment: Deployment | null;
  readonly values: ValuesDocument | null;
}

/** Layers besides blobs: envelope, documents, and room for a chain of roots. */
const LAYERS_KEPT = 2 + LIMITS.rootStepsMax;
/** 1.0.0-rc.3 has neither kind nor apiVersion; ours always has both */
const MARGO_BARE = /^ {2,}applicationId:[ \t]*\S/m;
const OWN_VERSION = /^apiVersion:[ \t]*["']?holdfast\//m;
const MARGO_KIND = /^kind:[ \t]*["']?ApplicationDeployment["']?[ \t]*(?:#.*)?\r?$/m;

/** @param folder  absolute: channels/NAME. None there: a state without deployments. */
export function compileChannel(platform: CompilePlatform, folder: string): Result<Compiled> {
  const documents = readChannelDocuments(platform, folder);
  if (!documents.ok) return documents;
  const ordered = inOrder(documents.value.flatMap(asGeneration));
  if (!ordered.ok) return ordered;
  const channel = splitLast(folder).name;
  const values = mergeValues(
    channel,
    documents.value.flatMap((document) => document.values ?? []),
  );
  if (!values.ok) return values;
  const blobs = new Map<string, BlobRef>();
  const contents = new Map<Digest, Content>();
  const uses = new Map<string, readonly string[]>();
  for (const { deployment } of documents.value) {
    if (!deployment) continue;
    const names = blobNames(deployment);
    uses.set(deployment.id, names);
    for (const name of names) {
      if (blobs.has(name)) continue;
      const blob = readBlob(platform, folder, { document: deployment.id, name });
      if (!blob.ok) return blob;
      blobs.set(name, blob.value.ref);
      contents.set(blob.value.ref.digest, blob.value.content);
    }
  }
  if (contents.size > LIMITS.layersMax - LAYERS_KEPT) {
    const most = LIMITS.layersMax - LAYERS_KEPT;
    return refuse('publish.too-large', { what: 'the number of blobs', size: contents.size, most });
  }
  const layer = writeDocuments(documents.value.map(({ bytes }) => bytes));
  if (layer.length > LIMITS.documentsBytes) {
    const what = 'the documents layer';
    return refuse('publish.too-large', { what, size: layer.length, most: LIMITS.documentsBytes });
  }
  return ok({
    deployments: documents.value.map(({ ref }) => ref),
    blobs: [...blobs.values()],
    documents: documents.value.length > 0 ? bytesContent(layer) : null,
    contents,
    uses,
  });
}

/** ID.yaml files of the folder itself, by name; folders beside them hold what they refer to. */
function readChannelDocuments(
  platform: CompilePlatform,
  folder: string,
): Result<readonly Document[]> {
  const directory = platform.files.open(folder, { follow: true });
  if (!directory.ok) return directory.fault.code === 'platform.missing' ? ok([]) : directory;
  const names = directory.value.list();
  directory.value.close();
  if (!names.ok) return names;
  const documents: Document[] = [];
  for (const name of [...names.value].sort()) {
    const file = `${folder}/${name}`;
    if (name.endsWith('.yml')) {
      return refuse('publish.document-name', { file, reason: 'its name ends in .yml, not .yaml' });
    }
    if (!name.endsWith('.yaml')) continue;
    const document = readDocument(platform, file, name.slice(0, -'.yaml'.length));
    if (!document.ok) return document;
    documents.push(document.value);
  }
  if (documents.length <= LIMITS.deploymentsMax) return ok(documents);
  const what = 'the number of deployments';
  return refuse('publish.too-large', { what, size: documents.length, most: LIMITS.deploymentsMax });
}

export function readDocument(
  platform: CompilePlatform,
  file: string,
  id: string,
): Result<Document> {
  if (!isId(id)) {
    const reason = `${JSON.stringify(id)} is no deployment id (a-z, 0-9, "." and "-", at most 63)`;
    return refuse('publish.document-name', { file, reason });
  }
  const bytes = platform.files.readFile(file, LIMITS.documentBytes);
  if (!bytes.ok) return bytes;
  const text = new TextDecoder().decode(bytes.value);
  if (isValues(bytes.value, file)) return readValuesDocument(bytes.value, { id, file });
  const margo = MARGO_KIND.test(text) || (MARGO_BARE.test(text) && !OWN_VERSION.test(text));
  const mediaType = margo ? MEDIA.margoDeployment : MEDIA.deployment;
  const deployment = readDeployment(bytes.value, mediaType, { id, file });
  if (!deployment.ok) return deployment;
  const ref = { id, digest: sha256(bytes.value), size: bytes.value.length, mediaType };
  return ok({ ref, bytes: bytes.value, deployment: deployment.value, values: null });
}

function readValuesDocument(
  bytes: Uint8Array,
  where: { readonly id: string; readonly file: string },
): Result<Document> {
  const values = readValues(bytes, where);
  if (!values.ok) return values;
  const { id } = where;
  const ref = { id, digest: sha256(bytes), size: bytes.length, mediaType: MEDIA.values };
  return ok({ ref, bytes, deployment: null, values: values.value });
}

/** A file is published as it is, a directory as a tree. The name is the path as written. */
export function readBlob(
  platform: CompilePlatform,
  folder: string,
  { document, name }: { readonly document: string; readonly name: string },
): Result<{ readonly ref: BlobRef; readonly content: Content }> {
  const no = (reason: string) =>
    refuse('publish.blob-path', { document: `${folder}/${document}.yaml`, blob: name, reason });
  const relative = treePath(name);
  if ('reason' in relative) return no(relative.reason);
  const path = platform.files.realPath(`${folder}/${relative.join('/')}`);
  if (!path.ok) return path;
  const kind = kindOf(platform, path.value);
  if (!kind.ok) return kind;
  if (kind.value === 'directory') {
    const tree = packTree(platform, path.value);
    if (!tree.ok) return tree;
    const { packed, unpackedSize } = tree.value;
    return ok(blobOf(name, MEDIA.tree, bytesContent(packed), unpackedSize));
  }
  if (kind.value !== 'file') return no(kind.value === null ? 'it is not there' : 'it is no file');
  const content = fileContent(platform.files, path.value);
  if (!content.ok) return content;
  const { size } = content.value;
  if (size > LIMITS.blobBytes) {
    return refuse('publish.too-large', { what: path.value, size, most: LIMITS.blobBytes });
  }
  return ok(blobOf(name, MEDIA.file, content.value, size));
}

function blobOf(name: string, mediaType: string, content: Content, unpackedSize: number) {
  const { digest, size } = content;
  return { ref: { name, mediaType, digest, size, unpackedSize }, content };
}

function kindOf(
  platform: CompilePlatform,
  path: string,
): Result<'file' | 'directory' | 'link' | 'other' | null> {
  const { directory, name } = splitLast(path);
  const folder = platform.files.open(directory, { follow: true });
  if (!folder.ok) return folder.fault.code === 'platform.missing' ? ok(null) : folder;
  const stat = folder.value.stat(name);
  folder.value.close();
  return stat.ok ? ok(stat.value?.kind ?? null) : stat;
}

/** Enough of a generation for plan/order.ts: only ids and dependencies are looked at. */
export function asGeneration({ ref, deployment }: Document): readonly Generation[] {
  if (!deployment) return [];
  const { id, digest } = ref;
  const nothing = { blobs: new Map(), values: new Map() };
  return [{ id, digest, documentDigest: digest, deployment, ...nothing }];
}
