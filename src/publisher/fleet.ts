/**
 * A fleet folder (FORMATS: Fleet folder), opened: fleet.yaml, the root document in force, and where
 * the rest lies. Nothing is written here.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { LIMITS } from '#state/limits.ts';
import { channelOf, type Role, type Root, type RootChannel } from '#state/root.ts';
import type { Authority } from '#trust/authorship.ts';
import { openRoot } from '#trust/root-chain.ts';
import { type TimeView, viewTime } from '#trust/time.ts';
import { type ChannelConfig, type FleetConfig, readFleetConfig } from './fleet-config.ts';

export interface Fleet {
  /** absolute */
  readonly directory: string;
  readonly config: FleetConfig;
  readonly root: Root;
  readonly time: TimeView;
}

/** One channel, as fleet.yaml and the root have it together. */
export interface FleetChannel {
  readonly name: string;
  readonly config: ChannelConfig;
  readonly entry: RootChannel;
  readonly role: Role;
}

const CONFIG_BYTES = 1024 * 1024;

/** @param buildTimeMs  the floor of a workstation's clock (check 0) */
export function openFleet(
  platform: Pick<Platform, 'files' | 'clock'>,
  directory: string,
  buildTimeMs: number,
): Result<Fleet> {
  const bytes = readOrMissing(platform.files, directory, 'fleet.yaml', CONFIG_BYTES);
  if (!bytes.ok) return bytes;
  const config = readFleetConfig(bytes.value, directory);
  if (!config.ok) return config;
  const root = openNewestRoot(platform.files, directory);
  if (!root.ok) return root;
  const time = viewTime({ floorMs: buildTimeMs, wallMs: platform.clock.wallMs() });
  return ok({ directory, config: config.value, root: root.value, time });
}

export function fleetChannel(fleet: Fleet, name: string): Result<FleetChannel> {
  const config = fleet.config.channels.get(name);
  if (!config) {
    const known = [...fleet.config.channels.keys()].join(', ');
    return refuse('publish.channel-unknown', { channel: name, known });
  }
  const entry = channelOf(fleet.root, name);
  if (!entry) return refuse('trust.channel-unsigned', { channel: name });
  const role = fleet.root.roles.find((known) => known.name === entry.role);
  if (!role) return refuse('trust.threshold-missing', { role: entry.role });
  return ok({ name, config, entry, role });
}

/** By whose word a head of this channel counts, here. A demo fleet's own publisher knows it is one. */
export function authorityOf(fleet: Fleet, channel: string): Authority {
  return { root: fleet.root, channel, time: fleet.time, clock: 'lenient', allowDemo: true };
}

/** root/N.root.json, the highest N; this version follows version 1 only. */
function openNewestRoot(files: Files, directory: string): Result<Root> {
  const folder = files.open(`${directory}/root`, { follow: true });
  if (!folder.ok) return missing(directory, 'root/1.root.json');
  try {
    const names = folder.value.list();
    if (!names.ok) return names;
    const versions = names.value.flatMap((name) => /^(\d{1,9})\.root\.json$/.exec(name)?.[1] ?? []);
    const newest = versions.map(Number).sort((a, b) => b - a)[0];
    if (newest === undefined) return missing(directory, 'root/1.root.json');
    const bytes = folder.value.read(`${newest}.root.json`, LIMITS.rootBytes);
    return bytes.ok ? openRoot(bytes.value) : bytes;
  } finally {
    folder.value.close();
  }
}

function readOrMissing(
  files: Files,
  directory: string,
  name: string,
  cap: number,
): Result<Uint8Array> {
  const bytes = files.readFile(`${directory}/${name}`, cap);
  if (bytes.ok || bytes.fault.code !== 'platform.missing') return bytes;
  return missing(directory, name);
}

function missing(directory: string, what: string): Result<never> {
  return refuse('publish.not-a-fleet', { directory, missing: what });
}
