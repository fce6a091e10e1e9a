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
import { composeDiffers } from './compose-tree.ts';
import { bringDown, bringUp, type Wanted, wantedOf } from './compose-up.ts';
import type { Packages } from './packages.ts';
import type { Condition, Deviation, Runtime } from './runtime.ts';

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

/** ms after which what status reads is looked at again */
const FRESH_MS = 2_000;
const UNKNOWN: Condition = {
  running: 'starting',
  upMs: 0,
  restarts: 0,
  message: 'not looked at yet',
};

/** What the last look saw; never older than the last change made here. */
interface Seen {
  readonly digest: Digest;
  readonly condition: Condition;
  readonly atMs: number;
}

interface Held {
  readonly env: ComposeEnv;
  readonly seen: Map<string, Seen>;
  readonly looking: Set<string>;
}

export function composeRuntime(options: ComposeOptions): Runtime {
  const held: Held = { env: environment(options), seen: new Map(), looking: new Set() };
  const { env } = held;
  return {
    type: COMPOSE_PROFILE,
    fetch: (next, packages) => fetch(env, next, packages),
    blobs: (keep) => blobsOf(env, keep),
    prepare: (next) => prepare(env, next),
    activate: (next, previous) => activate(held, next, previous),
    async deactivate(previous) {
      const marked = env.records.markPurge(previous.id, purges(previous));
      if (!marked.ok) return marked;
      held.seen.delete(previous.id);
      const down = await bringDown(env, previous.id);
      return down.ok ? clearSecrets(env, previous.id) : down;
    },
    inspect: (current, depth) => inspect(held, current, depth),
    // What a container wrote stands in its volumes, which no repair touches.
    keepFound: async () => ok([]),
    condition: (current) => condition(held, current),
    sweep: (id, keep) => sweep(env, id, keep),
    left: () => env.records.owners(),
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
  held: Held,
  next: Generation,
  previous: Generation | null,
): Promise<Result<void>> {
  const { env, seen } = held;
  const marked = env.records.markPurge(next.id, false);
  if (!marked.ok) return marked;
  const used = await usedSlots(env, next.id);
  if (!used.ok) return used;
  const wanted = await wantedAgain(env, next, used.value);
  if (!wanted.ok) return wanted;
  const up = await bringUp(env, next, wanted.value, previous?.digest !== next.digest);
  closeAll(wanted.value.ready);
  seen.delete(next.id);
  if (!up.ok) return up;
  const looked = await lookAtAll(env, next, wanted.value);
  if (looked.ok) note(held, next, looked.value.condition);
  return ok(undefined);
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
  const { env } = held;
  const spoilt = await spoiltTrees(env, current, depth);
  if (!spoilt.ok) return spoilt;
  const used = await usedSlots(env, current.id);
  if (!used.ok) return used;
  const wanted = await wantedHere(env, current, used.value);
  if (!wanted.ok && wanted.fault.code === 'compose.not-fetched') {
    return ok([{ what: current.id, found: wanted.fault.message }]);
  }
  if (!wanted.ok) return wanted;
  const looked = await lookAtAll(env, current, wanted.value);
  closeAll(wanted.value.ready);
  if (!looked.ok) return looked;
  note(held, current, looked.value.condition);
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

/** What the last look saw; one that is old is followed by another, whose news are told. */
function condition(held: Held, current: Generation): Condition {
  const { env, seen, looking } = held;
  const last = seen.get(current.id);
  const known = last?.digest === current.digest ? last : null;
  const old = !known || env.clock.monotonicMs() - known.atMs > FRESH_MS;
  if (old && !looking.has(current.id)) {
    looking.add(current.id);
    void inspect(held, current, 'stat')
      .then((looked) => {
        if (!looked.ok)
          note(held, current, { ...UNKNOWN, running: 'no', message: looked.fault.message });
        const now = seen.get(current.id);
        if (now && known && now.condition.running !== known.condition.running) {
          env.onChange(current.id);
        }
      })
      .finally(() => looking.delete(current.id));
  }
  return known?.condition ?? UNKNOWN;
}

function note({ env, seen }: Held, { id, digest }: Generation, now: Condition): void {
  seen.set(id, { digest, condition: now, atMs: env.clock.monotonicMs() });
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
