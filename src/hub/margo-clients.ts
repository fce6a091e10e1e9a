/**
 * What the Margo manager keeps of each client, in a folder of its own below `margo/clients/` named by the
 * SHA-256 of its SPIFFE ID: the manifest in force and the ones before it (documents and bundles stay
 * fetchable while one of them names them), what its devices can do, what they reported. A file is
 * replaced whole and fsynced before a client is answered, so a version never goes back (M26).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import { type Digest, hexOf, parseDigest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { isJsonObject, type Json, type JsonObject, readStrictJson } from '#wire/strict-json.ts';

export interface ClientView {
  readonly version: bigint;
  /** of what the manifest says beside its version: equal content needs no new version */
  readonly content: Digest;
  readonly manifest: Digest;
  readonly bundle: Digest | null;
  readonly documents: readonly { readonly id: string; readonly digest: Digest }[];
}

export interface MargoClient {
  readonly name: string;
  /** newest first: in force, and those before it */
  views(): readonly ClientView[];
  putView(view: ClientView): Result<undefined>;
  /** Known from now on, also over a restart, without a manifest of its own. */
  begin(): Result<undefined>;
  /** ids of devices that told what they can do, gateways before their children */
  devices(): readonly string[];
  capabilities(deviceId: string): JsonObject | null;
  /** @returns whether it was there before */
  putCapabilities(deviceId: string, body: Uint8Array): Result<boolean>;
  dropCapabilities(deviceId: string): Result<boolean>;
  putStatus(deploymentId: string, body: Uint8Array): Result<'kept' | 'too-many'>;
  /** by deployment: the body as it came, newest */
  statuses(): ReadonlyMap<string, JsonObject>;
}

export interface MargoClients {
  /** Null: there are as many as this hub takes. */
  of(name: string): Result<MargoClient | null>;
  names(): readonly string[];
  /** Documents, bundles and manifests by digest, each once for all clients. */
  content(digest: Digest): Result<Uint8Array | null>;
  putContent(bytes: Uint8Array): Result<Digest>;
  /** What no view of any client names any more. */
  sweep(): void;
  close(): void;
}

export const STATUS_BYTES = 64 * 1024;
export const CAPABILITIES_BYTES = 64 * 1024;
const CLIENTS_MAX = 5_000;
const DEVICES_MAX = 256;
const STATUSES_MAX = 4_000;
const VIEWS_KEPT = 4;
const STATE_BYTES = 4 * 1024 * 1024;
const MODE = 0o700;

export function openMargoClients(files: Files, folder: string): Result<MargoClients> {
  const root = files.open(folder, { create: MODE, follow: true });
  if (!root.ok) return root;
  const clients = root.value.directory('clients', { create: MODE });
  const content = root.value.directory('content', { create: MODE });
  if (!clients.ok) return clients;
  if (!content.ok) return content;
  const known = new Map<string, Kept>();
  const names = clients.value.list();
  if (!names.ok) return names;
  for (const name of names.value) {
    const directory = clients.value.directory(name, {});
    if (!directory.ok) return directory;
    const kept = readKept(directory.value);
    if (!kept.ok) return kept;
    if (kept.value) known.set(kept.value.name, kept.value);
    else directory.value.close();
  }
  return ok({
    of(name) {
      const held = known.get(name);
      if (held) return ok(clientOf(held));
      if (known.size >= CLIENTS_MAX) return ok(null);
      const hex = hexOf(sha256(Buffer.from(name)));
      const directory = clients.value.directory(hex, { create: MODE });
      if (!directory.ok) return directory;
      const synced = clients.value.sync();
      if (!synced.ok) return synced;
      const made: Kept = {
        name,
        directory: directory.value,
        begun: false,
        views: [],
        devices: new Map(),
        statuses: new Map(),
      };
      known.set(name, made);
      return ok(clientOf(made));
    },
    names: () => [...known.keys()],
    content: (digest) => readContent(content.value, digest),
    putContent(bytes) {
      const digest = sha256(bytes);
      const there = content.value.stat(hexOf(digest));
      if (there.ok && there.value?.kind === 'file') return ok(digest);
      const put = replaceFile(content.value, hexOf(digest), bytes);
      return put.ok ? ok(digest) : put;
    },
    sweep: () => sweep(content.value, known.values()),
    close() {
      for (const { directory } of known.values()) directory.close();
      for (const directory of [clients.value, content.value, root.value]) directory.close();
    },
  });
}

interface Kept {
  readonly name: string;
  readonly directory: Directory;
  /** it is on disk */
  begun: boolean;
  views: readonly ClientView[];
  readonly devices: Map<string, JsonObject>;
  readonly statuses: Map<string, JsonObject>;
}

