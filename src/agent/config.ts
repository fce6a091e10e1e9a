/**
 * agent.yaml: read strictly (unknown keys refuse with line and column), defaults filled in, paths
 * made absolute. What each key means is in docs/operate.md; names are fixed by docs/formats.md.
 */
import * as v from 'valibot';
import type { HelmSettings } from '#apply/runtimes/helm-program.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { isLoopback } from '#link/endpoint.ts';
import type { TimeEndpoint } from '#link/time-authority.ts';
import type { Files } from '#platform/files.ts';
import type { LogLevel } from '#platform/log.ts';
import { LIMITS } from '#state/limits.ts';
import { isDeviceId } from '#state/names.ts';
import { byteSize, duration, readYaml } from '#wire/yaml.ts';
import {
  absolute,
  type ChannelSettings,
  channelSettings,
  channelsSchema,
} from './config-channels.ts';
import {
  type Account,
  type AuthSettings,
  mqttOf,
  mqttSchema,
  pathSchema,
  registriesSchema,
  registryOf,
  type TlsSettings,
  timeEndpointOf,
  timeSchema,
} from './config-peers.ts';
import { helmOf, helmSchema } from './helm-config.ts';
import { type MargoConfig, margoOf, margoSchema } from './margo-config.ts';
import {
  type ComposeConfig,
  composeOf,
  composeSchema,
  type PackagesConfig,
  packagesOf,
  packagesSchema,
} from './packages-config.ts';

const CONFIG_BYTES = 1024 * 1024;

export interface AgentConfig {
  /** absolute path it was read from */
  readonly file: string;
  readonly device: {
    readonly id: string | null;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly stateDir: string;
  readonly runDir: string;
  readonly controlGroup: string;
  readonly statusMode: number;
  readonly trust: {
    readonly root: string;
    readonly clock: 'lenient' | 'strict';
    readonly allowDemo: boolean;
    /** ms; 0: no limit */
    readonly unattestedMaxMs: number;
  };
  readonly time: {
    readonly authority: TimeEndpoint | null;
    readonly intervalMs: number;
  };
  /** at least one, each once */
  readonly channels: readonly ChannelSettings[];
  readonly registries: readonly RegistrySettings[];
  readonly mqtt: MqttSettings | null;
  readonly schedule: {
    readonly intervalMs: number;
    readonly jitter: number;
    readonly backoffMaxMs: number;
  };
  readonly nudgesPerMinute: number;
  /** absolute; watched for bundles */
  readonly bundleDirectories: readonly string[];
  /** who lets what lies there be applied: the owner's policies, or a person each time */
  readonly bundleConsent: 'policy' | 'ask';
  /** host:port, or null: none */
  readonly metricsListen: string | null;
  readonly process: { readonly user: string | null; readonly allowRoot: boolean };
  /** the container engine */
  readonly compose: ComposeConfig;
  readonly packages: PackagesConfig;
  /** the cluster for charts; null: none */
  readonly helm: HelmSettings | null;
  readonly keep: { readonly generations: number; readonly reserveBytes: number };
  /** sections that a state put in place of the file's (own-configuration.ts); absent: none */
  readonly fromState?: readonly string[];
  /** `apply --now` may pass spread and windows */
  readonly applyNow: boolean;
  readonly log: { readonly level: LogLevel; readonly format: 'json' | 'human' };
  /** the manager that speaks for the channel `margo`; null: none */
  readonly margo: MargoConfig | null;
}

export interface RegistrySettings {
  readonly url: string;
  readonly auth: AuthSettings;
  readonly tls: TlsSettings | null;
  readonly proxy: string | null;
  readonly proxyAuth?: Account | null;
  readonly insecure: boolean;
}

export interface MqttSettings {
  readonly url: string;
  readonly topicRoot: string | null;
  readonly protocol: 'auto' | '5' | '3.1.1';
  readonly auth: Account | null;
  readonly tls: TlsSettings | null;
  readonly proxy: string | null;
  readonly proxyAuth?: Account | null;
  readonly insecure: boolean;
}

const hostPort = v.pipe(
  v.string(),
  v.regex(/^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, 'host:port, such as 127.0.0.1:9469'),
);

/** Exported for the test that finds a use of every key. */
export const agentSchema = v.strictObject({
  apiVersion: v.literal('holdfast/v1', 'apiVersion: holdfast/v1'),
  kind: v.literal('Agent', 'kind: Agent'),
  device: v.optional(
    v.strictObject({
      id: v.optional(
        v.pipe(v.string(), v.check(isDeviceId, 'a device id: a-z 0-9 . -, at most 56 characters')),
      ),
      labels: v.optional(v.record(v.string(), v.string('text (put it in quotes)')), {}),
    }),
    {},
  ),
  stateDir: v.optional(absolute, '/var/lib/holdfast'),
  runDir: v.optional(absolute, '/run/holdfast'),
  sockets: v.optional(
    v.strictObject({
      group: v.optional(v.string(), 'holdfast'),
      statusMode: v.optional(
        v.pipe(v.string(), v.regex(/^0?[0-7]{3}$/, 'a mode like "0666"')),
        '0666',
      ),
    }),
    {},
  ),
  trust: v.strictObject({
    root: pathSchema,
    clock: v.optional(v.picklist(['lenient', 'strict'], 'lenient or strict'), 'lenient'),
    allowDemo: v.optional(v.boolean('true or false'), false),
    unattestedMax: v.optional(duration(LIMITS.unattestedMs), '0s'),
  }),
  time: timeSchema,
  channels: channelsSchema,
  registries: registriesSchema,
  mqtt: mqttSchema,
  schedule: v.optional(
    v.strictObject({
      interval: v.optional(duration(), '5m'),
      jitter: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1, 'from 0 to 1')), 0.2),
      backoffMax: v.optional(duration(), '1h'),
    }),
    {},
  ),
  nudges: v.optional(
    v.strictObject({
      perMinute: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(600)), 6),
    }),
    {},
  ),
  bundles: v.optional(
    v.strictObject({
      watch: v.optional(v.array(absolute), []),
      consent: v.optional(v.picklist(['policy', 'ask'], 'policy or ask'), 'policy'),
    }),
    {},
  ),
  metrics: v.optional(v.strictObject({ listen: hostPort })),
  runtimes: v.optional(
    v.strictObject({
      process: v.optional(
        v.strictObject({
          user: v.optional(v.string()),
          allowRoot: v.optional(v.boolean('true or false'), false),
        }),
        {},
      ),
      compose: composeSchema,
      helm: helmSchema,
    }),
    {},
  ),
  packages: packagesSchema,
  keep: v.optional(
    v.strictObject({
      generations: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(16)), 3),
      reserve: v.optional(byteSize(), '64Mi'),
    }),
    {},
  ),
  apply: v.optional(
    v.strictObject({
      now: v.optional(v.picklist(['allow', 'refuse'], 'allow or refuse'), 'allow'),
    }),
    {},
  ),
  margo: v.optional(margoSchema),
  log: v.optional(
    v.strictObject({
      level: v.optional(
        v.picklist(['debug', 'info', 'warn', 'error'], 'debug, info, warn or error'),
        'info',
      ),
      format: v.optional(v.picklist(['json', 'human'], 'json or human'), 'json'),
    }),
    {},
  ),
});

