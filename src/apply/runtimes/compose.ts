/**
 * The runtime `compose`: projects of containers on Podman or Docker Engine, of our own documents and of
 * Margo's. What they need is resolved before anything is accepted (compose-resolve.ts) and recorded; from
 * then on activation, undo, repair and removal ask no registry. compose-up.ts brings them into force,
 * compose-look.ts reads what is. No compose program is needed (decision 0028).
 */
import { folderOf } from '#apply/folder-name.ts';
import type { ShelfTools } from '#apply/generations.ts';
import { sweepShelf } from '#apply/generations.ts';
import { NO_SECRETS, type Secrets } from '#apply/secrets.ts';
import { type Blobs, pace } from '#apply/stage.ts';
import { ok, type Result } from '#errors/fault.ts';
import { checkCompose } from '#plan/compose-allow.ts';
import type { Clock } from '#platform/clock.ts';
import type { Files } from '#platform/files.ts';
import type { Http } from '#platform/http.ts';
import type { Inflate } from '#platform/inflate.ts';
import type { Log } from '#platform/log.ts';
import type { Processes } from '#platform/processes.ts';
import { COMPOSE_PROFILE } from '#state/compose.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import type { ContentStore } from '#store/content.ts';
import { readComposeComponent } from '#wire/compose-component.ts';
import { engineOf } from './compose-engine.ts';
import type { ComposeEnv } from './compose-env.ts';
import { sweepImages } from './compose-images.ts';
import { lookAtAll } from './compose-look.ts';
import { containersOf, removeVolumes } from './compose-objects.ts';
import { COMPOSE_FOLDER, composeRecords } from './compose-record.ts';
import { closeAll, readyComponents, resolve } from './compose-resolve.ts';
import { clearSecrets } from './compose-secrets.ts';
import { startedContainers } from './compose-started.ts';
import { stopContainers } from './compose-stop.ts';
import { composeDiffers } from './compose-tree.ts';
import { bringDown, bringUp, type Wanted, wantedOf } from './compose-up.ts';
import { type ComposeWatch, composeWatch } from './compose-watch.ts';
import type { Packages } from './packages.ts';
import type { Deviation, Runtime } from './runtime.ts';

export interface ComposeOptions {
  readonly files: Files;
  readonly processes: Processes;
  readonly http: Http;
  readonly content: Blobs & Pick<ContentStore, 'freeBytes'>;
  readonly clock: Clock;
  readonly inflate: Inflate;
  readonly log: Log;
  readonly stateDir: string;
  readonly runDir: string;
  readonly storeId: string;
  readonly protectedPaths: readonly string[];
  readonly secrets?: Secrets;
  readonly onChange?: (deployment: string) => void;
  /** where the engine is; default: the usual places */
  readonly container?: {
    readonly socket: string | null;
    readonly engine: 'auto' | 'podman' | 'docker';
    readonly env: Readonly<Record<string, string | undefined>>;
  };
}

interface Held {
  readonly env: ComposeEnv;
  readonly watch: ComposeWatch;
}

export function composeRuntime(options: ComposeOptions): Runtime {
  const env = environment(options);
  const watch = composeWatch({
    ...{ env, listens: options.onChange !== undefined },
    look: (of) => inspect(held, of, 'stat'),
  });
  const held: Held = { env, watch };
  return {
    type: COMPOSE_PROFILE,
    fetch: (next, packages) => fetch(env, next, packages),
    blobs: (keep) => blobsOf(env, keep),
    prepare: (next) => prepare(env, next),
    activate: (next, previous) => activate(held, next, previous),
    async deactivate(previous) {
      const marked = env.records.markPurge(previous.id, purges(previous));
      if (!marked.ok) return marked;
      watch.begin(previous.id);
      const down = await bringDown(env, previous.id);
      watch.end(previous.id, null);
      return down.ok ? clearSecrets(env, previous.id) : down;
    },
    inspect: (current, depth) => inspect(held, current, depth),
    // What a container wrote stands in its volumes, which no repair touches.
    keepFound: async () => ok([]),
    condition: (current) => watch.condition(current),
    sweep: (id, keep) => sweep(env, id, keep),
    left: () => env.records.owners(),
    stopAll: () => stopContainers(env),
  };
}

