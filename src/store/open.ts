/**
 * Opens the store of a state directory: lock, then judge, then open, then read every row once.
 *
 * Invariants: a store that is open has passed its guard and every checksum; a new one is complete
 * on disk before it gets its name, so a power cut in the first start leaves none (DESIGN section
 * 7); a damaged one is moved aside, and only damage moves it: an error of the disk or of access is
 * returned, and the store stays where it is. What the new store must hold again is rebuilt by the
 * agent from the content store (content.ts).
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import type { HeldLock } from '#platform/locks.ts';
import type { Platform } from '#platform/platform.ts';
import { formatRecord } from '#wire/records.ts';
import { type Engine, type EngineKind, StoreFailure } from './engine.ts';
import { lmdbKind } from './lmdb.ts';
import { lockStateDir } from './lock.ts';
import { quarantine } from './quarantine.ts';
import { frameRecord, openRecord } from './record.ts';
import { reserveIn } from './reserve.ts';
import type { Store, StoreReader } from './store.ts';
import { FORMAT_VERSION, KEYS } from './tables.ts';
import { typedStore } from './typed-store.ts';

export interface OpenedStore {
  readonly store: Store;
  /** `created` and `quarantined` are empty: the agent fills them from the content store. */
  readonly recovered: 'opened' | 'created' | 'quarantined';
  readonly quarantinedAs?: string;
  /** why it was moved aside */
  readonly damage?: string;
}

export interface OpenOptions {
  /** default: LMDB; the simulator brings its own */
  readonly kind?: EngineKind;
}

const NAME = 'store';
const NEW_NAME = 'store.new';
/** more than an empty store takes (reserve.ts says why it is looked at first) */
const FIRST_BYTES = 128 * 1024;
const GROUP_OR_OTHERS_WRITE = 0o022;

/**
 * @returns `store.locked`, `store.unsafe`, `store.newer`, or a fault of the disk; the store holds
 *          the lock of the state directory until it is closed
 */
export function openStore(
  platform: Pick<Platform, 'files' | 'locks' | 'processes'>,
  stateDir: string,
  options: OpenOptions = {},
): Result<OpenedStore> {
  const state = openStateDir(platform, stateDir);
  if (!state.ok) return state;
  const lock = lockStateDir(platform.locks, stateDir);
  if (!lock.ok) {
    state.value.close();
    return lock;
  }
  const opened = openLocked(platform, state.value, options.kind ?? lmdbKind, lock.value);
  state.value.close();
  if (!opened.ok) lock.value.release();
  return opened;
}

/**
 * To look at, while no agent runs: judged by the guard and by every checksum as before a start, but
 * nothing is made, moved or written but lock files. `store.damaged` and `store.checksum` are the caller's to tell.
 */
export function openStoreToRead(
  platform: Pick<Platform, 'files' | 'locks'>,
  stateDir: string,
  options: OpenOptions = {},
): Result<StoreReader & Pick<Store, 'close'>> {
  const state = platform.files.open(stateDir, { follow: true });
  if (!state.ok) return state;
  try {
    const lock = lockStateDir(platform.locks, stateDir);
    if (!lock.ok) return lock;
    const opened = openSound(state.value, options.kind ?? lmdbKind, true);
    if (opened.ok) return ok(storeOf(opened.value, lock.value));
    lock.value.release();
    return opened;
  } finally {
    state.value.close();
  }
}

/** Made with mode 0700 when missing; nobody else may write to it (attack row L05). */
function openStateDir(
  platform: Pick<Platform, 'files' | 'processes'>,
  stateDir: string,
): Result<Directory> {
  const directory = platform.files.open(stateDir, { create: 0o700, follow: true });
  if (!directory.ok) return directory;
  const store = directory.value.stat(NAME);
  const safe = store.ok ? checkPlace(platform, stateDir, store.value === null) : store;
  if (safe.ok) return directory;
  directory.value.close();
  return safe;
}

/**
 * @param isNew  its name is made durable, since what will be acknowledged lies below it: as long as
 *               there is no store, because a start that was killed may have made it and no more
 */
function checkPlace(
  platform: Pick<Platform, 'files' | 'processes'>,
  stateDir: string,
  isNew: boolean,
): Result<void> {
  const real = platform.files.realPath(stateDir);
  if (!real.ok) return real;
  const cut = real.value.lastIndexOf('/');
  const parent = platform.files.open(real.value.slice(0, cut) || '/');
  if (!parent.ok) return parent;
  const safe = checkOwner(platform, parent.value, real.value.slice(cut + 1));
  const synced = safe.ok && isNew ? parent.value.sync() : safe;
  parent.value.close();
  return synced;
}