type Read = v.InferOutput<typeof agentSchema>;

/** @param file  absolute path of agent.yaml; relative paths in it count from its directory */
export function readConfig(files: Files, file: string): Result<AgentConfig> {
  const bytes = files.readFile(file, CONFIG_BYTES);
  if (!bytes.ok) return refuse('config.unreadable', { file, reason: bytes.fault.message });
  return parseConfig(bytes.value, file);
}

/** Exposed for `doctor` and tests; no I/O. */
export function parseConfig(bytes: Uint8Array, file: string): Result<AgentConfig> {
  const read = readYaml(bytes, file, agentSchema);
  if (!read.ok) return read;
  const { value } = read;
  const { url: timeAt, insecure: timeInsecure } = value.time;
  const authority = timeAt === undefined ? [] : [{ url: timeAt, insecure: timeInsecure }];
  const mqtt = value.mqtt ? [value.mqtt] : [];
  const peers = [...value.registries, ...value.packages.registries, ...mqtt, ...authority];
  for (const { url, insecure } of peers) {
    const plain = /^(?:http|mqtt|ws):/.test(url);
    if (plain && !insecure && !isLoopback(new URL(url).hostname)) {
      return refuse('config.plain-transport', { file, url });
    }
  }
  const named = value.channels.some(({ name }) => name === 'margo');
  if (named !== (value.margo !== undefined)) return refuse('config.margo', { file, named });
  return ok(withDefaults(value, file));
}

function withDefaults(value: Read, file: string): AgentConfig {
  const at = (name: string) =>
    name.startsWith('/') ? name : `${file.slice(0, file.lastIndexOf('/'))}/${name}`;
  const { user, allowRoot } = value.runtimes.process;
  return {
    file,
    device: { id: value.device.id ?? null, labels: value.device.labels },
    stateDir: value.stateDir,
    runDir: value.runDir,
    controlGroup: value.sockets.group,
    statusMode: Number.parseInt(value.sockets.statusMode, 8),
    trust: {
      root: at(value.trust.root),
      clock: value.trust.clock,
      allowDemo: value.trust.allowDemo,
      unattestedMaxMs: value.trust.unattestedMax,
    },
    time: { authority: timeEndpointOf(value.time, at), intervalMs: value.time.interval },
    channels: channelSettings(value.channels, user ?? null),
    registries: value.registries.map((registry) => registryOf(registry, at)),
    mqtt: value.mqtt ? mqttOf(value.mqtt, at) : null,
    schedule: {
      intervalMs: value.schedule.interval,
      jitter: value.schedule.jitter,
      backoffMaxMs: value.schedule.backoffMax,
    },
    nudgesPerMinute: value.nudges.perMinute,
    bundleDirectories: value.bundles.watch,
    bundleConsent: value.bundles.consent,
    metricsListen: value.metrics?.listen ?? null,
    process: { user: user ?? null, allowRoot },
    compose: composeOf(value.runtimes.compose),
    packages: packagesOf(value.packages, at),
    helm: helmOf(value.runtimes.helm, at),
    keep: { generations: value.keep.generations, reserveBytes: value.keep.reserve },
    applyNow: value.apply.now === 'allow',
    log: value.log,
    margo: margoOf(value.margo, at),
  };
}
