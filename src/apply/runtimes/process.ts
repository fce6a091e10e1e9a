/**
 * The runtime `process`: supervised programs. Their files are in process-files.ts, who they are in
 * process-identity.ts, one program's life in process-unit.ts, its end in process-end.ts. The old
 * and the new generation of a deployment never run at once: stop, then start. The agent's own end
 * leaves programs running; the next agent finds and adopts them.
 */
import type { RunRules } from '#apply/accounts.ts';
import { ensureData, markPurge, missingData, purge } from '#apply/data-directories.ts';
import { type Depth, slotsOf } from '#apply/generations.ts';
import { durablePlaces } from '#apply/places.ts';
import { NO_SECRETS, type Secrets } from '#apply/secrets.ts';
import { type Blobs, pace } from '#apply/stage.ts';
import type { TargetRules } from '#apply/targets.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Files } from '#platform/files.ts';
import type { Inflate } from '#platform/inflate.ts';
import type { Log } from '#platform/log.ts';
import type { Processes } from '#platform/processes.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import {
  account,
  bringDown,
  bringUp,
  endStore,
  type ProcessEnv,
  usedSlots,
} from './process-deployment.ts';
import { programFiles } from './process-files.ts';
import { pidRecords } from './process-identity.ts';
import { programLogs } from './process-logs.ts';
import { processProfile } from './process-program.ts';
import { programSecrets } from './process-secrets.ts';
import type { Condition, Deviation, Runtime } from './runtime.ts';

export interface ProcessOptions {
  readonly files: Files;
  readonly processes: Processes;
  readonly content: Blobs;
  readonly clock: Clock;
  readonly inflate: Inflate;
  readonly log: Log;
  readonly stateDir: string;
  /** on a file system that a reboot empties */
  readonly runDir: string;
  /** of this agent's store: programs of another one on the same device are not touched */
  readonly storeId: string;
  /** for data directories */
  readonly roots: readonly string[];
  /** see `TargetRules` */
  readonly left?: (() => ReadonlySet<string>) | undefined;
  readonly protectedPaths: readonly string[];
  readonly users: RunRules;
  /** default: nothing was sealed to this device */
  readonly secrets?: Secrets;
  /** a program ended by itself, or was started again */
  readonly onChange?: (deployment: string) => void;
}

export interface ProcessRuntime extends Runtime {
  /** Ends all programs of this store, last started first (`holdfast stop`). */
  stopAll(): Promise<Result<void>>;
  /** The agent ends, its programs do not. */
  release(): void;
}

export function processRuntime(options: ProcessOptions): ProcessRuntime {
  const { files, stateDir, roots, left, protectedPaths, processes, clock } = options;
  const places = durablePlaces(files, stateDir);
  const rules = { files, places, roots, left, protectedPaths, clock };
  const env = environment(options);
  return {
    type: 'process',
    prepare: (next) => prepare(env, next),
    async activate(next, previous) {
      const data = ensureData(rules, processes, next);
      if (!data.ok) return data;
      const ready = await readyFiles(env, next);
      return ready.ok ? bringUp(env, next, previous) : ready;
    },
    async deactivate(previous) {
      const down = await bringDown(env, previous.id, previous);
      return down.ok ? markPurge(rules, previous) : down;
    },
    inspect: (current, depth) => inspect(env, rules, current, depth),
    keepFound: () => Promise.resolve(ok([])),
    condition: (current) => condition(env, current),
    sweep: (id, keep) => Promise.resolve(sweep(env, rules, id, keep)),
    left: () => env.programs.owners(),
    async stopAll() {
      for (const id of [...env.running.keys()].reverse()) {
        const down = await bringDown(env, id, env.running.get(id)?.generation ?? null);
        if (!down.ok) return down;
      }
      return endStore(env);
    },
    release() {
      for (const { units } of env.running.values()) for (const unit of units) unit.release();
    },
  };
}

