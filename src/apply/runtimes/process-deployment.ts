/**
 * All programs of one deployment: started or adopted in order, ended in reverse order, whatever of
 * other generations is still alive ended first. Reads the process table each time; `running` is only
 * what this agent supervises.
 */
import { accountOf, type RunRules } from '#apply/accounts.ts';
import { folderOf } from '#apply/folder-name.ts';
import { slotsOf } from '#apply/generations.ts';
import type { Ownership } from '#apply/stage.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Child, Processes } from '#platform/processes.ts';
import type { ProcessComponent } from '#state/deployment.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import {
  endSessions,
  PLAIN_STOP,
  type Remainder,
  type StopRule,
  stillThere,
} from './process-end.ts';
import type { ProgramFiles } from './process-files.ts';
import {
  instancesOf,
  type PidRecords,
  programAmong,
  readToken,
  type Token,
  tokenOf,
} from './process-identity.ts';
import type { ProgramLogs } from './process-logs.ts';
import { commandOf, environmentOf, processProfile } from './process-program.ts';
import type { ProgramSecrets } from './process-secrets.ts';
import { supervise, type Unit } from './process-unit.ts';

export interface ProcessEnv {
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
  readonly storeId: string;
  readonly users: RunRules;
  readonly programs: ProgramFiles;
  readonly records: PidRecords;
  readonly logs: ProgramLogs;
  readonly secrets: ProgramSecrets;
  readonly onChange: (deployment: string) => void;
  /** by deployment id, in the order in which they were started */
  readonly running: Map<string, Running>;
}

export interface Running {
  readonly generation: Generation;
  readonly units: readonly Unit[];
}

/** Which live processes of a deployment are meant; the component as `folderOf` has it. */
type Which = (token: Token, component: string) => boolean;

function exactly(generation: Digest, name: string): Which {
  return ({ hex }, component) => hex === hexOf(generation) && component === folderOf(name);
}

export function account(
  env: Pick<ProcessEnv, 'processes' | 'users'>,
  { id }: Generation,
  { name, user }: ProcessComponent,
): Result<Ownership | null> {
  return accountOf(env.processes, env.users, { deployment: id, component: name, user });
}

/**
 * Every program of `next` runs afterwards, adopted or started; nothing else of the deployment does.
 * @param previous  says how its programs want to be stopped
 */
export async function bringUp(
  env: ProcessEnv,
  next: Generation,
  previous: Generation | null,
): Promise<Result<void>> {
  const hex = hexOf(next.digest);
  const held = env.running.get(next.id);
  if (held && held.generation.digest !== next.digest) {
    const stopped = await stopUnits(env, next.id, held);
    if (!stopped.ok) return stopped;
  }
  const ended = await endAlive(env, next.id, previous, (token) => token.hex !== hex);
  if (!ended.ok) return ended;
  const running = env.running.get(next.id) ?? created(env, next);
  env.running.set(next.id, running);
  for (const unit of running.units) {
    const up = await raise(env, next, unit);
    if (!up.ok) return up;
  }
  return ok(undefined);
}

function created(env: ProcessEnv, generation: Generation): Running {
  const { id, digest } = generation;
  const { processes, clock, log, logs } = env;
  const units = processProfile(generation).components.map((component) => {
    const which = exactly(digest, component.name);
    return supervise(id, component, {
      processes,
      clock,
      log,
      launch: () => launch(env, generation, component),
      end: (left) => endThese(env, id, { which, left, stop: component.stop }),
      watchLog: () => logs.watch(id, component.name, component.logs),
      onChange: () => env.onChange(id),
    });
  });
  return { generation, units };
}

