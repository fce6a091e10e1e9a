/**
 * Hands the children of this gateway their deployments: what the accepted manifest has for them lies in their
 * folders, and nothing else; what they say of it is read from there. Truth is the folder and the accepted
 * statement, so a cut, a restart or an emptied folder needs nothing but another pass. A child out of reach
 * (102) holds up neither the gateway nor other children, and is tried again.
 */

import { PLAIN_ENV } from '#apply/accounts.ts';
import { folderOf } from '#apply/folder-name.ts';
import { pace } from '#apply/stage.ts';
import { type Fault, ok, type Result, refused } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Log } from '#platform/log.ts';
import type { Processes } from '#platform/processes.ts';
import type { Downloads } from '#sources/download.ts';
import type { Source } from '#sources/source.ts';
import type { Digest } from '#state/digest.ts';
import type { MargoState } from '#state/margo.ts';
import type { ContentStore } from '#store/content.ts';
import { readMargoChildStatus } from '#wire/margo-child-status.ts';
import {
  type ChildDeployment,
  inChildFolder,
  type Laid,
  laidIn,
  lay,
  placeOf,
  readChildStatus,
  sweepPlaces,
  takeAway,
  unreachable,
  writeChildStatus,
} from './margo-child-folder.ts';
import type { MargoChild } from './margo-children-config.ts';

export interface ChildState {
  readonly state: MargoState;
  readonly why: { readonly code: string; readonly message: string } | null;
}

export interface MargoChildren {
  /** Something was accepted, or may have to be laid again. */
  note(): void;
  /** by id of the deployment; null: not looked at yet */
  stateOf(id: string): ChildState | null;
  /** It may still lie with a child, though no manifest has it any more. */
  isLeaving(id: string, device: string): boolean;
  stop(): void;
}

export interface MargoChildrenInput {
  readonly platform: {
    readonly files: Files;
    readonly processes: Processes;
    readonly clock: Clock;
    readonly log: Log;
  };
  readonly content: ContentStore;
  readonly downloads: Downloads;
  readonly children: readonly MargoChild[];
  sources(): readonly Source[];
  /** full id; a fault: this device does not know its own */
  gateway(): Result<string>;
  /** by full id of the child; null: it cannot be read now */
  desired(): ReadonlyMap<string, readonly ChildDeployment[]> | null;
  /** Something may be laid or taken away now. */
  mayChange(): boolean;
  /** a state has changed */
  changed(): void;
}

/** ms between two looks at what children say */
const LOOK_MS = 2_000;
/** ms before what failed is tried again */
const RETRY_MS = 30_000;
/** exit code of a command: try again later (sysexits.h) */
const EX_TEMPFAIL = 75;
const MESSAGE_MAX = 300;
const PENDING: ChildState = { state: 'pending', why: null };
const INSTALLING: ChildState = { state: 'installing', why: null };

interface Task {
  readonly input: MargoChildrenInput;
  readonly stopping: AbortController;
  states: Map<string, ChildState>;
  leaving: Set<string>;
  /** by digest: what the last pass that was due could not do, told until the next one */
  readonly tried: Map<Digest, ChildState>;
  /** full ids of children that the last pass did not reach */
  away: Set<string>;
  /** since the last pass that laid and took away, something was accepted */
  noted: boolean;
  /** monotonic ms from which the next pass may lay or take away; null: nothing is due */
  dueAt: number | null;
  running: boolean;
  cancel: () => void;
}

export function margoChildren(input: MargoChildrenInput): MargoChildren {
  // Without children nothing is ever due.
  const noted = input.children.length > 0;
  const task: Task = {
    ...{ input, stopping: new AbortController(), states: new Map(), leaving: new Set() },
    ...{ tried: new Map(), away: new Set(), noted, dueAt: 0, running: false, cancel: () => {} },
  };
  return {
    note() {
      if (input.children.length === 0) return;
      task.noted = true;
      task.dueAt = input.platform.clock.monotonicMs();
      arm(task, 0);
    },
    stateOf: (id) => task.states.get(id) ?? null,
    isLeaving: (id, device) =>
      task.noted || task.leaving.has(folderOf(id)) || task.away.has(device),
    stop() {
      task.stopping.abort();
      task.cancel();
    },
  };
}

