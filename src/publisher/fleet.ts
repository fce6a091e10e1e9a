/**
 * A fleet folder (FORMATS: Fleet folder), opened: fleet.yaml, the chain of roots, and where the rest
 * lies. Nothing is written here.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import type { Audience } from '#state/desired-state.ts';
import { isDeviceId, isId } from '#state/names.ts';
import { channelOf, type Role, type Root, type RootChannel } from '#state/root.ts';
import { deviceOfChannel } from '#state/values.ts';
import type { Authority } from '#trust/authorship.ts';
import { instantText, type TimeView, viewTime } from '#trust/time.ts';
import { type ChannelConfig, type FleetConfig, readFleetConfig } from './fleet-config.ts';
import { type RootChain, readChain } from './root-folder.ts';

export interface Fleet {
  /** absolute */
  readonly directory: string;
  readonly config: FleetConfig;
  /** the newest of the chain */
  readonly root: Root;
  readonly chain: RootChain;
  readonly time: TimeView;
}

/** Whose word counts at this desk: the newest root's keys; and what has counted before. */
export interface FleetAuthority extends Authority {
  readonly chain: RootChain;
}

/** One channel, as fleet.yaml and the root have it together. */
export interface FleetChannel {
  readonly name: string;
  readonly config: ChannelConfig;
  readonly entry: RootChannel;
  readonly role: Role;
}

/** in fleet.yaml and the root: each channel `device.<id>` without an entry of its own */
export const EVERY_DEVICE = 'device.*';
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
  const chain = readChain(platform.files, directory);
  if (!chain.ok) return chain;
  const { root } = chain.value.at(-1) ?? chain.value[0];
  const time = viewTime({ floorMs: buildTimeMs, wallMs: platform.clock.wallMs() });
  return ok({ directory, config: config.value, root, chain: chain.value, time });
}

export function fleetChannel(fleet: Fleet, name: string): Result<FleetChannel> {
  const config = isId(name) ? channelConfig(fleet, name) : undefined;
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

/** An exact name wins; `device.*` is for every device, each statement of it for that device alone. */
function channelConfig({ config }: Fleet, name: string): ChannelConfig | undefined {
  const exact = config.channels.get(name);
  const device = deviceOfChannel(name);
  const pattern = config.channels.get(EVERY_DEVICE);
  if (exact || device === null || !isDeviceId(device) || !pattern) return exact;
  const audience: Audience = { kind: 'devices', ids: [device] };
  return pattern.audience.kind === 'everyone' ? { ...pattern, audience } : pattern;
}

/** By whose word a head of this channel counts, here. A demo fleet's own publisher knows it is one. */
export function authorityOf(fleet: Fleet, channel: string): FleetAuthority {
  const { root, chain, time } = fleet;
  return { root, chain, channel, time, clock: 'lenient', allowDemo: true };
}

/** The layers of every artifact: each root from version 2 on. */
export function rootLayers({ chain }: Pick<Fleet, 'chain'>): readonly Uint8Array[] {
  return chain.slice(1).map(({ bytes }) => bytes);
}

/** Check 14, for the publisher: what it signs under an ended root, no device would take. */
export function judgeInForce({ root, time }: Fleet): Result<undefined> {
  const { version, notAfter } = root;
  if (notAfter === 0 || notAfter >= time.estimateMs) return ok();
  const [ended, now] = [instantText(notAfter), instantText(time.estimateMs)];
  return refuse('publish.root-expired', { version, notAfter: ended, now });
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