async function raise(env: ProcessEnv, next: Generation, unit: Unit): Promise<Result<void>> {
  const { state } = unit.condition();
  if (state === 'running' || state === 'waiting') return ok(undefined);
  const owner = account(env, next, unit.component);
  if (!owner.ok) return owner;
  const { name } = unit.component;
  const record = env.records.read(next.id, name);
  if (!record.ok) return record;
  const found = instancesOf(env.processes, env.storeId, next.id);
  if (!found.ok) return found;
  const token = tokenOf(env.storeId, next.id, next.digest);
  const uid = owner.value?.uid ?? env.processes.self.uid;
  const program = programAmong(
    env.processes,
    found.value,
    { token, component: name, uid },
    record.value,
  );
  const recorded = record.value?.token === token && record.value.identity?.pid === program?.pid;
  if (program && recorded) {
    unit.adopt(program);
    return ok(undefined);
  }
  // No record names the program: what else carries its token is a duplicate, a remainder, or was
  // asked to end before a cut and may be gone in a moment.
  const ended = await endThese(env, next.id, {
    which: exactly(next.digest, name),
    stop: unit.component.stop,
    spare: program?.pid ?? null,
  });
  if (!ended.ok) return ended;
  if (!program) return unit.start();
  unit.adopt(program);
  return env.records.write(next.id, name, { token, identity: program, ending: false });
}

async function launch(
  env: ProcessEnv,
  generation: Generation,
  component: ProcessComponent,
): Promise<Result<Child>> {
  const { id } = generation;
  const token = tokenOf(env.storeId, id, generation.digest);
  const owner = account(env, generation, component);
  if (!owner.ok) return owner;
  // Not running: nothing uses its slots.
  const options = { depth: 'stat', used: new Set<string>() } as const;
  const directory = await env.programs.ready(generation, component, options);
  if (!directory.ok) return directory;
  const other = owner.value !== null && owner.value.uid !== env.processes.self.uid;
  const passage = other ? env.programs.letOthersPass() : ok(undefined);
  if (!passage.ok) return passage;
  const output = env.logs.path(id, component.name);
  if (!output.ok) return output;
  const from = env.secrets.opened(generation);
  if (!from.ok) return from;
  const held = env.secrets.write(from.value, component, owner.value);
  if (!held.ok) return held;
  const noted = env.records.write(id, component.name, { token, identity: null, ending: false });
  if (!noted.ok) return noted;
  const child = await env.processes.spawn({
    command: commandOf(generation, component, directory.value),
    env: { ...environmentOf(from.value, component, token), ...held.value },
    directory: component.workingDirectory ?? directory.value,
    output: output.value,
    ...owner.value,
  });
  if (!child.ok) {
    env.records.remove(id, component.name);
    return child;
  }
  const { identity } = child.value;
  env.log.write('info', 'program.started', { deployment: id, component: component.name });
  const written = env.records.write(id, component.name, { token, identity, ending: false });
  // Without its record it would still be found by its token: not worth ending it for.
  if (!written.ok) env.log.write('warn', 'program.unrecorded', { code: written.fault.code });
  return child;
}

/** Ends all programs of the deployment, supervised or found. */
export async function bringDown(
  env: ProcessEnv,
  id: string,
  previous: Generation | null,
): Promise<Result<void>> {
  const held = env.running.get(id);
  const stopped = held ? await stopUnits(env, id, held) : ok(undefined);
  if (!stopped.ok) return stopped;
  const ended = await endAlive(env, id, previous, () => true);
  return ended.ok ? env.secrets.clear(id) : ended;
}

async function stopUnits(env: ProcessEnv, id: string, held: Running): Promise<Result<void>> {
  for (const unit of held.units.toReversed()) {
    const stopped = await unit.stop();
    if (!stopped.ok) return stopped;
    const removed = env.records.remove(id, unit.component.name);
    if (!removed.ok) return removed;
  }
  env.running.delete(id);
  return env.secrets.clear(id);
}

/** What no unit here supervises: of an earlier agent, of another generation. */
async function endAlive(
  env: ProcessEnv,
  id: string,
  previous: Generation | null,
  which: Which,
): Promise<Result<void>> {
  const components = previous ? processProfile(previous).components : [];
  for (const { name, stop } of components.toReversed()) {
    const mine: Which = (token, component) =>
      component === folderOf(name) && which(token, component);
    const ended = await endThese(env, id, { which: mine, stop });
    if (!ended.ok) return ended;
  }
  return endThese(env, id, { which, stop: PLAIN_STOP });
}