function arm(task: Task, ms: number): void {
  if (task.running || task.stopping.signal.aborted) return;
  task.cancel();
  task.cancel = task.input.platform.clock.after(ms, () => void pass(task));
}

async function pass(task: Task): Promise<void> {
  const { input, stopping } = task;
  if (task.running || stopping.signal.aborted) return;
  task.running = true;
  const gateway = input.gateway();
  const desired = gateway.ok ? input.desired() : null;
  if (gateway.ok && desired) await passAll(task, gateway.value, desired);
  task.running = false;
  arm(task, LOOK_MS);
}

async function passAll(
  task: Task,
  gateway: string,
  desired: ReadonlyMap<string, readonly ChildDeployment[]>,
): Promise<void> {
  const { input, stopping } = task;
  const { clock } = input.platform;
  const due = task.dueAt !== null && clock.monotonicMs() >= task.dueAt && input.mayChange();
  if (due) {
    Object.assign(task, { dueAt: null, noted: false });
    task.tried.clear();
  }
  const before = textOf(task);
  const states = new Map<string, ChildState>();
  const leaving = new Set<string>();
  const away = new Set<string>();
  for (const child of input.children) {
    const device = `${gateway}/${child.id}`;
    const wanted = desired.get(device) ?? [];
    const found = await passOne(task, { child, device, due }, wanted);
    if (stopping.signal.aborted) return;
    for (const [id, state] of found.states) states.set(id, state);
    for (const id of found.leaving) leaving.add(id);
    if (found.away) away.add(device);
    if (found.again) task.dueAt ??= clock.monotonicMs() + RETRY_MS;
  }
  Object.assign(task, { states, leaving, away });
  if (due || textOf(task) !== before) input.changed();
}

function textOf({ states, leaving }: Task): string {
  return JSON.stringify([[...states], [...leaving]]);
}

interface Passing {
  readonly child: MargoChild;
  readonly device: string;
  /** lay and take away; else only what is said is read */
  readonly due: boolean;
}

interface Passed {
  readonly states: ReadonlyMap<string, ChildState>;
  /** ids */
  readonly leaving: readonly string[];
  readonly again: boolean;
  /** What lies there cannot be said. */
  readonly away: boolean;
}

async function passOne(
  task: Task,
  passing: Passing,
  wanted: readonly ChildDeployment[],
): Promise<Passed> {
  const { files } = task.input.platform;
  const { child, device } = passing;
  const { folder } = child;
  const done = await inChildFolder(files, { device, folder }, (root) =>
    passFolder(task, passing, { root, wanted }),
  );
  if (done.ok) return done.value;
  const held = new Map(wanted.map(({ id }) => [id, failed(done.fault)]));
  return { states: held, leaving: [], again: true, away: true };
}

async function passFolder(
  task: Task,
  passing: Passing,
  { root, wanted }: { readonly root: Directory; readonly wanted: readonly ChildDeployment[] },
): Promise<Passed> {
  const { device, due } = passing;
  const states = new Map<string, ChildState>();
  const laid = laidIn(root);
  if (!laid.ok) {
    const away = unreachable(device, laid.fault).fault;
    for (const { id } of wanted) states.set(id, failed(away));
    return { states, leaving: [], again: true, away: true };
  }
  const names = new Map(laid.value.map((one) => [one.name, one]));
  const kept = new Set(wanted.map(({ id }) => folderOf(id)));
  const leaving: string[] = [];
  let again = false;
  for (const one of laid.value.filter(({ name }) => !kept.has(name))) {
    const gone = due ? await remove(task, passing, { root, laid: one }) : null;
    if (gone?.ok) continue;
    leaving.push(one.name);
    again = true;
  }
  for (const deployment of wanted) {
    const place = names.get(folderOf(deployment.id))?.place;
    const there = place === placeOf(deployment);
    if (!there && !due) {
      states.set(deployment.id, task.tried.get(deployment.digest) ?? PENDING);
      again = true;
      continue;
    }
    const state = await bring(task, passing, { root, deployment, there });
    states.set(deployment.id, state);
    const away = state.why?.code === 'margo.child-unreachable';
    if (due && away) task.tried.set(deployment.digest, state);
    again ||= away;
  }
  if (due) sweepPlaces(root);
  return { states, leaving, again, away: false };
}

