/**
 * The process table of a device. Programs are files whose first line is `#!sim` and a JSON object
 * that says how they behave (`Behaviour`); anything else cannot be executed. They outlive the agent
 * that started them; a power cut ends them all and gives the boot another id.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Child, OwnProcess, Processes, Program, RunEnd } from '#platform/processes.ts';
import type { Life } from './crash.ts';
import { change, type Disk } from './disk.ts';
import { sync } from './inode.ts';
import type { Timeline } from './timeline.ts';

export interface Behaviour {
  /** what the model knows it by */
  readonly version: string;
  /** ends by itself after so many ms */
  readonly exitsAfterMs?: number;
  readonly code?: number;
  readonly ignoresTerm?: boolean;
  /** starts a helper in a session of its own */
  readonly forks?: boolean;
  /** of a check: what it says after 20 ms, or nothing ever */
  readonly says?: 'healthy' | 'ill' | 'nothing';
}

export interface SimProcess {
  readonly pid: number;
  readonly session: number;
  readonly startTicks: bigint;
  readonly uid: number;
  readonly env: Readonly<Record<string, string>>;
  readonly behaviour: Behaviour;
  /** of the agent itself */
  readonly agent: boolean;
  end(code: number | null, signal: string | null): void;
}

export interface ProcessTable {
  readonly living: ReadonlyMap<number, SimProcess>;
  readonly bootId: string;
  /** every program that was started, in order: version and component */
  readonly started: string[];
  /** A new agent; its pid is the life's. */
  agent(): Life;
  endAgent(life: Life): void;
  powerCut(): void;
  platform(life: Life): Processes;
  copy(): ProcessesCopy;
}

/** What runs at a moment, the agent aside. */
export interface ProcessesCopy {
  readonly pids: number;
  readonly boots: number;
  readonly living: readonly Lasting[];
}

interface Lasting extends Omit<SimProcess, 'end' | 'agent'> {
  /** ms of the run at which it ends by itself; null: never */
  readonly endsAt: number | null;
}

const TERM_MS = 5;
const CHECK_MS = 20;
const TICK_MS = 10;

/** @param from  what runs already */
export function processTable(
  disk: Disk,
  time: Timeline,
  bootMs: () => number,
  from?: ProcessesCopy,
): ProcessTable {
  const living = new Map<number, SimProcess>();
  const ends = new Map<number, number>();
  let pids = from?.pids ?? 100;
  let boots = from?.boots ?? 1;
  const started: string[] = [];

  function add(
    from: Pick<SimProcess, 'env' | 'behaviour' | 'agent' | 'uid'>,
    onEnd: (end: RunEnd) => void,
  ): SimProcess {
    pids += 1;
    const { exitsAfterMs } = from.behaviour;
    const endsAt = exitsAfterMs === undefined ? null : time.now + exitsAfterMs;
    const startTicks = BigInt(Math.trunc(bootMs() / TICK_MS));
    return live({ ...from, pid: pids, session: pids, startTicks, endsAt }, onEnd);
  }

  function live(
    { endsAt, ...of }: Lasting & { readonly agent: boolean },
    onEnd: (end: RunEnd) => void,
  ): SimProcess {
    const { pid } = of;
    let cancel = () => {};
    const process: SimProcess = {
      ...of,
      end(code, signal) {
        if (!living.delete(pid)) return;
        ends.delete(pid);
        cancel();
        onEnd({ code, signal, timedOut: false, output: '' });
      },
    };
    living.set(pid, process);
    if (endsAt !== null) {
      const { code = 1 } = of.behaviour;
      ends.set(pid, endsAt);
      cancel = time.after(endsAt - time.now, () => process.end(code, null));
    }
    return process;
  }
  for (const each of from?.living ?? []) live({ ...each, agent: false }, () => {});

  const table: ProcessTable = {
    living,
    started,
    get bootId() {
      return `b007-${boots}`; // hex, as the kernel has it
    },
    agent() {
      const idle = { env: {}, behaviour: { version: 'agent' }, agent: true, uid: 0 };
      return { pid: add(idle, () => {}).pid, dead: false };
    },
    endAgent(life) {
      life.dead = true;
      living.get(life.pid)?.end(null, 'SIGKILL');
    },
    powerCut() {
      for (const process of [...living.values()]) process.end(null, 'SIGKILL');
      boots += 1;
    },
    platform: (life) => platformOf({ disk, time, living, ends, started, add, life, table }),
    copy: () => ({
      ...{ pids, boots },
      living: [...living.values()]
        .filter(({ agent }) => !agent)
        .map(({ pid, session, startTicks, uid, env, behaviour }) => {
          const endsAt = ends.get(pid) ?? null;
          return { pid, session, startTicks, uid, env, behaviour, endsAt };
        }),
    }),
  };
  return table;
}

interface Parts {
  readonly disk: Disk;
  readonly time: Timeline;
  readonly living: Map<number, SimProcess>;
  /** ms of the run at which one ends that is about to */
  readonly ends: Map<number, number>;
  readonly started: string[];
  readonly add: (
    from: Pick<SimProcess, 'env' | 'behaviour' | 'agent' | 'uid'>,
    onEnd: (end: RunEnd) => void,
  ) => SimProcess;
  readonly life: Life;
  readonly table: ProcessTable;
}

