/**
 * One whole measurement: changes of a file beside the native paths, calls counted, polls, slow
 * changes, starts, and idling beside the bare runtime (docs/performance.md).
 */
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { startBare } from './bare.ts';
import { type ChangesResult, measureChanges } from './changes.ts';
import { filesDeployment, processDeployment, windowed } from './deployments.ts';
import { type Desk, makeDesk } from './desk.ts';
import { type Agent, startAgent } from './device.ts';
import { type Idle, measureIdle } from './idle.ts';
import { startNative } from './native.ts';
import { makeParts, type Parts, type Servers, startServers } from './parts.ts';
import { measurePolls, type Poll } from './poll.ts';
import { type Calls, traced } from './trace.ts';

export interface Plan {
  /** counted changes of a file without checks */
  readonly changes: number;
  readonly warm: number;
  /** changes of a program, and of a file with a window of 1 s */
  readonly slow: number;
  readonly polls: number;
  readonly starts: number;
  readonly warmSeconds: number;
  readonly idleSeconds: number;
}

export const FULL: Plan = {
  changes: 200,
  warm: 40,
  slow: 20,
  polls: 50,
  starts: 5,
  warmSeconds: 120,
  idleSeconds: 60,
};
export const QUICK: Plan = {
  changes: 30,
  warm: 20,
  slow: 3,
  polls: 10,
  starts: 2,
  warmSeconds: 5,
  idleSeconds: 10,
};
/** changes whose calls are counted */
export const TRACED = 6;

export interface BenchResult {
  readonly machine: string;
  readonly servers: string;
  readonly plan: Plan;
  readonly files: ChangesResult;
  /** of TRACED changes; null: no strace here */
  readonly calls: Calls | null;
  readonly process: ChangesResult;
  readonly window: ChangesResult;
  readonly poll: Poll;
  /** ms */
  readonly readyMs: readonly number[];
  readonly idle: { readonly agent: Idle; readonly bare: Idle };
}

export interface Programs {
  readonly executable: string;
  /** null: none can be built here */
  readonly native: string | null;
  readonly bare: string;
}

interface Bench {
  readonly parts: Parts;
  readonly servers: Servers;
  readonly programs: Programs;
  readonly desk: Desk;
  readonly plan: Plan;
}

export async function bench(
  programs: Programs,
  plan: Plan,
  say: (text: string) => void,
): Promise<BenchResult> {
  const parts = makeParts(process.env.HOLDFAST_BENCH_DIR ?? '/var/tmp');
  try {
    const servers = await startServers(parts, programs.executable);
    const desk = await makeDesk(programs.executable, join(parts.server, 'plant'), servers);
    const result = await measure({ parts, servers, programs, desk, plan }, say);
    await desk.close();
    return result;
  } finally {
    await parts.end();
  }
}

async function measure(it: Bench, say: (text: string) => void): Promise<BenchResult> {
  const { parts, servers, programs, desk, plan } = it;
  const where = { ...servers, desk };
  const agent = await startAgent(parts, programs.executable, where, { name: 'device' });
  const native = await startNative(parts, servers, programs.native, desk.key);
  if (!native) say('npm has no zig for this machine: nothing native beside it');
  say(`${plan.changes} changes of a file`);
  const edit = filesDeployment(desk, agent.root);
  const { changes: count, warm, slow } = plan;
  const files = await measureChanges({ desk, agent, native, edit, count, warm });
  const calls = await traced(agent.pid, parts.server, async () => {
    await measureChanges({ desk, agent, native: null, edit, count: TRACED, warm: 0 });
  });
  const poll = await measurePolls(agent, parts.server, plan.polls);
  say(`${slow} changes of a file with a window of 1 s, ${slow} of a program`);
  const some = { desk, agent, native: null, count: slow, warm: 1 };
  const window = await measureChanges({ ...some, edit: windowed(desk, edit) });
  const program = await measureChanges({ ...some, edit: processDeployment(desk) });
  // A supervised program has looks of its own: what idles is the agent with one file.
  await measureChanges({ ...some, edit: filesDeployment(desk, agent.root), count: 1, warm: 0 });
  await agent.stop();
  say(`${plan.starts} starts, then ${plan.warmSeconds} + ${plan.idleSeconds} s of nothing`);
  const { readyMs, last } = await measureStarts(it);
  const bare = await startBare(parts, servers, programs.bare);
  const { warmSeconds, idleSeconds: seconds } = plan;
  const [idle, bareIdle] = await measureIdle([last.pid, bare.pid], { warmSeconds, seconds });
  if (!idle || !bareIdle) throw new Error('unreachable');
  return {
    machine: machine(),
    servers: servers.named,
    plan,
    files,
    calls,
    process: program,
    window,
    poll,
    readyMs,
    idle: { agent: idle, bare: bareIdle },
  };
}

/** The device's own state is there: what a restart or a boot does. The last one goes on. */
async function measureStarts(it: Bench): Promise<{ readyMs: readonly number[]; last: Agent }> {
  const readyMs: number[] = [];
  for (let at = 0; ; at += 1) {
    const where = { ...it.servers, desk: it.desk };
    const agent = await startAgent(it.parts, it.programs.executable, where, {
      name: 'device',
      level: 'info',
    });
    readyMs.push(agent.readyMs);
    if (at === it.plan.starts) return { readyMs: readyMs.slice(1), last: agent };
    await agent.stop();
  }
}

function machine(): string {
  const [cpu] = cpus();
  const memory = (totalmem() / 1024 ** 3).toFixed(0);
  const load = (loadavg()[0] ?? 0).toFixed(1);
  return `${cpus().length} × ${cpu?.model ?? 'CPU'}, ${memory} GiB, load ${load} at the end`;
}
