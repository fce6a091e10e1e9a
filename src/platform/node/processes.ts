/**
 * Programs by node:child_process. Each leads a session of its own, so that everything it starts is
 * found and ended with it, unless that leaves the session by itself. Measured under Bun 1.4.5: the
 * exec has succeeded when `spawn` returns a pid; with a uid the supplementary groups are dropped; the
 * environment is exactly the one given; ignored signals are not inherited.
 */
import { type ChildProcess, spawn as spawnChild } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import type { Readable } from 'node:stream';
import { assert, ok, type Refused, type Result, refuse, refused } from '#errors/fault.ts';
import type {
  Child,
  Instance,
  OwnProcess,
  Processes,
  ProcessIdentity,
  Program,
  RunEnd,
} from '#platform/processes.ts';
import { bequeathsGrave, canBecomeOthers, canFindOthers, ownCapabilities } from './capabilities.ts';
import { attempt, errnoFault, errnoOf } from './errno.ts';
import { isLive, pids, readEnvironment, readStat, readUid, sessionMembers } from './proc.ts';
import { findUser } from './users.ts';

/** bytes of output that `run` keeps: the last ones */
const OUTPUT_MAX = 16 * 1024;
/** ms for the last output of a program that has ended; a grandchild may hold the pipe for ever */
const DRAIN_MS = 100;
/** ms after SIGKILL: a process in an uninterruptible call does not die before that returns */
const KILL_MS = 5_000;
/** rounds of SIGKILL: a member may fork between the list and the signal */
const ROUNDS_MAX = 16;
const INSTANCE = 'HOLDFAST_INSTANCE';
const COMPONENT = 'HOLDFAST_COMPONENT';

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
/** stdout and stderr of programs: for the agent and its group */
const OUTPUT_MODE = 0o640;

export function systemProcesses(): Processes {
  let boot: string | null = null;
  const bootId = (): string => {
    boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return boot;
  };
  return {
    spawn: (program) => spawn(program, bootId()),
    run,
    instances: () => attempt('list', '/proc', () => instances(bootId())),
    alive({ pid, startTicks, bootId: ofBoot }) {
      const stat = ofBoot === bootId() ? readStat(pid) : null;
      return stat !== null && stat.startTicks === startTicks && isLive(stat);
    },
    signalSession,
    session: (session) => sessionMembers(session).map(({ pid }) => pid),
    bootId,
    user: (user, group) => findUser(user, group),
    self: ownProcess(),
  };
}

function ownProcess(): OwnProcess {
  const uid = process.geteuid?.() ?? -1;
  const capabilities = ownCapabilities();
  return {
    pid: process.pid,
    uid,
    isInit: process.pid === 1,
    becomesOthers: canBecomeOthers(uid, capabilities),
    findsOthers: canFindOthers(capabilities),
    bequeathsCapabilities: bequeathsGrave(uid, capabilities),
  };
}

async function spawn(program: Program, bootId: string): Promise<Result<Child>> {
  const output = openOutput(program.output);
  if (!output.ok) return output;
  const started = start(program, ['ignore', output.value, output.value]);
  closeSync(output.value);
  if (!started.ok) return started;
  const child = started.value;
  // Read before the event loop runs: even a program that ended at once is still a zombie here.
  const identity = identityOf(child, bootId);
  const exited = endOf(child).then(
    ({ code, signal }): RunEnd => ({ code, signal, timedOut: false, output: '' }),
  );
  const failed = await failureOf(child);
  if (failed !== null) return notStarted(program, failed);
  if (identity === null) return notStarted(program, new Error('it was gone at once'));
  // A supervised program does not keep the agent's process from ending.
  child.unref();
  return ok({ identity, exited });
}

async function run(program: Omit<Program, 'output'>, timeoutMs: number): Promise<Result<RunEnd>> {
  const started = start(program, ['ignore', 'pipe', 'pipe']);
  if (!started.ok) return started;
  const child = started.value;
  const tail = tailOf([child.stdout, child.stderr]);
  const ended = endOf(child);
  const failed = await failureOf(child);
  if (failed !== null) {
    tail.close();
    return notStarted(program, failed);
  }
  const first = await within(ended, timeoutMs);
  const session = child.pid ?? 0;
  const killed = signalSession(session, 'SIGKILL');
  const end = first ?? (await within(ended, KILL_MS));
  // Not until EOF: what holds the pipe may have left the session (attack row L18).
  await within(tail.drained, DRAIN_MS);
  const output = tail.close();
  if (first === null && !killed.ok) return killed;
  const { code = null, signal = null } = end ?? {};
  return ok({ code, signal, timedOut: first === null, output });
}

function openOutput(path: string): Result<number> {
  return attempt('open', path, () =>
    openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, OUTPUT_MODE),
  );
}