function platformOf(parts: Parts): Processes {
  const { disk, living, life, table } = parts;
  const alive = (): void => disk.steps.alive();
  return {
    spawn: (program) => spawn(parts, program),
    run: (program, timeoutMs) => run(parts, program, timeoutMs),
    instances() {
      alive();
      return ok(
        [...living.values()].flatMap((process) => {
          const { HOLDFAST_INSTANCE: instance, HOLDFAST_COMPONENT: component = '' } = process.env;
          if (instance === undefined) return [];
          const { pid, startTicks, session, uid } = process;
          const identity = { pid, startTicks, bootId: table.bootId };
          return [{ identity, session, uid, instance, component }];
        }),
      );
    },
    alive({ pid, startTicks, bootId }) {
      alive();
      return bootId === table.bootId && living.get(pid)?.startTicks === startTicks;
    },
    signalSession(session, signal) {
      disk.steps.mark(`signal ${signal}`, String(session));
      for (const process of [...living.values()]) {
        if (process.session === session) send(parts, process, signal);
      }
      return ok();
    },
    session(session) {
      alive();
      return [...living.values()].filter((of) => of.session === session).map(({ pid }) => pid);
    },
    bootId: () => table.bootId,
    user: () => ok({ uid: 0, gid: 0 }),
    self: selfOf(life),
  };
}

function selfOf({ pid }: Life): OwnProcess {
  return {
    pid,
    uid: 0,
    isInit: false,
    becomesOthers: true,
    findsOthers: true,
    bequeathsCapabilities: false,
  };
}

function send({ time, ends }: Parts, process: SimProcess, signal: string): void {
  if (signal === 'SIGKILL') process.end(null, signal);
  if (signal === 'SIGKILL' || process.behaviour.ignoresTerm) return;
  const { pid } = process;
  ends.set(pid, Math.min(ends.get(pid) ?? Number.POSITIVE_INFINITY, time.now + TERM_MS));
  time.after(TERM_MS, () => process.end(null, signal));
}

async function spawn(parts: Parts, program: Program): Promise<Result<Child>> {
  const { disk, life, started, add, table } = parts;
  const ready = executable(disk, program);
  if (!ready.ok) return ready;
  const output = openOutput(disk, program.output);
  if (!output.ok) return output;
  disk.steps.mark('spawn', program.command.join(' '));
  const behaviour = ready.value;
  const { promise: exited, resolve } = Promise.withResolvers<RunEnd>();
  const process = add(
    { env: program.env, behaviour, agent: false, uid: program.uid ?? 0 },
    (end) => {
      if (!life.dead) resolve(end);
    },
  );
  started.push(behaviour.version);
  if (behaviour.forks) {
    const helper = { version: `${behaviour.version} helper` };
    add({ env: program.env, behaviour: helper, agent: false, uid: process.uid }, () => {});
  }
  const { pid, startTicks } = process;
  return ok({ identity: { pid, startTicks, bootId: table.bootId }, exited });
}

async function run(
  parts: Parts,
  program: Omit<Program, 'output'>,
  timeoutMs: number,
): Promise<Result<RunEnd>> {
  const { disk, time, life } = parts;
  const ready = executable(disk, program);
  if (!ready.ok) return ready;
  disk.steps.mark('run', program.command.join(' '));
  const { says = 'healthy' } = ready.value;
  const { promise, resolve } = Promise.withResolvers<Result<RunEnd>>();
  const late = says === 'nothing' || timeoutMs < CHECK_MS;
  time.after(late ? timeoutMs : CHECK_MS, () => {
    if (life.dead) return;
    const code = late ? null : says === 'healthy' ? 0 : 1;
    resolve(ok({ code, signal: late ? 'SIGKILL' : null, timedOut: late, output: '' }));
  });
  return promise;
}

const decoder = new TextDecoder();

function executable(disk: Disk, { command }: Omit<Program, 'output'>): Result<Behaviour> {
  const [file = ''] = command;
  disk.steps.alive();
  const inode = disk.find(file);
  const no = (reason: string) => refuse('platform.exec', { program: file, reason });
  if (inode?.kind !== 'file') return no('there is no such file');
  if ((inode.mode & 0o111) === 0) return no('it is not executable for its user');
  const [line = ''] = decoder.decode(inode.data).split('\n', 1);
  if (!line.startsWith('#!sim ')) return no('it is no program for this machine');
  return ok(JSON.parse(line.slice(6)) as Behaviour);
}

function openOutput(disk: Disk, path: string): Result<undefined> {
  const slash = path.lastIndexOf('/');
  const directory = disk.find(path.slice(0, slash));
  const name = path.slice(slash + 1);
  if (directory?.kind !== 'directory') {
    return refuse('platform.missing', { operation: 'open', path });
  }
  if (directory.entries.has(name)) return ok();
  return change(disk, 'create', path, () => {
    const file = disk.nodes.make('file', { mode: 0o640, device: directory.device });
    disk.nodes.rename([{ directory, name, to: file }]);
    return ok();
  });
}

/** A file of the device itself, such as a check. */
export function programText(behaviour: Behaviour): string {
  return `#!sim ${JSON.stringify(behaviour)}\n`;
}

export function plantPrograms(disk: Disk): void {
  for (const says of ['healthy', 'ill', 'nothing'] as const) {
    disk.plant(`/usr/bin/${says}`, programText({ version: `check ${says}`, says }), 0o755);
  }
  sync(disk.root);
}