function clientOf(kept: Kept): MargoClient {
  const { directory, devices, statuses } = kept;
  return {
    name: kept.name,
    views: () => kept.views,
    putView(view) {
      const views = [view, ...kept.views].slice(0, VIEWS_KEPT);
      const put = replaceFile(directory, 'views.json', Buffer.from(viewsText(kept.name, views)));
      if (put.ok) {
        kept.views = views;
        kept.begun = true;
      }
      return put;
    },
    begin() {
      if (kept.begun) return ok();
      const put = replaceFile(directory, 'views.json', Buffer.from(viewsText(kept.name, [])));
      if (put.ok) kept.begun = true;
      return put;
    },
    devices: () => [...devices.keys()].sort(),
    capabilities: (deviceId) => devices.get(deviceId) ?? null,
    putCapabilities(deviceId, body) {
      const before = devices.has(deviceId);
      if (!before && devices.size >= DEVICES_MAX) {
        return refuse('hub.no-record', {
          who: kept.name,
          reason: `more than ${DEVICES_MAX} devices`,
        });
      }
      const put = replaceFile(directory, fileOf('device', deviceId), body);
      if (!put.ok) return put;
      devices.set(deviceId, objectOf(body));
      return ok(before);
    },
    dropCapabilities(deviceId) {
      if (!devices.has(deviceId)) return ok(false);
      const dropped = directory.unlink(fileOf('device', deviceId));
      const synced = dropped.ok ? directory.sync() : dropped;
      if (!synced.ok) return synced;
      devices.delete(deviceId);
      return ok(true);
    },
    putStatus(deploymentId, body) {
      if (!statuses.has(deploymentId) && statuses.size >= STATUSES_MAX) return ok('too-many');
      const put = replaceFile(directory, fileOf('status', deploymentId), body);
      if (!put.ok) return put;
      statuses.set(deploymentId, objectOf(body));
      return ok('kept');
    },
    statuses: () => statuses,
  };
}

/** Ids may be long and hold a slash: files are named by their digest. */
function fileOf(kind: 'device' | 'status', id: string): string {
  return `${kind}.${hexOf(sha256(Buffer.from(id)))}.json`;
}

function viewsText(name: string, views: readonly ClientView[]): string {
  const plain = views.map((view) => ({ ...view, version: `${view.version}` }));
  return JSON.stringify({ name, views: plain });
}

/** Null: a client that has not been answered yet. */
function readKept(directory: Directory): Result<Kept | null> {
  const bytes = readIfThere(directory, 'views.json', STATE_BYTES);
  if (!bytes.ok) return bytes;
  if (bytes.value === null) return ok(null);
  const value = objectOf(bytes.value);
  const damaged = (): Result<null> =>
    refuse('hub.record-damaged', { file: `${directory.path}/views.json` });
  const views = Array.isArray(value.views) ? value.views.map(viewFrom) : [null];
  // A version that is lost may come again with other bytes: never begun anew by itself.
  if (typeof value.name !== 'string' || views[0] === null) return damaged();
  const listed = directory.list();
  if (!listed.ok) return listed;
  const devices = new Map<string, JsonObject>();
  const statuses = new Map<string, JsonObject>();
  for (const file of listed.value) {
    const found = /^(device|status)\.[0-9a-f]{64}\.json$/.exec(file);
    if (!found) continue;
    const body = directory.read(file, STATUS_BYTES);
    if (!body.ok) return body;
    const record = objectOf(body.value);
    const id = found[1] === 'status' ? record.deploymentId : idOf(record);
    if (typeof id === 'string') (found[1] === 'status' ? statuses : devices).set(id, record);
  }
  const kept = views.filter((view) => view !== null);
  return ok({ name: value.name, directory, begun: true, views: kept, devices, statuses });
}

function idOf({ properties }: JsonObject): Json | undefined {
  return isJsonObject(properties) ? properties.id : undefined;
}

function viewFrom(value: Json): ClientView | null {
  if (!isJsonObject(value)) return null;
  const [content, manifest] = [digestFrom(value.content), digestFrom(value.manifest)];
  const version = typeof value.version === 'string' ? value.version : '';
  if (!/^[1-9][0-9]{0,19}$/.test(version) || !content || !manifest) return null;
  const documents = (Array.isArray(value.documents) ? value.documents : []).flatMap((item) => {
    const digest = isJsonObject(item) ? digestFrom(item.digest) : null;
    const id = isJsonObject(item) ? item.id : null;
    return digest && typeof id === 'string' ? [{ id, digest }] : [];
  });
  const bundle = digestFrom(value.bundle);
  return { version: BigInt(version), content, manifest, bundle, documents };
}

function digestFrom(value: Json | undefined): Digest | null {
  return typeof value === 'string' ? parseDigest(value) : null;
}

function objectOf(bytes: Uint8Array): JsonObject {
  const read = readStrictJson(bytes, 'a record');
  return read.ok && isJsonObject(read.value) ? read.value : {};
}

function readContent(directory: Directory, digest: Digest): Result<Uint8Array | null> {
  const cap = LIMITS.documentsBytes;
  const bytes = readIfThere(directory, hexOf(digest), cap);
  if (!bytes.ok || bytes.value === null) return bytes;
  const damaged = sha256(bytes.value) !== digest;
  return damaged
    ? refuse('hub.record-damaged', { file: `${directory.path}/${hexOf(digest)}` })
    : bytes;
}

function sweep(directory: Directory, clients: Iterable<Kept>): void {
  const kept = new Set<string>();
  for (const { views } of clients) {
    for (const { manifest, bundle, documents } of views) {
      kept.add(hexOf(manifest));
      if (bundle) kept.add(hexOf(bundle));
      for (const { digest } of documents) kept.add(hexOf(digest));
    }
  }
  const listed = directory.list();
  for (const name of listed.ok ? listed.value : []) if (!kept.has(name)) directory.unlink(name);
}
