/**
 * The runtime `files`: files and directory trees at their targets. A directory target is a link
 * switched to a generation beside it (files-tree.ts), a single file is renamed over its target
 * (files-file.ts); what stood there before comes back at the end (files-origin.ts). Nothing is
 * remembered between calls that the disk does not hold; memory only saves hashing twice.
 */
import { accountOf, PLAIN_ENV, type RunRules } from '#apply/accounts.ts';
import { ensureData, markPurge, missingData, purge } from '#apply/data-directories.ts';
import { folderOf } from '#apply/folder-name.ts';
import type { Depth } from '#apply/generations.ts';
import { durablePlaces } from '#apply/places.ts';
import { type Blobs, pace } from '#apply/stage.ts';
import { assert, ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Files } from '#platform/files.ts';
import type { Inflate } from '#platform/inflate.ts';
import type { Log } from '#platform/log.ts';
import type { Processes } from '#platform/processes.ts';
import type { FilesComponent, Hook } from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';
import { atTarget, type FilesEnv, type FilesTarget } from './files-env.ts';
import { editedSince, fileDiffers, placeFile, prepareFile } from './files-file.ts';
import { keepCopy } from './files-found.ts';
import { giveBack, originRecorded } from './files-origin.ts';
import { sweepFiles } from './files-sweep.ts';
import { placeTree, prepareTree, treeTargetDiffers } from './files-tree.ts';
import type { Deviation, Runtime } from './runtime.ts';

export interface FilesOptions {
  readonly files: Files;
  readonly processes: Processes;
  readonly content: Blobs;
  readonly clock: Clock;
  readonly inflate: Inflate;
  readonly log: Log;
  readonly stateDir: string;
  /** on a file system that a reboot empties */
  readonly runDir: string;
  /** what the channels may write, all together; each channel's own share is plan/allow.ts */
  readonly roots: readonly string[];
  /** see `TargetRules` */
  readonly left?: (() => ReadonlySet<string>) | undefined;
  readonly protectedPaths: readonly string[];
  /** as whom reload hooks run: the default user, root only where it is allowed */
  readonly users: RunRules;
}

export function filesRuntime(options: FilesOptions): Runtime {
  const env = environment(options);
  const pending = pendingReloads(options);
  return {
    type: 'files',
    prepare: (next) => prepare(env, next),
    async activate(next, previous) {
      const { reload } = profileOf(next);
      const begun = reload ? pending.begin(next.id) : ok(false);
      if (!begun.ok) return begun;
      const changed = await activate(env, next, previous);
      if (!changed.ok || !reload) return changed.ok ? ok(undefined) : changed;
      // `begun`: an earlier call changed something and was cut before its hook.
      const ran = changed.value || begun.value ? await runHook(options, next, reload) : ok();
      return ran.ok ? pending.end(next.id) : ran;
    },
    async deactivate(previous) {
      const changed = await deactivate(env, previous);
      if (!changed.ok) return changed;
      const { reload } = profileOf(previous);
      if (!reload || !changed.value) return ok(undefined);
      // The files are gone already; a hook that fails must not keep an undo from ending.
      const ran = await runHook(options, previous, reload);
      if (!ran.ok) options.log.write('warn', 'reload.failed', { message: ran.fault.message });
      return pending.end(previous.id);
    },
    inspect: (current, depth) => inspect(env, current, depth),
    keepFound: (current) => keepFound(env, current),
    condition: () => ({ running: 'not-applicable', upMs: 0, restarts: 0, message: '' }),
    left: () => env.rules.places.owners(),
    sweep(id, keep) {
      const swept = sweepFiles(env, id, keep);
      return Promise.resolve(!swept.ok || keep.size > 0 ? swept : purge(env.rules, id));
    },
  };
}

function environment(options: FilesOptions): FilesEnv {
  const { files, processes, content, clock, inflate, log, stateDir } = options;
  const { roots, left, protectedPaths } = options;
  const spend = pace(clock);
  return {
    rules: { files, places: durablePlaces(files, stateDir), roots, left, protectedPaths, clock },
    tools: { blobs: content, inflate, spend, self: processes.self, clock, seen: new Map() },
    processes,
    clock,
    log,
    hashed: new Map(),
    recorded: new Set(),
  };
}