function environment(options: ComposeOptions): ComposeEnv {
  const { files, processes, http, content, clock, inflate, log, stateDir, runDir } = options;
  const spend = pace(clock);
  const tools: ShelfTools = {
    ...{ blobs: content, inflate, spend, self: processes.self, clock, seen: new Map() },
  };
  const container = options.container ?? { socket: null, engine: 'auto', env: {} };
  return {
    ...{ files, clock, log, content, tools, runDir, storeId: options.storeId },
    records: composeRecords(files, stateDir),
    engine: engineOf({ ...{ http, files, processes, clock, runDir }, ...container }),
    places: {
      protectedPaths: options.protectedPaths,
      real(path) {
        const real = files.realPath(path);
        return real.ok ? real.value : path;
      },
    },
    secrets: options.secrets ?? NO_SECRETS,
    onChange: options.onChange ?? (() => {}),
    ...startedContainers(files, processes, runDir),
  };
}

function purges({ id, deployment: { profile } }: Generation): boolean {
  if (profile.kind !== 'other') return false;
  return profile.components.some((component) => {
    const read = readComposeComponent(id, component);
    return read.ok && read.value.purge;
  });
}

/** Resolved before and whole: only what the owner allows is asked again, and nobody else. */
async function fetch(env: ComposeEnv, next: Generation, packages: Packages): Promise<Result<void>> {
  const ready = await wholeHere(env, next);
  if (ready === null) return resolve(env, next, packages);
  if (!ready.ok) return ready;
  for (const { project } of ready.value) {
    const allowed = checkCompose(next.id, project.needs, packages.allow, env.places);
    if (!allowed.ok) return allowed;
  }
  return ok(undefined);
}

/** Null: something of it is not on this device. */
async function wholeHere(env: ComposeEnv, next: Generation) {
  const engine = await env.engine();
  if (!engine.ok) return engine;
  const ready = await readyComponents(env, next, new Set());
  if (!ready.ok) {
    const code = ready.fault.code;
    return code === 'compose.not-fetched' || code.startsWith('store.') ? null : ready;
  }
  const wanted = await wantedOf(env, engine.value, next, ready.value);
  closeAll(ready.value);
  if (wanted.ok) return ready;
  return wanted.fault.code === 'compose.not-fetched' ? null : wanted;
}

async function prepare(env: ComposeEnv, next: Generation): Promise<Result<void>> {
  const ready = await wholeHere(env, next);
  if (ready === null) return resolve(env, next, null);
  return ready.ok ? ok(undefined) : ready;
}

/** What is started again or repaired is not waited for: status tells how it is. */
async function activate(
  { env, watch }: Held,
  next: Generation,
  previous: Generation | null,
): Promise<Result<void>> {
  const marked = env.records.markPurge(next.id, false);
  if (!marked.ok) return marked;
  const used = await usedSlots(env, next.id);
  if (!used.ok) return used;
  const wanted = await wantedAgain(env, next, used.value);
  if (!wanted.ok) return wanted;
  watch.begin(next.id);
  const up = await bringUp(env, next, wanted.value, previous?.digest !== next.digest);
  closeAll(wanted.value.ready);
  const looked = up.ok ? await lookAtAll(env, next, wanted.value) : up;
  watch.end(next.id, looked.ok ? { of: next, condition: looked.value.condition } : null);
  return up;
}

/** What was lost of the record or the images is made anew where the statement's own blobs have it. */
async function wantedAgain(
  env: ComposeEnv,
  of: Generation,
  used: ReadonlySet<string>,
): Promise<Result<Wanted>> {
  const here = await wantedHere(env, of, used);
  if (here.ok || here.fault.code !== 'compose.not-fetched') return here;
  const resolved = await resolve(env, of, null);
  return resolved.ok ? wantedHere(env, of, used) : resolved;
}

/** Its trees are the caller's to close. */
async function wantedHere(
  env: ComposeEnv,
  of: Generation,
  used: ReadonlySet<string>,
): Promise<Result<Wanted>> {
  const engine = await env.engine();
  if (!engine.ok) return engine;
  const ready = await readyComponents(env, of, used);
  if (!ready.ok) return ready;
  const wanted = await wantedOf(env, engine.value, of, ready.value);
  if (!wanted.ok) closeAll(ready.value);
  return wanted;
}

/** Slots that a container mounts something of: they are not written over. */
async function usedSlots(env: ComposeEnv, id: string): Promise<Result<ReadonlySet<string>>> {
  const engine = await env.engine();
  if (!engine.ok) return engine;
  const found = await containersOf(engine.value, { storeId: env.storeId, id });
  if (!found.ok) return found;
  const slots = found.value.flatMap(({ sources }) =>
    sources.flatMap((path) => SLOT.exec(path)?.[1] ?? []),
  );
  return ok(new Set(slots));
}

const SLOT = new RegExp(`/${COMPOSE_FOLDER}/[^/]+/([0-9a-f]{64}~?)/tree(?:/|$)`);

