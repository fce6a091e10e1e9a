/**
 * fleet.yaml: the name of the fleet, where states are published, who signs which channel. Unknown
 * keys are refused. Which keys a channel really has is said by the root document, not here.
 */
import * as v from 'valibot';
import { ok, type Result } from '#errors/fault.ts';
import { isRepository, type RegistryConfig, type TlsFiles } from '#link/endpoint.ts';
import type { BrokerConfig } from '#link/mqtt-broker.ts';
import type { Audience } from '#state/desired-state.ts';
import { LIMITS } from '#state/limits.ts';
import { isDeviceId, isId } from '#state/names.ts';
import type { Window } from '#state/policy.ts';
import { duration, readYaml } from '#wire/yaml.ts';
import { maintenanceWindows } from './maintenance-windows.ts';
import { inFolder } from './place.ts';

export interface FleetConfig {
  readonly name: string;
  readonly registry: RegistryConfig | null;
  readonly mqtt: (BrokerConfig & { readonly topicRoot: string | null }) | null;
  readonly channels: ReadonlyMap<string, ChannelConfig>;
}

export interface ChannelConfig {
  /** names of keys in keys/signing/ */
  readonly signers: readonly string[];
  readonly audience: Audience;
  readonly urgent: boolean;
  readonly healthWindowMs: number;
  readonly attemptsMax: number;
  /** ms from signing to `not_after`; 0: no end */
  readonly validForMs: number;
  /** ms that a state may be old where a device's time is not attested; 0: no limit */
  readonly unattestedMaxMs: number;
  readonly minAgentVersion: string;
  readonly spreadMs: number;
  readonly windows: readonly Window[];
  readonly commit: 'healthy' | 'reachable';
  readonly atomicity: 'state' | 'deployment';
  /** repository below which each device has its state in the OCI form of Margo; null: none has */
  readonly margoOci?: string | null;
}

/** characters; a device's name follows */
const MARGO_OCI_MAX = 120;
const path = v.pipe(v.string(), v.nonEmpty('a path'));
const auth = v.union(
  [
    v.strictObject({ usernameFile: path, passwordFile: path }),
    v.strictObject({ tokenFile: path }),
    v.strictObject({ username: v.string(), password: v.string() }),
  ],
  'auth with usernameFile and passwordFile, or with tokenFile',
);
const brokerAuth = v.union(
  [
    v.strictObject({ usernameFile: path, passwordFile: path }),
    v.strictObject({ username: v.string(), password: v.string() }),
  ],
  'auth with usernameFile and passwordFile',
);
const accountFiles = v.strictObject({ usernameFile: path, passwordFile: path });
const tls = v.pipe(
  v.strictObject({ ca: v.optional(path), cert: v.optional(path), key: v.optional(path) }),
  v.check(({ cert, key }) => (cert === undefined) === (key === undefined), 'cert and key together'),
);
const audience = v.union(
  [
    v.literal('everyone'),
    v.strictObject({
      devices: v.pipe(
        v.array(v.pipe(v.string(), v.check(isDeviceId, 'a device id'))),
        v.minLength(1, 'at least one device id'),
      ),
    }),
    v.strictObject({
      labels: v.pipe(
        v.record(
          v.pipe(v.string(), v.nonEmpty('a label key')),
          v.pipe(v.array(v.string()), v.minLength(1, 'at least one value')),
        ),
        v.check((labels) => Object.keys(labels).length > 0, 'at least one label'),
      ),
    }),
  ],
  'everyone, { devices: [ID, …] } or { labels: { KEY: [VALUE, …] } }',
);
const policy = v.strictObject({
  urgent: v.optional(v.boolean('true or false'), false),
  healthWindow: v.optional(duration(), '0s'),
  attempts: v.optional(
    v.pipe(v.number('a number'), v.integer('a whole number'), v.minValue(1), v.maxValue(1_000)),
    LIMITS.attemptsMaxDefault,
  ),
  validForDays: v.optional(
    v.pipe(v.number('days'), v.integer('whole days'), v.minValue(1), v.maxValue(3_650)),
  ),
  minAgentVersion: v.optional(v.string(), ''),
  unattestedMax: v.optional(duration(LIMITS.unattestedMs), '0s'),
  spread: v.optional(duration(), '0s'),
  windows: v.optional(maintenanceWindows, []),
  commit: v.optional(v.picklist(['healthy', 'reachable'], 'healthy or reachable'), 'healthy'),
  atomicity: v.optional(v.picklist(['state', 'deployment'], 'state or deployment'), 'state'),
});
const channel = v.strictObject({
  signers: v.pipe(
    v.array(v.pipe(v.string(), v.check(isId, 'the name of a key in keys/signing'))),
    v.minLength(1, 'at least one key'),
  ),
  audience: v.optional(audience, 'everyone'),
  policy: v.optional(policy, {}),
  margo: v.optional(
    v.strictObject({
      oci: v.pipe(
        v.string(),
        v.check((name) => isRepository(name) && name.length <= MARGO_OCI_MAX, 'as plant/margo'),
      ),
    }),
  ),
});
const LOGIN = 'proxyAuth only beside the proxy that it is for';
const loginHasProxy = (from: { readonly proxy?: unknown; readonly proxyAuth?: unknown }) =>
  from.proxyAuth === undefined || from.proxy !== undefined;
