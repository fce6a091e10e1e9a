/**
 * The status of a device: payload bytes ↔ `state/status`. The envelope around it is signed by the
 * device's key; reading is the hub's and the fleet's view's, so it is as strict as for a statement.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { digestToBytes } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { isDeviceId, isId } from '#state/names.ts';
import type {
  ChannelStatus,
  DeploymentStatus,
  Refusal,
  Status,
  StatusEvent,
  StatusPoint,
  TimeGrade,
} from '#state/status.ts';
import { credentialFromProto, credentialToProto } from './enrolment.ts';
import { type FieldCheck, fieldCheck, fleetToBytes } from './field-check.ts';
import {
  type ChannelStatus as ProtoChannelStatus,
  type DeploymentStatus as ProtoDeploymentStatus,
  type Event as ProtoEvent,
  type Point as ProtoPoint,
  type Refusal as ProtoRefusal,
  TimeGrade as ProtoTimeGrade,
  StatusSchema,
} from './generated/holdfast_pb.ts';
import {
  freshnessFromWire,
  freshnessToWire,
  phaseFromWire,
  phaseToWire,
  pointToWire,
  Unreadable,
  viaOrNull,
  viaToWire,
} from './record-parts.ts';
import { readMessage } from './strict-protobuf.ts';

const SPEC_VERSION = 1;
/** characters */
const NAME_MAX = 255;
const MESSAGE_MAX = 4_096;
/** bytes of SPKI DER */
const KEY_MAX = 4_096;

/** @param payload  of the envelope, at most LIMITS.mqttMessageBytes */
export function readStatus(payload: Uint8Array): Result<Status> {
  const message = readMessage(StatusSchema, payload, 'status', LIMITS.mqttMessageBytes);
  if (!message.ok) return message;
  const from = message.value;
  if (from.specVersion !== SPEC_VERSION) {
    return refuse('format.spec-version', { what: 'the status', found: from.specVersion });
  }
  const check = fieldCheck();
  check.require(isDeviceId(from.deviceId), 'device_id', 'not a device id');
  check.require(from.deviceKey.length <= KEY_MAX, 'device_key', `above ${KEY_MAX} bytes`);
  check.require(from.sealingKey.length <= KEY_MAX, 'sealing_key', `above ${KEY_MAX} bytes`);
  const status: Status = {
    fleet: check.fleet('fleet', from.fleet),
    deviceId: from.deviceId,
    boot: from.boot,
    report: from.report,
    previousReport: check.digestOrNull('previous_report', from.previousReport),
    at: check.time('at', from.at),
    timeGrade: readTimeGrade(check, from.timeGrade),
    attestedAt: check.time('attested_at', from.attestedAt),
    agentVersion: short(check, 'agent_version', from.agentVersion),
    labels: readLabels(check, from.labels),
    channels: from.channels.map((channel, index) => readChannel(check, channel, index)),
    events: from.events.map((event, index) => readEvent(check, event, index)),
    eventsDropped: from.eventsDropped,
    rootVersion: from.rootVersion,
    deviceKey: from.deviceKey,
    sealingKey: from.sealingKey,
    auditHead: check.digestOrNull('audit_head', from.auditHead),
    ...readCredential(check, from.credential),
  };
  const problem = check.problem();
  return problem === null ? ok(status) : refuse('format.message', { what: 'status', ...problem });
}

export function writeStatus(status: Status): Uint8Array {
  const message = create(StatusSchema, {
    specVersion: SPEC_VERSION,
    fleet: fleetToBytes(status.fleet),
    deviceId: status.deviceId,
    boot: status.boot,
    report: status.report,
    previousReport: status.previousReport ? digestToBytes(status.previousReport) : new Uint8Array(),
    at: BigInt(status.at),
    timeGrade: TIME_GRADES[status.timeGrade],
    attestedAt: BigInt(status.attestedAt),
    agentVersion: status.agentVersion,
    labels: { ...status.labels },
    channels: status.channels.map(channelToProto),
    events: status.events.map((event) => ({ ...event, at: BigInt(event.at) })),
    eventsDropped: status.eventsDropped,
    rootVersion: status.rootVersion,
    deviceKey: status.deviceKey,
    sealingKey: status.sealingKey,
    auditHead: status.auditHead ? digestToBytes(status.auditHead) : new Uint8Array(),
    ...(status.credential ? { credential: credentialToProto(status.credential) } : {}),
  });
  return toBinary(StatusSchema, message);
}

function readCredential(check: FieldCheck, from: Parameters<typeof credentialFromProto>[1]) {
  const credential = credentialFromProto(check, from);
  return credential === null ? {} : { credential };
}

const TIME_GRADES: Readonly<Record<TimeGrade, ProtoTimeGrade>> = {
  estimated: ProtoTimeGrade.ESTIMATED,
  synchronised: ProtoTimeGrade.SYNCHRONISED,
  attested: ProtoTimeGrade.ATTESTED,
};

