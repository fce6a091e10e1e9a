/**
 * The statuses that devices sign and send to the broker, seen by somebody who trusts nobody: each
 * is verified with the public half of the key in that device's own folder before it is looked at.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fromBinary } from '@bufbuild/protobuf';
import mqtt from 'mqtt';
import { EnvelopeSchema, type Status, StatusSchema, Via } from '#wire/generated/holdfast_pb.ts';

export interface SignedStatus {
  /** performance.now() of its arrival */
  readonly at: number;
  /** `epoch.sequence`; empty: nothing yet */
  readonly applied: string;
  /** hex */
  readonly appliedDigest: string;
  readonly via: 'registry' | 'bundle' | 'other';
  readonly idle: boolean;
  readonly allHealthy: boolean;
  readonly refused: {
    readonly code: string;
    readonly offered: string;
    readonly attack: boolean;
  } | null;
  /** codes of the events that came with it */
  readonly events: readonly string[];
}

export interface Statuses {
  /** oldest first */
  of(device: string): readonly SignedStatus[];
  /** performance.now() when the broker passed on the last nudge */
  nudgedAt(): number;
  /** Publishes like anybody who reaches the broker. */
  send(topic: string, payload: Uint8Array): Promise<void>;
  readonly topicRoot: string;
  close(): Promise<void>;
}

const PAYLOAD_TYPE = 'application/vnd.holdfast.status.v1+protobuf';
/** statuses kept of a device */
const KEPT = 200;
/** PHASE_IDLE of the schema */
const IDLE = 1;

/** @param keyFile  private key file of a device, of which only the public half is used */
export async function watchStatuses(
  brokerPort: number,
  fleet: string,
  keyFile: (device: string) => string,
): Promise<Statuses> {
  const topicRoot = `holdfast/v1/${fleet}`;
  const said = new Map<string, readonly SignedStatus[]>();
  let nudgedAt = 0;
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${brokerPort}`, {
    protocolVersion: 4,
    reconnectPeriod: 200,
  });
  client.on('error', () => {}); // the hub is down: it is tried again
  client.on('message', (topic, payload) => {
    const [, space, name = '', leaf] = topic.slice(topicRoot.length).split('/');
    if (space === 'c' && leaf === 'nudge') nudgedAt = performance.now();
    if (space !== 'd' || leaf !== 'status') return;
    const status = verified(payload, keyFile(name));
    if (status?.deviceId !== name) return;
    said.set(name, [...(said.get(name) ?? []), summary(status)].slice(-KEPT));
  });
  await client.subscribeAsync([`${topicRoot}/d/+/status`, `${topicRoot}/c/+/nudge`], { qos: 1 });
  return {
    topicRoot,
    of: (device) => said.get(device) ?? [],
    nudgedAt: () => nudgedAt,
    async send(topic, payload) {
      await client.publishAsync(topic, Buffer.from(payload), { qos: 1 });
    },
    close: () => client.endAsync(true),
  };
}

/** Null: not signed by the key of this device. @see DSSE v1.0.2, "PAE" */
function verified(bytes: Uint8Array, keyFile: string): Status | null {
  const { payloadType, payload, signatures } = fromBinary(EnvelopeSchema, bytes);
  if (payloadType !== PAYLOAD_TYPE) return null;
  const key = createPublicKey(readFileSync(keyFile));
  const spki = key.export({ format: 'der', type: 'spki' });
  const keyid = createHash('sha256').update(spki).digest('hex');
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  const signed = Buffer.concat([Buffer.from(head), payload]);
  const genuine = signatures.some(
    (one) => one.keyid === keyid && verify(null, signed, key, one.sig),
  );
  return genuine ? fromBinary(StatusSchema, payload) : null;
}

function summary({ channels, events }: Status): SignedStatus {
  const [channel] = channels;
  const refused = channel?.refused;
  return {
    at: performance.now(),
    applied: pointText(channel?.applied),
    appliedDigest: Buffer.from(channel?.applied?.stateDigest ?? []).toString('hex'),
    via:
      channel?.via === Via.REGISTRY ? 'registry' : channel?.via === Via.BUNDLE ? 'bundle' : 'other',
    idle: channel?.phase === IDLE,
    allHealthy: channel?.deployments.every(({ health }) => health === 'healthy') ?? false,
    refused: refused
      ? { code: refused.code, offered: pointText(refused.offered), attack: refused.attack }
      : null,
    events: events.map(({ code }) => code),
  };
}

function pointText(point: { epoch: bigint; sequence: bigint } | undefined): string {
  return point ? `${point.epoch}.${point.sequence}` : '';
}
