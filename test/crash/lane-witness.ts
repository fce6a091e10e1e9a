/**
 * What is really on the device, told without any code of the agent: the targets' bytes, the process
 * table, the program's own answer. It knows what a state looks like from the same texts that the
 * publisher was given (lane-states.ts).
 */
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PATIENCE } from '../support/eventually.ts';
import { filesOf, type LanePlace, type LaneState } from './lane-states.ts';

export interface Program {
  readonly pid: number;
  readonly role: string;
  readonly version: string;
}

/** Programs of this lane, by a mark of the test's own in their environment; zombies left out. */
export function programsOf({ mark }: LanePlace): readonly Program[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const entries = textOf(`/proc/${name}/environ`).split('\0');
      if (!entries.includes(`LANE_MARK=${mark}`)) return [];
      // Gone since its environment was read, or only waiting for its parent.
      if (!/^State:\s+[^ZX]/m.test(textOf(`/proc/${name}/status`))) return [];
      const value = (key: string) =>
        entries.find((entry) => entry.startsWith(`${key}=`))?.slice(key.length + 1) ?? '';
      return [{ pid: Number(name), role: value('LANE_ROLE'), version: value('LANE_VERSION') }];
    });
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // the process ended meanwhile
  }
}

/** What differs from `state` on the disk; empty: everything is exactly as it asks. */
export function fileFaults({ line }: LanePlace, state: LaneState | null): readonly string[] {
  const faults: string[] = [];
  const visible = listed(line);
  if (state === null) return visible.map((path) => `${path} is there and no state wants it`);
  const wanted = filesOf(state);
  for (const [path, bytes] of wanted) {
    const found = bytesOf(join(line, path));
    if (found === null) faults.push(`${path} is missing`);
    else if (!found.equals(bytes)) faults.push(`${path} has other bytes: ${firstLine(found)}`);
  }
  for (const path of visible) if (!wanted.has(path)) faults.push(`${path} is too much`);
  const mode = statSync(join(line, 'b.conf'), { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o7777) !== 0o600) faults.push(`b.conf has mode ${(mode & 0o7777).toString(8)}`);
  return faults;
}

/** In the middle of a change: every file is whole, of one of these states, or not there yet. */
export function tornFiles({ line }: LanePlace, states: readonly (LaneState | null)[]) {
  const wanted = states.map((state) => (state ? filesOf(state) : new Map<string, Buffer>()));
  return listed(line).filter((path) => {
    const found = bytesOf(join(line, path));
    return !wanted.some((files) => found !== null && files.get(path)?.equals(found));
  });
}

/** Files that a consumer sees, hidden ones left out; links to directories are followed. */
function listed(folder: string): readonly string[] {
  const found: string[] = [];
  const visit = (path: string) => {
    let names: string[] = [];
    try {
      names = readdirSync(join(folder, path)).filter((name) => !name.startsWith('.'));
    } catch {
      return;
    }
    for (const name of names.sort()) {
      const below = path === '' ? name : `${path}/${name}`;
      const full = join(folder, below);
      const directory = statSync(full, { throwIfNoEntry: false })?.isDirectory();
      if (directory) visit(below);
      else found.push(below);
    }
  };
  visit('');
  return found;
}

function bytesOf(path: string): Buffer | null {
  try {
    return lstatSync(path).isFile() ? readFileSync(path) : null;
  } catch {
    return null;
  }
}

function firstLine(bytes: Buffer): string {
  return bytes.subarray(0, 40).toString('latin1').split('\n', 1)[0] ?? '';
}

export interface Answer {
  readonly version: string;
  readonly pid: number;
  readonly started: number;
}

export async function answerOf({ port }: LanePlace): Promise<Answer | null> {
  try {
    const signal = AbortSignal.timeout(2_000 * PATIENCE);
    const answer = await fetch(`http://127.0.0.1:${port}/`, { signal });
    return (await answer.json()) as Answer;
  } catch {
    return null;
  }
}

/** Which programs run, by the process table alone: one that was just started answers a bit later. */
export function versionFaults(place: LanePlace, state: LaneState | null): readonly string[] {
  const found = programsOf(place).map(({ role, version }) => `${role} ${version}`);
  const wanted = state === null ? [] : ['keeper ', `server ${state.server}`];
  const same = found.sort().join() === wanted.join();
  return same ? [] : [`${found.join()} instead of ${wanted.join()}`];
}

/** What differs from `state` among the programs; empty: each once, none besides, the right answer. */
export async function programFaults(place: LanePlace, state: LaneState | null) {
  const programs = programsOf(place);
  if (state === null) return programs.map(({ role, pid }) => `${role} ${pid} should not run`);
  const faults: string[] = [];
  const servers = programs.filter(({ role }) => role === 'server');
  const keepers = programs.filter(({ role }) => role === 'keeper');
  const answer = await answerOf(place);
  if (servers.length !== 1) faults.push(`${servers.length} servers: ${JSON.stringify(servers)}`);
  if (keepers.length !== 1) faults.push(`${keepers.length} keepers: ${JSON.stringify(keepers)}`);
  if (answer?.version !== state.server) {
    faults.push(`the server answers ${JSON.stringify(answer)} instead of ${state.server}`);
  }
  if (answer && answer.pid !== servers[0]?.pid) faults.push('an unknown process answers');
  const starts = textOf(place.starts).split('\n').filter(Boolean);
  if (starts.length !== 1) faults.push(`keeper was started ${starts.length} times`);
  return faults;
}