function start(
  program: Omit<Program, 'output'>,
  stdio: ['ignore', number | 'pipe', number | 'pipe'],
): Result<ChildProcess> {
  const [file, ...args] = program.command;
  assert(file !== undefined && isAbsolute(file), 'a program is started by an absolute path');
  const { uid, gid } = program;
  try {
    return ok(
      spawnChild(file, args, {
        cwd: program.directory,
        env: { ...program.env },
        stdio,
        detached: true,
        ...(uid === undefined || uid === process.geteuid?.() ? {} : { uid }),
        ...(gid === undefined || gid === process.getegid?.() ? {} : { gid }),
      }),
    );
  } catch (error) {
    return notStarted(program, error);
  }
}

/** Null once exec has succeeded. */
function failureOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => {
    child.once('spawn', () => resolve(null));
    child.once('error', resolve);
  });
}

function endOf(
  child: ChildProcess,
): Promise<{ readonly code: number | null; readonly signal: string | null }> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

function identityOf(child: ChildProcess, bootId: string): ProcessIdentity | null {
  const stat = child.pid === undefined ? null : readStat(child.pid);
  return stat === null ? null : { pid: stat.pid, startTicks: stat.startTicks, bootId };
}

function notStarted(program: Omit<Program, 'output'>, error: unknown): Refused {
  const [file = ''] = program.command;
  const errno = errnoOf(error);
  if (errno === 'EAGAIN' || errno === 'EMFILE' || errno === 'ENFILE' || errno === 'ENOMEM') {
    // The machine's state, not the program's fault.
    return refused(errnoFault(error, 'start', file));
  }
  return refuse('platform.exec', { program: file, reason: reasonOf(errno, program) });
}

function reasonOf(errno: string, { command, directory, uid }: Omit<Program, 'output'>): string {
  // The same errno for both: tell which of them it is.
  if (kindOf(directory) !== 'directory') return `its directory ${directory} is not there`;
  const kind = kindOf(command[0] ?? '');
  if (kind === null && errno === 'ENOENT') return 'there is no such file';
  if (kind === 'directory') return 'it is a directory';
  if (errno === 'ENOENT') return 'the interpreter or loader that it names is missing';
  if (errno === 'EACCES') return 'it is not executable for its user, or its file system is noexec';
  if (errno === 'EPERM') return `holdfast may not become uid ${uid ?? 'of the program'}`;
  if (errno === 'ENOEXEC') return 'it is no program for this machine';
  if (errno === 'E2BIG') return 'its arguments and environment are too long';
  return errno;
}

function kindOf(path: string): 'directory' | 'other' | null {
  try {
    return statSync(path).isDirectory() ? 'directory' : 'other';
  } catch {
    return null;
  }
}

/** Collects the end of the output; never holds more than twice OUTPUT_MAX. */
function tailOf(streams: readonly (Readable | null)[]): {
  readonly drained: Promise<unknown>;
  close(): string;
} {
  let kept = Buffer.alloc(0);
  const open = streams.filter((stream) => stream !== null);
  for (const stream of open) {
    stream.on('error', () => stream.destroy());
    stream.on('data', (chunk: Buffer) => {
      kept = Buffer.concat([kept, chunk]).subarray(-OUTPUT_MAX);
    });
  }
  const ends = open.map((stream) => new Promise((resolve) => stream.once('close', resolve)));
  return {
    drained: Promise.all(ends),
    close() {
      for (const stream of open) stream.destroy();
      return kept.toString('utf8');
    },
  };
}

/** Null after `ms`. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function signalSession(session: number, signal: string): Result<void> {
  // 0 and 1 would reach the agent's own group and every process of a container.
  assert(session > 1, `session ${session} is no program's`);
  assert(session !== readStat(process.pid)?.session, 'the session is the agent’s own');
  const rounds = signal === 'SIGKILL' ? ROUNDS_MAX : 1;
  for (let round = 0; round < rounds; round++) {
    const members = sessionMembers(session);
    if (members.length === 0) return ok();
    for (const { pid } of members) {
      try {
        process.kill(pid, signal as NodeJS.Signals);
      } catch (error) {
        if (errnoOf(error) !== 'ESRCH') {
          return refused(errnoFault(error, signal, `process ${pid}`));
        }
      }
    }
  }
  return ok();
}

function instances(bootId: string): readonly Instance[] {
  const found: Instance[] = [];
  for (const pid of pids()) {
    if (pid === process.pid) continue;
    const stat = readStat(pid);
    if (stat === null || !isLive(stat)) continue;
    const variables = readEnvironment(pid, [INSTANCE, COMPONENT]);
    const instance = variables?.get(INSTANCE);
    if (instance === undefined) continue;
    const uid = readUid(pid);
    // The environment was that of the process that the start time names, not of a successor.
    if (uid === null || readStat(pid)?.startTicks !== stat.startTicks) continue;
    found.push({
      identity: { pid, startTicks: stat.startTicks, bootId },
      session: stat.session,
      uid,
      instance,
      component: variables?.get(COMPONENT) ?? '',
    });
  }
  return found;
}