function environment(options: ProcessOptions): ProcessEnv {
  const { files, processes, content, clock, inflate, log, stateDir, runDir } = options;
  const spend = pace(clock);
  const tools = { blobs: content, inflate, spend, self: processes.self, clock, seen: new Map() };
  return {
    processes,
    clock,
    log,
    storeId: options.storeId,
    users: options.users,
    programs: programFiles(files, tools, stateDir),
    records: pidRecords(files, runDir),
    logs: programLogs(files, clock, stateDir),
    secrets: programSecrets(files, runDir, options.secrets ?? NO_SECRETS),
    onChange: options.onChange ?? (() => {}),
    running: new Map(),
  };
}

async function prepare(env: ProcessEnv, next: Generation): Promise<Result<void>> {
  for (const component of processProfile(next).components) {
    const owner = account(env, next, component);
    if (!owner.ok) return owner;
  }
  const opens = env.secrets.check(next);
  return opens.ok ? readyFiles(env, next) : opens;
}

/** Check 18: every byte is compared, unless the program runs from there already. */
async function readyFiles(env: ProcessEnv, next: Generation): Promise<Result<void>> {
  const held = env.running.get(next.id);
  const [first] = slotsOf(hexOf(next.digest));
  for (const component of processProfile(next).components) {
    const unit =
      held?.generation.digest === next.digest
        ? held.units.find((each) => each.component.name === component.name)
        : undefined;
    const runs = unit?.condition().state === 'running';
    const place = { depth: runs ? 'stat' : 'hash', used: new Set(runs ? [first] : []) } as const;
    const directory = await env.programs.ready(next, component, place);
    if (!directory.ok) return directory;
    const there = env.programs.checkProgram(next, component, directory.value);
    if (!there.ok) return there;
  }
  return ok(undefined);
}

async function inspect(
  env: ProcessEnv,
  rules: TargetRules,
  current: Generation,
  depth: Depth,
): Promise<Result<readonly Deviation[]>> {
  const found: Deviation[] = missingData(rules, current).map((path) => ({
    what: path,
    found: 'missing',
  }));
  const held = env.running.get(current.id);
  const units = held?.generation.digest === current.digest ? held.units : [];
  for (const component of processProfile(current).components) {
    const wrong = await env.programs.differs(current, component, depth);
    if (!wrong.ok) return wrong;
    if (wrong.value) {
      const what = [component.name, ...wrong.value.path].join('/');
      found.push({ what, found: wrong.value.found });
    }
    // One that waits for its next start is its supervisor's business.
    const state = units.find((unit) => unit.component.name === component.name)?.condition().state;
    if (state === 'running' || state === 'waiting') continue;
    found.push({ what: component.name, found: 'not running' });
  }
  return ok(found);
}

function condition(env: ProcessEnv, current: Generation): Condition {
  const held = env.running.get(current.id);
  if (held?.generation.digest !== current.digest) {
    return { running: 'no', upMs: 0, restarts: 0, message: 'not started' };
  }
  const units = held.units.map((unit) => unit.condition());
  const states = new Set(units.map(({ state }) => state));
  const all = states.size === 1 && states.has('running');
  return {
    running: all ? 'yes' : states.has('waiting') ? 'starting' : 'no',
    upMs: all ? Math.min(...units.map(({ upMs }) => upMs)) : 0,
    restarts: units.reduce((sum, { restarts }) => sum + restarts, 0),
    message: units.map(({ message }) => message).find((text) => text !== '') ?? '',
  };
}

function sweep(
  env: ProcessEnv,
  rules: TargetRules,
  id: string,
  keep: ReadonlySet<Digest>,
): Result<void> {
  const used = usedSlots(env, id);
  if (!used.ok) return used;
  const swept = env.programs.sweep(id, keep, used.value);
  if (!swept.ok || keep.size > 0 || used.value.size > 0) return swept;
  const logs = env.logs.remove(id);
  return logs.ok ? purge(rules, id) : logs;
}
