/**
 * The compiled agent as it is measured: its configuration, its start, and what its log says of each
 * change. The log goes to a file in memory; every line carries CLOCK_MONOTONIC (level debug), which
 * all processes of a machine share.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHANNEL, type Desk, REPOSITORY, unixMs } from './desk.ts';
import { type Parts, type Servers, type Started, until } from './parts.ts';

/** One change, ms. */
export interface AgentChange {
  /** Unix ms: the nudge was read */
  readonly wokenMs: number;
  /** Unix ms: the commit returned */
  readonly endedMs: number;
  readonly fetchMs: number;
  readonly verifyMs: number;
  readonly planMs: number;
  readonly diskMs: number;
  readonly healthMs: number;
}

export interface Agent {
  readonly pid: number;
  /** what states may write below */
  readonly root: string;
  readonly folder: string;
  /** ms from the start of the program to ready */
  readonly readyMs: number;
  changes(): readonly AgentChange[];
  /** how often something was logged */
  logged(event: string): number;
  /** statuses that the broker has acknowledged */
  reported(): number;
  said(): string;
  stop(): Promise<void>;
}

export interface AgentOptions {
  /** its folder: a name used before is a restart */
  readonly name: string;
  readonly level?: 'debug' | 'info';
  readonly env?: Record<string, string>;
}

/** each start has a log of its own */
let starts = 0;

export async function startAgent(
  parts: Parts,
  executable: string,
  where: Servers & { readonly desk: Desk },
  { name, level = 'debug', env = {} }: AgentOptions,
): Promise<Agent> {
  const folder = join(parts.device, name);
  const root = join(folder, 'target');
  mkdirSync(root, { recursive: true });
  const config = join(folder, 'agent.yaml');
  writeFileSync(config, configOf(name, folder, where, level));
  const begun = unixMs();
  starts += 1;
  const log = `${name}-${starts}`;
  const started: Started = parts.start([executable, 'agent', '--config', config], log, env);
  await until(`${name} is ready`, () => {
    if (started.ended()) throw new Error(started.said());
    return started.said().includes('"mqtt.up"');
  });
  const line = linesOf(started.said()).find(({ event }) => event === 'agent.started');
  return {
    pid: started.pid,
    root,
    folder,
    readyMs: (line?.unix ?? Number.NaN) - begun,
    changes: () => changesIn(linesOf(started.said())),
    logged: (event) => linesOf(started.said()).filter((each) => each.event === event).length,
    reported: () => started.said().split('"report.delivered"').length - 1,
    said: () => started.said(),
    stop: () => started.stop(),
  };
}

function configOf(
  name: string,
  folder: string,
  { broker, registry, desk }: Servers & { readonly desk: Desk },
  level: string,
): string {
  return JSON.stringify({
    apiVersion: 'holdfast/v1',
    kind: 'Agent',
    device: { id: name },
    stateDir: join(folder, 'state'),
    runDir: join(folder, 'run'),
    trust: { root: join(desk.folder, 'root/1.root.json'), allowDemo: true },
    channels: [{ name: CHANNEL, allow: { roots: [join(folder, 'target')] } }],
    registries: [{ url: `http://127.0.0.1:${registry}/${REPOSITORY}` }],
    mqtt: { url: `mqtt://127.0.0.1:${broker}` },
    runtimes: { process: { allowRoot: true } },
    // Only nudges wake it, as often as they come: what one change costs is measured.
    schedule: { interval: '1h', jitter: 0 },
    nudges: { perMinute: 600 },
    log: { level, format: 'json' },
  });
}

interface Line {
  readonly time: string;
  readonly event: string;
  /** ms since the start of the process, with microseconds */
  readonly mono: number;
  readonly phase?: string;
  readonly startedAt?: number;
  readonly headMs?: number;
  readonly verifyMs?: number;
  readonly planMs?: number;
  readonly fetchMs?: number;
}

function linesOf(text: string): readonly Timed[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  const lines = whole.flatMap((line) => (line.startsWith('{') ? [lineOf(line)] : []));
  // `time` is cut to whole ms: the line that was cut least says where the process's clock began.
  const origin = Math.max(...lines.map(({ time, mono }) => Date.parse(time) - mono));
  return lines.map((line) => ({ ...line, unix: line.mono + origin, origin }));
}

/** Above level debug a line has its time alone, in whole ms. */
function lineOf(text: string): Line {
  const line = JSON.parse(text) as Omit<Line, 'mono'> & { readonly mono?: number };
  return { ...line, mono: line.mono ?? Date.parse(line.time) };
}

interface Timed extends Line {
  /** Unix ms */
  readonly unix: number;
  readonly origin: number;
}

/** A change is `change.made` and the phases behind it, up to `idle`. */
function changesIn(lines: readonly Timed[]): readonly AgentChange[] {
  const changes: AgentChange[] = [];
  let made: Timed | null = null;
  let proving: number | null = null;
  for (const line of lines) {
    if (line.event === 'change.made') [made, proving] = [line, null];
    if (line.event !== 'phase' || !made) continue;
    if (line.phase === 'proving') proving = line.mono;
    if (line.phase !== 'idle') continue;
    const { startedAt = 0, headMs = 0, verifyMs = 0, planMs = 0, fetchMs = 0, mono } = made;
    changes.push({
      wokenMs: startedAt + made.origin,
      endedMs: line.unix,
      fetchMs: headMs + fetchMs,
      verifyMs,
      planMs,
      diskMs: (proving ?? line.mono) - mono,
      healthMs: proving === null ? 0 : line.mono - proving,
    });
    made = null;
  }
  return changes;
}