export const fleetSchema = v.strictObject({
  apiVersion: v.literal('holdfast/v1', 'apiVersion: holdfast/v1'),
  kind: v.literal('Fleet', 'kind: Fleet'),
  name: v.pipe(v.string(), v.nonEmpty('a name')),
  registry: v.optional(
    v.pipe(
      v.strictObject({
        url: v.string(),
        auth: v.optional(auth),
        tls: v.optional(tls),
        proxy: v.optional(v.string()),
        proxyAuth: v.optional(accountFiles),
        insecure: v.optional(v.boolean('true or false'), false),
        tokenServices: v.optional(v.array(v.string()), []),
      }),
      v.check((from) => loginHasProxy(from), LOGIN),
    ),
  ),
  mqtt: v.optional(
    v.pipe(
      v.strictObject({
        url: v.string(),
        topicRoot: v.optional(v.string()),
        protocol: v.optional(v.picklist(['auto', '5', '3.1.1'], 'auto, "5" or "3.1.1"'), 'auto'),
        auth: v.optional(brokerAuth),
        tls: v.optional(tls),
        proxy: v.optional(v.string()),
        proxyAuth: v.optional(accountFiles),
        insecure: v.optional(v.boolean('true or false'), false),
      }),
      v.check((from) => loginHasProxy(from), LOGIN),
    ),
  ),
  channels: v.pipe(
    v.record(
      v.pipe(
        v.string(),
        v.check((name) => isId(name) || name === 'device.*', 'a channel name, or device.*'),
      ),
      channel,
    ),
    v.check((channels) => Object.keys(channels).length > 0, 'at least one channel'),
  ),
});

const DAY_MS = 24 * 3_600_000;

/** @param directory  absolute; paths in the file count from it */
export function readFleetConfig(bytes: Uint8Array, directory: string): Result<FleetConfig> {
  const read = readYaml(bytes, `${directory}/fleet.yaml`, fleetSchema);
  if (!read.ok) return read;
  const { name, registry, mqtt, channels } = read.value;
  return ok({
    name,
    registry: registry
      ? {
          url: registry.url,
          auth: registry.auth ? absoluteAuth(directory, registry.auth) : null,
          tls: absoluteTls(directory, registry.tls),
          proxy: registry.proxy ?? null,
          proxyAuth: registry.proxyAuth ? absoluteAuth(directory, registry.proxyAuth) : null,
          insecure: registry.insecure,
          tokenServices: registry.tokenServices,
        }
      : null,
    mqtt: mqtt
      ? {
          url: mqtt.url,
          topicRoot: mqtt.topicRoot ?? null,
          protocol: mqtt.protocol,
          auth: mqtt.auth ? absoluteAuth(directory, mqtt.auth) : null,
          tls: absoluteTls(directory, mqtt.tls),
          proxy: mqtt.proxy ?? null,
          proxyAuth: mqtt.proxyAuth ? absoluteAuth(directory, mqtt.proxyAuth) : null,
          insecure: mqtt.insecure,
        }
      : null,
    channels: new Map(
      Object.entries(channels).map(([id, config]) => [id, channelConfig(config)] as const),
    ),
  });
}

function channelConfig(config: v.InferOutput<typeof channel>): ChannelConfig {
  const { urgent, healthWindow, attempts, validForDays = 0, minAgentVersion } = config.policy;
  const { unattestedMax: unattestedMaxMs } = config.policy;
  return {
    signers: [...new Set(config.signers)],
    audience: audienceOf(config.audience),
    urgent,
    healthWindowMs: healthWindow,
    attemptsMax: attempts,
    validForMs: validForDays * DAY_MS,
    unattestedMaxMs,
    minAgentVersion,
    spreadMs: config.policy.spread,
    windows: config.policy.windows,
    commit: config.policy.commit,
    atomicity: config.policy.atomicity,
    margoOci: config.margo?.oci ?? null,
  };
}

function audienceOf(from: v.InferOutput<typeof audience>): Audience {
  if (from === 'everyone') return { kind: 'everyone' };
  if ('devices' in from) return { kind: 'devices', ids: [...new Set(from.devices)] };
  const allOf = Object.entries(from.labels).map(([key, values]) => ({ key, values }));
  return { kind: 'selector', allOf };
}

type FileAuth = Readonly<Record<string, string>>;

function absoluteAuth<A extends FileAuth>(directory: string, from: A): A {
  const entries = Object.entries(from).map(([key, value]) =>
    key.endsWith('File') ? [key, inFolder(directory, value)] : [key, value],
  );
  return Object.fromEntries(entries) as A;
}

function absoluteTls(directory: string, from: v.InferOutput<typeof tls> | undefined) {
  if (!from) return null;
  const files: { -readonly [K in keyof TlsFiles]: TlsFiles[K] } = {};
  if (from.ca !== undefined) files.ca = inFolder(directory, from.ca);
  if (from.cert !== undefined) files.cert = inFolder(directory, from.cert);
  if (from.key !== undefined) files.key = inFolder(directory, from.key);
  return files;
}
