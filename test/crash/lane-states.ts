/**
 * The states that the kill -9 tests alternate: a file pair and a tree (`settings`), a small HTTP
 * program that depends on them (`server`), and a program that no state ever changes (`keeper`).
 * Every version's bytes follow from its name, so that a checker can make them again.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { filesSpec, type Plant } from '../support/plant.ts';

/** What one state asks for; two states differ in one or both. */
export interface LaneState {
  readonly settings: string;
  readonly server: string;
  /** bytes of the big file: a long download and a long hash */
  readonly bulk: number;
  /** why this state cannot be proven; it is refused, and the one before stays */
  readonly broken: 'nothing' | 'hangs' | 'ends' | 'missing';
}

export interface LanePlace {
  readonly channel: string;
  /** the directory that targets lie in */
  readonly line: string;
  readonly port: number;
  /** in the environment of every program of this lane, and of nothing else */
  readonly mark: string;
  /** where keeper writes one line at each of its starts */
  readonly starts: string;
}

/** ms that the program takes to end: what makes an activation long enough to be cut */
const STOP_MS = 150;

/** of a lane only a few are asked for at a time, each many times */
const KEPT_STATES = 16;
const kept = new Map<string, ReadonlyMap<string, Buffer>>();

/** Relative path below `line` → bytes. Nobody changes them. */
export function filesOf({ settings, bulk }: Pick<LaneState, 'settings' | 'bulk'>) {
  const key = `${settings} ${bulk}`;
  const files = kept.get(key) ?? made(settings, bulk);
  kept.delete(key);
  kept.set(key, files);
  for (const oldest of [...kept.keys()].slice(0, -KEPT_STATES)) kept.delete(oldest);
  return files;
}

function made(settings: string, bulk: number): ReadonlyMap<string, Buffer> {
  return new Map<string, Buffer>([
    ['a.conf', stretched(`a of ${settings}\n`, bulk)],
    ['b.conf', stretched(`b of ${settings}\n`, 3_000)],
    ['site/index.html', stretched(`index of ${settings}\n`, 9_000)],
    ['site/deep/data.bin', stretched(`data of ${settings}\n`, 40_000)],
    [`site/deep/only-in-${settings}`, Buffer.from(settings)],
  ]);
}

/** Bytes that do not compress, from a text. */
function stretched(text: string, size: number): Buffer {
  const parts = [Buffer.from(text)];
  let last = createHash('sha512').update(text).digest();
  for (let length = text.length; length < size; length += last.length) {
    parts.push(last);
    last = createHash('sha512').update(last).digest();
  }
  return Buffer.concat(parts).subarray(0, Math.max(size, text.length));
}

export function writeState(plant: Plant, place: LanePlace, state: LaneState): void {
  const { channel, line } = place;
  const before = join(plant.fleetFolder, 'channels', channel, 'settings');
  rmSync(before, { recursive: true, force: true });
  for (const [path, bytes] of filesOf(state)) plant.write(channel, `settings/${path}`, bytes);
  const targets = {
    a: { blob: 'settings/a.conf', target: `${line}/a.conf` },
    b: { blob: 'settings/b.conf', target: `${line}/b.conf`, mode: '0600' },
    site: { blob: 'settings/site', target: `${line}/site` },
  };
  plant.deploy(channel, 'settings', filesSpec(targets));
  plant.write(channel, 'server.js', SERVER);
  plant.deploy(channel, 'server', serverSpec(place, state));
  plant.write(channel, 'keeper.sh', KEEPER, 0o755);
  plant.deploy(channel, 'keeper', keeperSpec(place));
}

function serverSpec({ port, mark }: LanePlace, { server, broken }: LaneState): unknown {
  const env = {
    ...{ LANE_MARK: mark, LANE_ROLE: 'server', LANE_VERSION: server, LANE_PORT: String(port) },
    ...{ LANE_STOP_MS: String(STOP_MS), LANE_BROKEN: broken },
  };
  const program = broken === 'missing' ? '/nonexistent/program' : process.execPath;
  const properties = {
    blob: 'server.js',
    command: [program, 'server.js'],
    env,
    aliveFor: '250ms',
    restart: { backoff: '5s' },
    stop: { timeout: '5s' },
  };
  const patience = broken === 'hangs' ? '0s' : '20s';
  const answers = {
    name: 'answers',
    http: { url: `http://127.0.0.1:${port}/health` },
    ...{ startPeriod: patience, interval: '100ms', timeout: '250ms', retries: 3 },
  };
  return {
    dependsOn: ['settings'],
    deploymentProfile: { type: 'process', components: [{ name: 'main', properties }] },
    health: [answers],
  };
}

function keeperSpec({ mark, starts }: LanePlace): unknown {
  const env = { LANE_MARK: mark, LANE_ROLE: 'keeper', LANE_STARTS: starts };
  const properties = { blob: 'keeper.sh', env, aliveFor: '100ms' };
  return { deploymentProfile: { type: 'process', components: [{ name: 'main', properties }] } };
}

const KEEPER = `#!/bin/sh
echo "$$" >> "$LANE_STARTS"
exec sleep 1000000
`;

const SERVER = `
const { LANE_VERSION, LANE_PORT, LANE_STOP_MS, LANE_BROKEN } = process.env;
process.on('SIGTERM', () => setTimeout(() => process.exit(0), Number(LANE_STOP_MS)));
if (LANE_BROKEN === 'ends') process.exit(1);
const started = performance.timeOrigin;
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(LANE_PORT),
  fetch(request) {
    if (request.url.endsWith('/health') && LANE_BROKEN === 'hangs') return new Promise(() => {});
    return Response.json({ version: LANE_VERSION, pid: process.pid, started });
  },
});
`;