async function inspect(
  held: Held,
  current: Generation,
  depth: 'stat' | 'hash',
): Promise<Result<readonly Deviation[]>> {
  const { env, watch } = held;
  const spoilt = await spoiltTrees(env, current, depth);
  if (!spoilt.ok) return spoilt;
  const used = await usedSlots(env, current.id);
  if (!used.ok) return used;
  const wanted = await wantedHere(env, current, used.value);
  if (!wanted.ok && wanted.fault.code === 'compose.not-fetched') {
    return ok([{ what: current.id, found: wanted.fault.message }]);
  }
  if (!wanted.ok) return wanted;
  const looked = await watch.seeing(current, () => lookAtAll(env, current, wanted.value));
  closeAll(wanted.value.ready);
  if (!looked.ok) return looked;
  return ok([...spoilt.value, ...looked.value.deviations]);
}

async function spoiltTrees(
  env: ComposeEnv,
  current: Generation,
  depth: 'stat' | 'hash',
): Promise<Result<readonly Deviation[]>> {
  const record = env.records.read(current);
  if (!record.ok) return record;
  const found: Deviation[] = [];
  for (const { name, tree } of record.value?.components ?? []) {
    const shelf = env.records.folder(current.id);
    if (!shelf.ok) return shelf;
    const wrong = await composeDiffers(env.tools, shelf.value, tree, depth);
    shelf.value.close();
    if (!wrong.ok) return wrong;
    if (wrong.value) {
      found.push({ what: [name, ...wrong.value.path].join('/'), found: wrong.value.found });
    }
  }
  return ok(found);
}

function blobsOf(env: ComposeEnv, keep: readonly Generation[]): ReadonlySet<Digest> {
  const blobs = new Set<Digest>();
  for (const generation of keep) {
    const { profile } = generation.deployment;
    if (profile.kind !== 'other' || profile.type !== COMPOSE_PROFILE) continue;
    const record = env.records.read(generation);
    for (const { tree } of (record.ok && record.value?.components) || []) blobs.add(tree.digest);
  }
  return blobs;
}

/** Records, trees and images that nobody keeps; of a removed deployment everything, its volumes if asked. */
async function sweep(
  env: ComposeEnv,
  id: string,
  keep: ReadonlySet<Digest>,
): Promise<Result<void>> {
  const owners = env.records.owners();
  if (!owners.ok || !owners.value.includes(folderOf(id))) return owners.ok ? ok(undefined) : owners;
  const records = env.records.all(id);
  if (!records.ok) return records;
  const trees = new Set<Digest>();
  for (const [digest, { components }] of records.value) {
    if (keep.has(digest)) for (const { tree } of components) trees.add(tree.digest);
  }
  // An engine that does not answer may have containers that use any of them.
  const used = await usedSlots(env, id);
  if (!used.ok) return used.fault.code === 'compose.engine-missing' ? ok(undefined) : used;
  const volumes = keep.size === 0 ? await sweepVolumes(env, id) : ok(undefined);
  if (!volumes.ok) return volumes;
  const shelf = env.records.folder(id);
  if (!shelf.ok) return shelf;
  const swept = sweepShelf(shelf.value, trees, used.value);
  shelf.value.close();
  if (!swept.ok) return swept;
  let removed = 0;
  for (const digest of records.value.keys()) {
    if (keep.has(digest)) continue;
    const gone = env.records.remove(id, digest);
    if (!gone.ok) return gone;
    removed += 1;
  }
  const cleared = keep.size === 0 && used.value.size === 0 ? env.records.clear(id) : ok(undefined);
  return cleared.ok && removed > 0 ? sweepUnused(env) : cleared;
}

async function sweepUnused(env: ComposeEnv): Promise<Result<void>> {
  const engine = await env.engine();
  const owners = env.records.owners();
  if (!engine.ok || !owners.ok) return engine.ok ? (owners.ok ? ok(undefined) : owners) : engine;
  const keep = new Set<Digest>();
  for (const id of owners.value) {
    const records = env.records.all(id);
    if (!records.ok) return records;
    for (const { components } of records.value.values()) {
      for (const { images } of components)
        for (const image of Object.values(images)) keep.add(image);
    }
  }
  return sweepImages(engine.value, env.storeId, keep);
}

async function sweepVolumes(env: ComposeEnv, id: string): Promise<Result<void>> {
  const purge = env.records.purges(id);
  if (!purge.ok || !purge.value) return purge.ok ? ok(undefined) : purge;
  const engine = await env.engine();
  return engine.ok ? removeVolumes(engine.value, { storeId: env.storeId, id }) : engine;
}
