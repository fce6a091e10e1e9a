/** The sources and the link to the broker, as agent.yaml names them. */
import type { ControlPath } from '#apply/control-path.ts';
import { ok, type Result } from '#errors/fault.ts';
import { readEndpoint } from '#link/endpoint.ts';
import { type HttpLink, httpLink } from '#link/http.ts';
import { type MqttLink, mqttLink } from '#link/mqtt.ts';
import { brokerName, checkBroker } from '#link/mqtt-broker.ts';
import { type Registry, registry } from '#link/registry.ts';
import { askTime } from '#link/time-authority.ts';
import { checkTopicRoot, defaultTopicRoot } from '#link/topics.ts';
import type { Platform } from '#platform/platform.ts';
import { SOURCES } from '#sources/catalogue.ts';
import type { PushSource } from '#sources/mqtt-push.ts';
import type { Source } from '#sources/source.ts';
import { taggedTime } from '#sources/time-statements.ts';
import type { Fleet } from '#state/names.ts';
import type { TimeRequest } from '#state/time-statement.ts';
import { deviceChannel } from '#state/values.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { AgentConfig } from './config.ts';
import { controlPath } from './control-path.ts';
import { type Mirrors, mirrors } from './mirrors.ts';
import { reanchor } from './reanchor.ts';
import type { RootKeeper } from './root-keeper.ts';
import type { AgentTime } from './time.ts';

/** Where the statements of one channel come from. */
export interface ChannelLinks {
  /** those that are asked, in order */
  readonly sources: readonly Source[];
  /** what the broker brings whole; null: there is no broker */
  readonly pushes: PushSource | null;
}

export interface Links {
  /** of a channel that this device follows, its own among them; nothing for any other */
  of(channel: string): ChannelLinks;
  /** there is something to ask */
  readonly asks: boolean;
  /** what is known of the registries, for all channels */
  readonly mirrors: Mirrors;
  readonly mqtt: MqttLink | null;
  /** for registries of images and packages (packages.ts) */
  readonly http: HttpLink;
  /** the same ways, asked anew */
  readonly control: ControlPath;
  readonly topicRoot: string;
  /** a POST to time.url; null: there is none */
  readonly askTime:
    | ((request: TimeRequest, signal: AbortSignal) => Promise<Result<Uint8Array>>)
    | null;
  /** the time statements for everyone in the registries */
  readonly timeTags: readonly ((signal: AbortSignal) => Promise<Result<Uint8Array | null>>)[];
  /** Another root is held: what waits for other TLS anchors tries at once. */
  rootReplaced(wake: (wake: Wake) => void): void;
  close(): Promise<void>;
}

export interface LinksInput {
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly time: AgentTime;
  readonly fleet: Fleet;
  readonly deviceId: string;
  readonly agentVersion: string;
  readonly roots: Pick<RootKeeper, 'root' | 'held'>;
}

export function openLinks(input: LinksInput): Result<Links> {
  const { platform, config, time, roots } = input;
  const link = {
    deadClock: { directory: `${config.runDir}/tls`, time: () => time.view() },
    rootAnchors: () => roots.root().tls,
  };
  const http = httpLink(platform, link);
  const repositories: Registry[] = [];
  const timeTags: Links['timeTags'][number][] = [];
  for (const settings of config.registries) {
    const checked = readEndpoint(settings);
    if (!checked.ok) return checked;
    const repository = registry(http, settings);
    repositories.push(repository);
    timeTags.push((signal) => taggedTime(repository, signal));
  }
  const root = checkTopicRoot(config.mqtt?.topicRoot ?? defaultTopicRoot(input.fleet));
  if (!root.ok) return root;
  const mqtt = openMqtt(input, root.value);
  if (!mqtt.ok) return mqtt;
  const { authority } = config.time;
  const channels = [...config.channels.map(({ name }) => name), deviceChannel(input.deviceId)];
  const byChannel = new Map(
    channels.map((channel) => [channel, channelLinks(input, repositories, channel)] as const),
  );
  return ok({
    of: (channel) => byChannel.get(channel) ?? NOWHERE,
    asks: repositories.length > 0,
    mirrors: mirrors({ ...platform, names: repositories.map(({ name }) => name) }),
    timeTags,
    askTime: authority && ((request, signal) => askTime(http, authority, request, signal)),
    mqtt: mqtt.value,
    http,
    control: controlPath({
      ...{ platform, config, mqtt: mqtt.value },
      link: { ...link, deadClock: { ...link.deadClock, directory: `${config.runDir}/reach` } },
      channel: config.channels[0]?.name ?? '',
    }),
    topicRoot: root.value,
    rootReplaced: reanchor(() => roots.root().tls, {
      mqtt: mqtt.value,
      asks: repositories.length > 0,
    }),
    async close() {
      await mqtt.value?.close();
      http.close();
    },
  });
}

const NOWHERE: ChannelLinks = { sources: [], pushes: null };

function channelLinks(
  { config, roots }: LinksInput,
  repositories: readonly Registry[],
  channel: string,
): ChannelLinks {
  const heldRoot = roots.held;
  const sources = repositories.map((repository) =>
    SOURCES['oci-registry'](repository, channel, { heldRoot }),
  );
  return { sources, pushes: pushesOf(config) };
}

function pushesOf({ mqtt }: AgentConfig): PushSource | null {
  return mqtt ? SOURCES['mqtt-push'](brokerName(mqtt)) : null;
}

function openMqtt(input: LinksInput, topicRoot: string): Result<MqttLink | null> {
  const { platform, config, time, fleet, deviceId, agentVersion, roots } = input;
  if (!config.mqtt) return ok(null);
  const broker = config.mqtt;
  const checked = checkBroker(broker);
  if (!checked.ok) return checked;
  const channels = config.channels.map(({ name }) => name);
  const names = { topicRoot, fleet, deviceId, channels, agentVersion };
  return ok(
    mqttLink(platform, {
      broker,
      time: () => time.view(),
      rootAnchors: () => roots.root().tls,
      ...names,
    }),
  );
}