function failed({ code, message }: Fault): ChildState {
  return { state: 'failed', why: { code, message } };
}

interface Bringing {
  readonly root: Directory;
  readonly deployment: ChildDeployment;
  /** It lies there already. */
  readonly there: boolean;
}

async function bring(
  task: Task,
  { child, device, due }: Passing,
  { root, deployment, there }: Bringing,
): Promise<ChildState> {
  const { platform, content, downloads, sources } = task.input;
  if (!there) {
    const wanted = deployment.blobs.filter(({ digest, size }) => !content.hasBlob(digest, size));
    const fetched = await downloads.fetchAll(wanted, sources(), task.stopping.signal);
    const tools = { blobs: content, spend: pace(platform.clock) };
    const done = fetched.ok ? await lay(tools, root, deployment) : fetched;
    if (!done.ok) return failed(unreachable(device, done.fault).fault);
    platform.log.write('info', 'margo.child-laid', { deployment: deployment.id, device });
  }
  const said = saidOf(root, deployment);
  if (said || child.command === null) return said ?? INSTALLING;
  if (due) return runFor(task, { child, device }, { root, deployment });
  return task.tried.get(deployment.digest) ?? INSTALLING;
}

function saidOf(root: Directory, { id, digest }: ChildDeployment): ChildState | null {
  const bytes = readChildStatus(root, id);
  const status = bytes.ok && bytes.value ? readMargoChildStatus(bytes.value, digest) : null;
  if (!status) return null;
  const { state, code, message } = status;
  return { state, why: code === '' && message === '' ? null : { code, message } };
}

/** The owner's command, once for each document: its end is kept beside it. */
async function runFor(
  task: Task,
  { child, device }: Pick<Passing, 'child' | 'device'>,
  { root, deployment }: Pick<Bringing, 'root' | 'deployment'>,
): Promise<ChildState> {
  const { id, digest } = deployment;
  const name = folderOf(id);
  const end = await run(task, { child, device }, ['install', name]);
  if (!end.ok) return failed(end.fault);
  const error = end.value === null ? {} : { error: end.value };
  const state = end.value === null ? 'installed' : 'failed';
  const kept = writeChildStatus(root, id, { digest, state, ...error });
  if (!kept.ok) return failed(unreachable(device, kept.fault).fault);
  return { state, why: end.value };
}

/** Null: it ended well. A fault: it is to be tried again. */
async function run(
  task: Task,
  { child, device }: Pick<Passing, 'child' | 'device'>,
  [action, name]: readonly [string, string],
): Promise<Result<ChildState['why']>> {
  const { processes } = task.input.platform;
  const { command, folder, timeoutMs } = child;
  if (command === null) return ok(null);
  const env = { ...PLAIN_ENV, HOLDFAST_DEVICE: device };
  const argv = [...command, action, `${folder}/${name}`];
  const end = await processes.run({ command: argv, env, directory: '/' }, timeoutMs);
  if (!end.ok) return refused(unreachable(device, end.fault).fault);
  const { code, signal, timedOut, output } = end.value;
  if (code === 0 && !timedOut) return ok(null);
  const how = timedOut ? `no end after ${timeoutMs} ms` : (signal ?? `exit code ${code}`);
  const message = `${how}: ${output.trim().slice(-MESSAGE_MAX)}`;
  if (code === EX_TEMPFAIL) return refused(unreachable(device, { message }).fault);
  return ok({ code: timedOut ? 'timeout' : (signal ?? `exit-${code}`), message });
}

/** A command that fails keeps nothing there: what no manifest has is not to run. */
async function remove(
  task: Task,
  { child, device }: Passing,
  { root, laid }: { readonly root: Directory; readonly laid: Laid },
): Promise<Result<void>> {
  const { log } = task.input.platform;
  const end = await run(task, { child, device }, ['remove', laid.name]);
  if (!end.ok) return end;
  if (end.value) log.write('warn', 'margo.child-remove', { device, ...end.value });
  const gone = takeAway(root, laid);
  if (gone.ok) log.write('info', 'margo.child-taken', { deployment: laid.name, device });
  return gone;
}