function readTimeGrade(check: FieldCheck, grade: number): TimeGrade {
  const grades: readonly TimeGrade[] = ['estimated', 'synchronised', 'attested'];
  const known = grades.find((name) => TIME_GRADES[name] === grade);
  if (known === undefined) check.fail('time_grade', 'an unknown choice');
  return known ?? 'estimated';
}

function readLabels(
  check: FieldCheck,
  labels: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const read: Record<string, string> = Object.create(null);
  for (const [key, value] of Object.entries(labels)) {
    read[check.text('labels', key, NAME_MAX)] = short(check, 'labels', value);
  }
  return read;
}

function readChannel(check: FieldCheck, channel: ProtoChannelStatus, index: number): ChannelStatus {
  const at = `channels[${index}]`;
  check.require(isId(channel.channel), `${at}.channel`, 'not a channel id');
  return {
    channel: channel.channel,
    desired: readPoint(check, `${at}.desired`, channel.desired),
    applied: readPoint(check, `${at}.applied`, channel.applied),
    phase: choice(check, `${at}.phase`, 'idle', () => phaseFromWire(channel.phase)),
    via: choice(check, `${at}.via`, null, () => viaOrNull(channel.via)),
    degraded: channel.degraded,
    deployments: channel.deployments.map((deployment) =>
      readDeployment(check, `${at}.deployments`, deployment),
    ),
    refused: readRefusal(check, `${at}.refused`, channel.refused),
    heldByOperator: channel.heldByOperator,
    freshness: choice(check, `${at}.freshness`, 'unknown', () =>
      freshnessFromWire(channel.freshness),
    ),
    waitingFor: short(check, `${at}.waiting_for`, channel.waitingFor),
  };
}

/** An enum of the status; a number without a name fails the field. */
function choice<T>(check: FieldCheck, field: string, filler: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    check.fail(field, 'an unknown choice');
    return filler;
  }
}

function readPoint(
  check: FieldCheck,
  field: string,
  point: ProtoPoint | undefined,
): StatusPoint | null {
  if (point === undefined) return null;
  return {
    epoch: point.epoch,
    sequence: point.sequence,
    stateDigest: check.digest(`${field}.state_digest`, point.stateDigest),
    at: check.time(`${field}.at`, point.at),
  };
}

function readDeployment(
  check: FieldCheck,
  field: string,
  deployment: ProtoDeploymentStatus,
): DeploymentStatus {
  return {
    id: check.text(`${field}.id`, deployment.id, NAME_MAX),
    digest: check.digest(`${field}.digest`, deployment.digest),
    health: short(check, `${field}.health`, deployment.health),
    code: short(check, `${field}.code`, deployment.code),
    message: bounded(check, `${field}.message`, deployment.message),
    restarts: deployment.restarts,
  };
}

function readRefusal(
  check: FieldCheck,
  field: string,
  refusal: ProtoRefusal | undefined,
): Refusal | null {
  if (refusal === undefined) return null;
  return {
    code: short(check, `${field}.code`, refusal.code),
    message: bounded(check, `${field}.message`, refusal.message),
    offered: readPoint(check, `${field}.offered`, refusal.offered),
    via: choice(check, `${field}.via`, null, () => viaOrNull(refusal.via)),
    attack: refusal.attack,
  };
}

function readEvent(check: FieldCheck, event: ProtoEvent, index: number): StatusEvent {
  const at = `events[${index}]`;
  return {
    number: event.number,
    at: check.time(`${at}.at`, event.at),
    code: short(check, `${at}.code`, event.code),
    channel: short(check, `${at}.channel`, event.channel),
    deployment: short(check, `${at}.deployment`, event.deployment),
    message: bounded(check, `${at}.message`, event.message),
  };
}

/** May be empty; no controls. */
function short(check: FieldCheck, field: string, value: string): string {
  return value === '' ? '' : check.text(field, value, NAME_MAX);
}

/** For people; shown escaped. */
function bounded(check: FieldCheck, field: string, value: string): string {
  check.require(value.length <= MESSAGE_MAX, field, `above ${MESSAGE_MAX} characters`);
  return value;
}

function channelToProto(channel: ChannelStatus) {
  const { desired, applied, refused } = channel;
  return {
    channel: channel.channel,
    phase: phaseToWire(channel.phase),
    via: viaToWire(channel.via),
    degraded: channel.degraded,
    deployments: channel.deployments.map((deployment) => ({
      ...deployment,
      digest: digestToBytes(deployment.digest),
    })),
    heldByOperator: channel.heldByOperator,
    freshness: freshnessToWire(channel.freshness),
    waitingFor: channel.waitingFor,
    ...(desired ? { desired: pointToWire(desired) } : {}),
    ...(applied ? { applied: pointToWire(applied) } : {}),
    ...(refused ? { refused: refusalToProto(refused) } : {}),
  };
}

function refusalToProto(refusal: Refusal) {
  const { code, message, offered, via, attack } = refusal;
  const point = offered ? { offered: pointToWire(offered) } : {};
  return { code, message, attack, via: viaToWire(via), ...point };
}