interface Ending {
  readonly which: Which;
  /** of a leader that has ended; the environments of others may be unreadable */
  readonly left?: Remainder | null;
  readonly stop: StopRule;
  /** this session stays */
  readonly spare?: number | null;
}

function endThese(env: ProcessEnv, id: string, ending: Ending): Promise<Result<void>> {
  const { which, left, stop, spare } = ending;
  const marked = markEnding(env, id, ending);
  if (!marked.ok) return Promise.resolve(marked);
  const find = (): Result<ReadonlySet<number>> => {
    const sessions = new Set<number>();
    const found = instancesOf(env.processes, env.storeId, id);
    if (!found.ok) return found;
    for (const each of found.value) {
      if (which(each.token, folderOf(each.component))) sessions.add(each.session);
    }
    const recorded = recordedSessions(env, id, which);
    if (!recorded.ok) return recorded;
    for (const each of recorded.value) sessions.add(each);
    if (left && stillThere(env.processes, left)) sessions.add(left.session);
    if (spare) sessions.delete(spare);
    return ok(sessions);
  };
  return endSessions(env, id, find, stop);
}

/** Before the signal: an agent that is cut while it waits leaves a program that still looks alive. */
function markEnding(env: ProcessEnv, id: string, { which, spare }: Ending): Result<void> {
  const records = env.records.list(id);
  if (!records.ok) return records;
  for (const { component, record } of records.value) {
    const token = readToken(record.token);
    if (!record.identity || record.ending || token?.store !== env.storeId) continue;
    if (!which(token, component) || record.identity.pid === spare) continue;
    if (!env.processes.alive(record.identity)) continue;
    const marked = env.records.markEnding(id, component, record);
    // It is ended all the same; after a cut it might be adopted, and then started again.
    if (!marked.ok) env.log.write('warn', 'program.unrecorded', { code: marked.fault.code });
  }
  return ok(undefined);
}

/** Leaders that records name and that are alive, whatever their environment shows. */
function recordedSessions(env: ProcessEnv, id: string, which: Which): Result<readonly number[]> {
  const records = env.records.list(id);
  if (!records.ok) return records;
  const sessions: number[] = [];
  for (const { component, record } of records.value) {
    const token = readToken(record.token);
    if (!record.identity || token?.store !== env.storeId) continue;
    if (which(token, component) && env.processes.alive(record.identity)) {
      sessions.push(record.identity.pid);
    }
  }
  return ok(sessions);
}

/** Slots that live programs of the deployment run from: not to be swept. */
export function usedSlots(env: ProcessEnv, id: string): Result<ReadonlySet<string>> {
  const found = instancesOf(env.processes, env.storeId, id);
  if (!found.ok) return found;
  const records = env.records.list(id);
  if (!records.ok) return records;
  const used = new Set<string>();
  const tokens: (Token | null)[] = found.value.map(({ token }) => token);
  for (const { record } of records.value) {
    if (record.identity && env.processes.alive(record.identity))
      tokens.push(readToken(record.token));
  }
  for (const token of tokens) if (token) for (const slot of slotsOf(token.hex)) used.add(slot);
  const held = env.running.get(id);
  for (const slot of held ? slotsOf(hexOf(held.generation.digest)) : []) used.add(slot);
  return ok(used);
}

/** What is left of the whole store: of deployments that this agent never came to supervise. */
export function endStore(env: ProcessEnv): Promise<Result<void>> {
  const find = (): Result<ReadonlySet<number>> => {
    const found = instancesOf(env.processes, env.storeId, null);
    return found.ok ? ok(new Set(found.value.map(({ session }) => session))) : found;
  };
  return endSessions(env, 'stop', find, PLAIN_STOP);
}