function profileOf({ id, deployment }: Generation) {
  assert(deployment.profile.kind === 'files', `${id} is no files deployment`);
  return deployment.profile;
}

async function prepare(env: FilesEnv, next: Generation): Promise<Result<void>> {
  for (const component of profileOf(next).components) {
    const work = async (at: FilesTarget | null) => {
      assert(at, 'a created parent');
      const mounted = sameFileSystem(at);
      if (!mounted.ok) return mounted;
      return at.blob.tree ? prepareTree(env, at) : prepareFile(env, at);
    };
    const done = await atTarget(env, next, component, { create: true, work });
    if (!done.ok) return done;
  }
  return ok(undefined);
}

/** Nothing can be renamed over a mount point (row D21). */
function sameFileSystem(at: FilesTarget): Result<void> {
  const entry = at.parent.stat(at.name);
  const device = at.parent.device();
  if (!entry.ok) return entry;
  if (!device.ok) return device;
  if (!entry.value || entry.value.device === device.value) return ok(undefined);
  const { id, target } = at;
  return refuse('apply.mount-point', { deployment: id, target, path: target });
}

/** True when anything changed. */
async function activate(
  env: FilesEnv,
  next: Generation,
  previous: Generation | null,
): Promise<Result<boolean>> {
  const data = ensureData(env.rules, env.processes, next);
  if (!data.ok) return data;
  const before = previous ? profileOf(previous).components : [];
  const placed = await placeAll(env, next, before);
  if (!placed.ok) return placed;
  let changed = placed.value;
  const kept = new Set(profileOf(next).components.map(({ target }) => target));
  for (const component of before) {
    if (!previous || kept.has(component.target)) continue;
    const dropped = await drop(env, previous, component);
    if (!dropped.ok) return dropped;
    changed ||= dropped.value;
  }
  return ok(changed);
}

/** A rename counts after its directory's fsync: one for neighbours that follow each other. */
async function placeAll(
  env: FilesEnv,
  next: Generation,
  before: readonly FilesComponent[],
): Promise<Result<boolean>> {
  const held = new Set(before.filter(({ once }) => !once).map(({ target }) => target));
  const { components } = profileOf(next);
  let changed = false;
  let unsynced = false;
  for (const [index, component] of components.entries()) {
    const follower = components[index + 1];
    const last = !follower || parentOf(follower) !== parentOf(component);
    const work = async (at: FilesTarget | null): Promise<Result<void>> => {
      assert(at, 'a created parent');
      const ours = held.has(at.target);
      const placed = at.blob.tree ? await placeTree(env, at, ours) : await placeFile(env, at, ours);
      if (!placed.ok) return placed;
      changed ||= placed.value;
      unsynced ||= placed.value;
      if (!last || !unsynced) return ok(undefined);
      unsynced = false;
      return at.parent.sync();
    };
    const done = await atTarget(env, next, component, { create: true, work });
    if (!done.ok) return done;
  }
  return ok(changed);
}

function parentOf({ target }: FilesComponent): string {
  return target.slice(0, target.lastIndexOf('/'));
}

async function deactivate(env: FilesEnv, previous: Generation): Promise<Result<boolean>> {
  let changed = false;
  for (const component of profileOf(previous).components.toReversed()) {
    const dropped = await drop(env, previous, component);
    if (!dropped.ok) return dropped;
    changed ||= dropped.value;
  }
  const marked = markPurge(env.rules, previous);
  return marked.ok ? ok(changed) : marked;
}

function drop(
  env: FilesEnv,
  previous: Generation,
  component: FilesComponent,
): Promise<Result<boolean>> {
  const work = async (at: FilesTarget | null) => {
    if (!at) return ok(false);
    const own = at.blob.tree ? ok(false) : await editedSince(env, at);
    return own.ok ? giveBack(env, at, own.value) : own;
  };
  return atTarget(env, previous, component, { create: false, work });
}

async function inspect(
  env: FilesEnv,
  current: Generation,
  depth: Depth,
): Promise<Result<readonly Deviation[]>> {
  const found: Deviation[] = missingData(env.rules, current).map((path) => ({
    what: path,
    found: 'missing',
  }));
  for (const component of profileOf(current).components) {
    const difference = await differenceAt(env, current, component, depth);
    if (!difference.ok) return difference;
    if (!difference.value) continue;
    const { path, found: text } = difference.value;
    found.push({ what: [component.target, ...path].join('/'), found: text });
  }
  return ok(found);
}

