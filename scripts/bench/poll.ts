/** A look that finds nothing new: what `holdfast apply` asks the running agent to do. */
import { join } from 'node:path';
import { askLines } from '#control/client.ts';
import { bunHttp } from '#platform/bun/http.ts';
import { countersOf, since } from './counters.ts';
import type { Agent } from './device.ts';
import { type Calls, traced } from './trace.ts';

export interface Poll {
  /** ms, the median */
  readonly wallMs: readonly number[];
  readonly cpuMs: number;
  readonly written: number;
  /** of one poll; null: no strace */
  readonly calls: Calls | null;
}

export async function measurePolls(agent: Agent, folder: string, count: number): Promise<Poll> {
  for (let warm = 0; warm < 5; warm += 1) await look(agent);
  const wallMs: number[] = [];
  const before = countersOf(agent.pid);
  for (let at = 0; at < count; at += 1) {
    const begun = performance.now();
    await look(agent);
    wallMs.push(performance.now() - begun);
  }
  const cost = since(before, countersOf(agent.pid));
  const calls = await traced(agent.pid, folder, () => look(agent));
  return { wallMs, cpuMs: cost.cpuMs / count, written: cost.written, calls };
}

async function look({ folder }: Agent): Promise<void> {
  const runDir = join(folder, 'run');
  let result = '';
  const done = await askLines(bunHttp(), runDir, 'apply', {
    body: {},
    onLine: (line) => {
      result = JSON.stringify(line);
    },
  });
  if (!done.ok || !result.includes('unchanged')) {
    throw new Error(`the poll ended with ${done.ok ? result : done.fault.message}`);
  }
}