function checkOwner(
  platform: Pick<Platform, 'processes'>,
  parent: Directory,
  name: string,
): Result<void> {
  const path = `${parent.path}/${name}`.replace('//', '/');
  const entry = parent.stat(name);
  if (!entry.ok) return entry;
  if (entry.value?.kind !== 'directory') {
    return refuse('store.unsafe', { path, reason: 'it is not a directory' });
  }
  const { uid, mode } = entry.value;
  if (uid !== platform.processes.self.uid) {
    return refuse('store.unsafe', { path, reason: `it belongs to the user ${uid}` });
  }
  if ((mode & GROUP_OR_OTHERS_WRITE) !== 0) {
    return refuse('store.unsafe', {
      path,
      reason: `its mode ${mode.toString(8)} lets others write`,
    });
  }
  return ok();
}

function openLocked(
  platform: Pick<Platform, 'processes'>,
  state: Directory,
  kind: EngineKind,
  lock: HeldLock,
): Result<OpenedStore> {
  const cleared = state.removeTree(NEW_NAME);
  if (!cleared.ok) return cleared;
  const entry = state.stat(NAME);
  if (!entry.ok) return entry;
  if (!entry.value) return create(state, kind, lock);
  const safe = checkOwner(platform, state, NAME);
  if (!safe.ok) return safe;
  const opened = openSound(state, kind);
  if (opened.ok) return ok({ store: storeOf(opened.value, lock), recovered: 'opened' });
  if (!isDamage(opened.fault.code)) return opened;
  const bad = quarantine(state, NAME);
  if (!bad.ok) return bad;
  const created = create(state, kind, lock);
  if (!created.ok) return created;
  return ok({
    store: created.value.store,
    recovered: 'quarantined',
    quarantinedAs: `${state.path}/${bad.value}`,
    damage: opened.fault.message,
  });
}

function isDamage(code: string): boolean {
  return code === 'store.damaged' || code === 'store.checksum' || code === 'store.record';
}

interface Sound {
  readonly engine: Engine;
  readonly directory: Directory;
  readonly readOnly: boolean;
}

function storeOf({ engine, directory, readOnly }: Sound, lock: HeldLock): Store {
  const reserve = reserveIn(directory);
  if (!readOnly) reserve.ensure();
  return typedStore(engine, reserve, () => {
    directory.close();
    lock.release();
  });
}

function openSound(state: Directory, kind: EngineKind, readOnly = false): Result<Sound> {
  const directory = state.directory(NAME);
  if (!directory.ok) return directory;
  const checked = kind.check(directory.value);
  const engine = checked.ok ? kind.open(directory.value, readOnly) : checked;
  if (!engine.ok) {
    directory.value.close();
    return engine;
  }
  const read = readEveryRow(engine.value);
  if (read.ok) return ok({ engine: engine.value, directory: directory.value, readOnly });
  engine.value.close();
  directory.value.close();
  return read;
}

/** Every checksum once; the version before anything else, since a newer one explains the rest. */
function readEveryRow(engine: Engine): Result<void> {
  try {
    const framed = engine.get(KEYS.format);
    if (!framed) return refuse('store.record', { key: KEYS.format, reason: 'it is missing' });
    const body = openRecord(KEYS.format, framed);
    const version = body.ok ? formatRecord.read(body.value, KEYS.format) : body;
    if (!version.ok) return version;
    if (version.value > FORMAT_VERSION) {
      return refuse('store.newer', { found: version.value, known: FORMAT_VERSION });
    }
    for (const [key, value] of engine.range('')) {
      const record = openRecord(key, value);
      if (!record.ok) return record;
    }
    return ok();
  } catch (error) {
    if (error instanceof StoreFailure) return refused(error.fault);
    throw error;
  }
}

/** Complete on disk under another name first: LMDB writes its first pages without a sync. */
function create(state: Directory, kind: EngineKind, lock: HeldLock): Result<OpenedStore> {
  const made = state.directory(NEW_NAME, { create: 0o700 });
  if (!made.ok) return made;
  const filled = fill(made.value, kind);
  made.value.close();
  if (!filled.ok) return filled;
  const renamed = state.rename(NEW_NAME, NAME);
  const synced = renamed.ok ? state.sync() : renamed;
  if (!synced.ok) return synced;
  const opened = openSound(state, kind);
  return opened.ok ? ok({ store: storeOf(opened.value, lock), recovered: 'created' }) : opened;
}

function fill(directory: Directory, kind: EngineKind): Result<void> {
  const space = directory.freeSpace();
  if (space.ok && space.value.bytes < FIRST_BYTES) {
    return refuse('store.no-space', { operation: 'make a new store' });
  }
  const engine = kind.open(directory);
  if (!engine.ok) return engine;
  try {
    const record = frameRecord(KEYS.format, formatRecord.write(FORMAT_VERSION));
    engine.value.transaction((tx) => tx.put(KEYS.format, record));
  } catch (error) {
    if (error instanceof StoreFailure) return refused(error.fault);
    throw error;
  } finally {
    engine.value.close();
  }
  const synced = directory.syncEntry(kind.dataFile);
  return synced.ok ? directory.sync() : synced;
}