interface TargetDifference {
  readonly path: readonly string[];
  readonly found: string;
}

function differenceAt(
  env: FilesEnv,
  current: Generation,
  component: FilesComponent,
  depth: Depth,
): Promise<Result<TargetDifference | null>> {
  const work = async (at: FilesTarget | null): Promise<Result<TargetDifference | null>> => {
    if (!at) return ok({ path: [], found: 'missing' });
    if (at.blob.tree) return unrecorded(env, at, await treeTargetDiffers(env, at, depth));
    const wrong = await fileDiffers(env, at, depth);
    if (!wrong.ok) return wrong;
    const difference = wrong.value === null ? null : { path: [], found: wrong.value };
    return unrecorded(env, at, ok(difference));
  };
  return atTarget(env, current, component, { create: false, work });
}

/** A target whose origin is not recorded could not be given back: activating again records it. */
function unrecorded(
  env: FilesEnv,
  at: FilesTarget,
  difference: Result<TargetDifference | null>,
): Result<TargetDifference | null> {
  if (!difference.ok || difference.value !== null || at.component.once) return difference;
  const recorded = originRecorded(env, at);
  if (!recorded.ok || recorded.value) return recorded.ok ? ok(null) : recorded;
  return ok({ path: [], found: 'the record of what stood there before is gone' });
}

async function keepFound(env: FilesEnv, current: Generation): Promise<Result<readonly string[]>> {
  const copies: string[] = [];
  for (const component of profileOf(current).components) {
    const difference = await differenceAt(env, current, component, 'stat');
    if (!difference.ok) return difference;
    const { value } = difference;
    if (!value) continue;
    const work = async (at: FilesTarget | null) => (at ? keepCopy(env, at, value.path) : ok(null));
    const kept = await atTarget(env, current, component, { create: false, work });
    if (!kept.ok) return kept;
    if (kept.value !== null) copies.push(kept.value);
  }
  return ok(copies);
}

async function runHook(
  { users, processes, log }: FilesOptions,
  { id }: Generation,
  { command, timeoutMs }: Hook,
): Promise<Result<void>> {
  const account = accountOf(processes, users, { deployment: id, component: 'reload', user: null });
  if (!account.ok) return account;
  const program = { command, env: PLAIN_ENV, directory: '/', ...account.value };
  const end = await processes.run(program, timeoutMs);
  const text = command.join(' ').slice(0, 200);
  if (!end.ok) return end;
  const { code, signal, timedOut, output } = end.value;
  if (code === 0 && !timedOut) {
    log.write('info', 'reload.done', { deployment: id });
    return ok(undefined);
  }
  const how = timedOut ? `no end after ${timeoutMs} ms` : `ended with ${signal ?? `code ${code}`}`;
  const reason = `${how}${output === '' ? '' : `: ${output.trim().slice(-300)}`}`;
  return refuse('apply.reload-failed', { deployment: id, command: text, reason });
}

/**
 * Reloads that are due, on a file system that a reboot empties: after a reboot consumers read the
 * new files anyway, after a crash of the agent alone the hook still has to run.
 */
function pendingReloads({ files, runDir }: Pick<FilesOptions, 'files' | 'runDir'>) {
  const folder = () => files.open(`${runDir}/reloads`, { follow: true, create: 0o700 });
  return {
    /** True: it was due already. */
    begin(id: string): Result<boolean> {
      const opened = folder();
      if (!opened.ok) return opened;
      const made = opened.value.create(folderOf(id), 0o600);
      opened.value.close();
      if (made.ok) made.value.close();
      if (made.ok) return ok(false);
      return made.fault.code === 'platform.exists' ? ok(true) : made;
    },
    end(id: string): Result<void> {
      const opened = folder();
      if (!opened.ok) return opened;
      const removed = opened.value.unlink(folderOf(id));
      opened.value.close();
      return !removed.ok && removed.fault.code === 'platform.missing' ? ok(undefined) : removed;
    },
  };
}
