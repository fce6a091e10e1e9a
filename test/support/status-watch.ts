/**
 * What a fleet's devices report, seen from outside: every status that mosquitto_sub receives, its
 * DSSE envelope verified by node:crypto against the key that the first status of the device named.
 * Shares no code with the agent but the schema of the messages.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createPublicKey, verify } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import {
  EnvelopeSchema,
  Freshness,
  Phase,
  type Status,
  StatusSchema,
  TimeGrade,
} from '#wire/generated/holdfast_pb.ts';
import { endChild } from './command.ts';
import { eventually } from './eventually.ts';

const PAYLOAD_TYPE = 'application/vnd.holdfast.status.v1+protobuf';

/** A verified status of the first channel, in words. */
export interface Report {
  readonly device: string;
  readonly order: readonly [boot: bigint, report: bigint];
  /** `epoch.sequence`, empty: none */
  readonly desired: string;
  readonly applied: string;
  readonly appliedDigest: string;
  readonly phase: string;
  readonly degraded: boolean;
  readonly held: boolean;
  readonly waitingFor: string;
  readonly freshness: string;
  readonly grade: string;
  readonly rootVersion: bigint;
  /** digest; `sha256:` alone when it has none */
  readonly auditHead: string;
  readonly refused: { readonly code: string; readonly attack: boolean } | null;
  /** of all that are told */
  readonly channels: readonly string[];
  readonly health: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** codes, oldest first */
  readonly events: readonly string[];
  readonly dropped: bigint;
}

export interface StatusWatch {
  /** every status so far, in the order of arrival */
  all(device: string): readonly Report[];
  /** The first status, past or to come, of which this holds. */
  until(device: string, what: string, holds: (report: Report) => boolean): Promise<Report>;
  /** `true` or `false` as the device or its last will says */
  online(device: string): boolean | null;
  stop(): Promise<void>;
}

/** @param args  of mosquitto_sub: host, port, credentials */
export function watchStatus(args: readonly string[], topicRoot: string): StatusWatch {
  const reports = new Map<string, Report[]>();
  const keys = new Map<string, string>();
  const presence = new Map<string, boolean>();
  const faults: string[] = [];
  const topics = ['-t', `${topicRoot}/d/+/status`, '-t', `${topicRoot}/d/+/presence`];
  const child: ChildProcess = spawn('mosquitto_sub', [...args, ...topics, '-F', '%t %x'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let rest = '';
  child.stdout?.on('data', (chunk) => {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });

  function take(line: string): void {
    const [topic = '', hex = ''] = line.split(' ');
    const [leaf, device = ''] = topic.split('/').reverse();
    const payload = Buffer.from(hex, 'hex');
    if (leaf === 'presence') {
      presence.set(device, payload[0] === 8 && payload[1] === 1);
      return;
    }
    try {
      const report = readReport(payload, keys);
      if (report.device !== device) throw new Error(`${report.device} on the topic of ${device}`);
      reports.set(device, [...(reports.get(device) ?? []), report]);
    } catch (error) {
      faults.push(String(error));
    }
  }

  return {
    all: (device) => reports.get(device) ?? [],
    online: (device) => presence.get(device) ?? null,
    async until(device, what, holds) {
      try {
        return await eventually(`${device} reports ${what}`, () => {
          if (faults.length > 0) throw new Error(faults.join('; '));
          return reports.get(device)?.find(holds);
        });
      } catch (error) {
        const last = reports.get(device)?.at(-1);
        const text = JSON.stringify(last, (_, value) =>
          typeof value === 'bigint' ? `${value}` : value,
        );
        throw new Error(`${String(error)}; the last one: ${text}`);
      }
    },
    stop: () => endChild(child, 'SIGTERM'),
  };
}

/** Throws when the signature is not that of the device's first report. */
function readReport(bytes: Uint8Array, keys: Map<string, string>): Report {
  const envelope = fromBinary(EnvelopeSchema, bytes);
  if (envelope.payloadType !== PAYLOAD_TYPE) throw new Error(`type ${envelope.payloadType}`);
  const status = fromBinary(StatusSchema, envelope.payload);
  const named = Buffer.from(status.deviceKey).toString('hex');
  const pinned = keys.get(status.deviceId) ?? named;
  keys.set(status.deviceId, pinned);
  const key = createPublicKey({ key: Buffer.from(pinned, 'hex'), format: 'der', type: 'spki' });
  const signed = envelope.signatures.some(({ sig }) =>
    verify(null, preAuthentication(envelope.payloadType, envelope.payload), key, sig),
  );
  if (!signed) throw new Error(`a status of ${status.deviceId} is not signed by its first key`);
  return reportOf(status);
}

/** @see https://github.com/secure-systems-lab/dsse/blob/master/protocol.md */
export function preAuthentication(type: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function reportOf(status: Status): Report {
  const [channel] = status.channels;
  const point = (of: { epoch: bigint; sequence: bigint } | undefined) =>
    of ? `${of.epoch}.${of.sequence}` : '';
  const applied = channel?.applied;
  return {
    device: status.deviceId,
    order: [status.boot, status.report],
    desired: point(channel?.desired),
    applied: point(applied),
    appliedDigest: applied ? `sha256:${Buffer.from(applied.stateDigest).toString('hex')}` : '',
    phase: wordOf(Phase, channel?.phase),
    degraded: channel?.degraded ?? false,
    held: channel?.heldByOperator ?? false,
    waitingFor: channel?.waitingFor ?? '',
    freshness: wordOf(Freshness, channel?.freshness),
    grade: wordOf(TimeGrade, status.timeGrade),
    rootVersion: status.rootVersion,
    auditHead: `sha256:${Buffer.from(status.auditHead).toString('hex')}`,
    refused: channel?.refused
      ? { code: channel.refused.code, attack: channel.refused.attack }
      : null,
    channels: status.channels.map(({ channel: name }) => name),
    health: Object.fromEntries((channel?.deployments ?? []).map(({ id, health }) => [id, health])),
    labels: status.labels,
    events: status.events.map(({ code }) => code),
    dropped: status.eventsDropped,
  };
}

function wordOf(names: Readonly<Record<string, number>>, value: number | undefined): string {
  return Object.entries(names).find(([, number]) => number === value)?.[0] ?? '';
}
