/**
 * Makes the status of a device, and makes it fit one MQTT message (LIMITS.mqttMessageBytes). What is
 * too much is taken out in this order: long messages, all messages of deployments and events, then
 * deployments that are healthy with nothing to say, newer events (they stay in the outbox and come
 * with a later report). Points, phases, refusals and codes of what is wrong stay. Paths, parameters
 * and log lines are in no status (text.ts).
 */
import { LIMITS } from '#state/limits.ts';
import type { ChannelStatus, DeploymentStatus, Status, StatusEvent } from '#state/status.ts';
import { writeStatus } from '#wire/status.ts';
import { statusText } from './text.ts';

/** Envelope, signature, keyid, topic and MQTT header around the payload. */
const AROUND_BYTES = 2 * 1024;
const PAYLOAD_BYTES_MAX = LIMITS.mqttMessageBytes - AROUND_BYTES;
/** bytes of one message: the first of these that makes the status fit */
const MESSAGE_BYTES = [512, 160, 64, 0] as const;
const REFUSAL_BYTES = 160;
const CODE_BYTES = 64;
/** kept free for events where deployments alone would fill the message */
const EVENTS_BYTES = 8 * 1024;
const CHANNELS_MAX = 64;
const LABELS_MAX = 64;
const LABEL_BYTES = 128;

export interface MadeStatus {
  readonly status: Status;
  /** of `status`: what is signed */
  readonly payload: Uint8Array;
}

export function makeStatus(parts: Status): MadeStatus {
  for (const bytesMax of MESSAGE_BYTES) {
    const made = encoded(shortened(parts, bytesMax));
    if (made.payload.length <= PAYLOAD_BYTES_MAX) return made;
  }
  return encoded(thinned(shortened(parts, 0)));
}

/** Whether both tell the same condition: events and what grows with each report left out. */
export function sameCondition(a: Status, b: Status): boolean {
  return Buffer.from(condition(a)).equals(condition(b));
}

function condition(status: Status): Uint8Array {
  const grows = { at: 0, report: 0n, previousReport: null, events: [], eventsDropped: 0n };
  return writeStatus({ ...status, ...grows });
}

function encoded(status: Status): MadeStatus {
  return { status, payload: writeStatus(status) };
}

function shortened(parts: Status, bytesMax: number): Status {
  return {
    ...parts,
    at: wholeMs(parts.at),
    labels: shortenedLabels(parts.labels),
    channels: parts.channels
      .slice(0, CHANNELS_MAX)
      .map((channel) => shortenedChannel(channel, bytesMax)),
    events: parts.events.map((event) => ({
      ...event,
      at: wholeMs(event.at),
      code: statusText(event.code, CODE_BYTES),
      message: statusText(event.message, bytesMax),
    })),
  };
}

function shortenedLabels(labels: Status['labels']): Status['labels'] {
  const short = Object.entries(labels).map(
    ([key, value]) => [statusText(key, LABEL_BYTES), statusText(value, LABEL_BYTES)] as const,
  );
  return Object.fromEntries(short.filter(([key]) => key !== '').slice(0, LABELS_MAX));
}

function shortenedChannel(channel: ChannelStatus, bytesMax: number): ChannelStatus {
  const { refused } = channel;
  const refusalBytes = Math.max(bytesMax, REFUSAL_BYTES);
  return {
    ...channel,
    waitingFor: statusText(channel.waitingFor, CODE_BYTES),
    refused: refused && { ...refused, message: statusText(refused.message, refusalBytes) },
    deployments: channel.deployments.map((deployment) => ({
      ...deployment,
      code: statusText(deployment.code, CODE_BYTES),
      message: statusText(deployment.message, bytesMax),
    })),
  };
}

/** A wall clock before 1970 or with fractions is no reason to say nothing. */
function wholeMs(ms: number): number {
  return ms > 0 ? Math.min(Math.trunc(ms), Number.MAX_SAFE_INTEGER) : 0;
}

/** The troubled deployments first, then the others, then events, oldest first: as many as fit. */
function thinned(status: Status): Status {
  const bare = status.channels.map((channel) => ({ ...channel, deployments: [] }));
  const frame = writeStatus({ ...status, channels: bare, events: [] }).length;
  let left = PAYLOAD_BYTES_MAX - frame - EVENTS_BYTES;
  const kept = new Set<DeploymentStatus>();
  for (const wanted of [isTroubled, (deployment: DeploymentStatus) => !isTroubled(deployment)]) {
    for (const deployment of status.channels.flatMap(({ deployments }) => deployments)) {
      if (!wanted(deployment)) continue;
      left -= deploymentBytes(deployment);
      if (left < 0) break;
      kept.add(deployment);
    }
  }
  const channels = status.channels.map((channel) => ({
    ...channel,
    deployments: channel.deployments.filter((deployment) => kept.has(deployment)),
  }));
  const eventsRoom = EVENTS_BYTES + Math.max(0, left);
  return { ...status, channels, events: fitting(status.events, eventsRoom) };
}

function isTroubled({ code, health }: DeploymentStatus): boolean {
  return code !== '' || health === 'unhealthy';
}

function fitting(events: readonly StatusEvent[], room: number): readonly StatusEvent[] {
  let left = room;
  const fit: StatusEvent[] = [];
  for (const event of events) {
    left -= eventBytes(event);
    if (left < 0) break;
    fit.push(event);
  }
  return fit;
}

/** Upper bounds: each field's tag and length, numbers at their longest. */
function deploymentBytes({ id, health, code, message }: DeploymentStatus): number {
  return 64 + [id, health, code, message].reduce((sum, text) => sum + utf8(text), 0);
}

function eventBytes({ code, channel, deployment, message }: StatusEvent): number {
  return 48 + [code, channel, deployment, message].reduce((sum, text) => sum + utf8(text), 0);
}

function utf8(text: string): number {
  return new TextEncoder().encode(text).length;
}
