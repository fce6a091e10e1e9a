/** Whether a device is connected: retained, and the broker's last will (FORMATS: MQTT). */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { fieldCheck } from './field-check.ts';
import { PresenceSchema } from './generated/holdfast_pb.ts';
import { readMessage } from './strict-protobuf.ts';

export interface Presence {
  readonly online: boolean;
  readonly agentVersion: string;
  /** Unix ms by the device's clock; 0 = unset */
  readonly since: number;
}

/** characters */
const VERSION_MAX = 128;

export function readPresence(bytes: Uint8Array): Result<Presence> {
  const message = readMessage(PresenceSchema, bytes, 'presence', LIMITS.mqttMessageBytes);
  if (!message.ok) return message;
  const { online, agentVersion } = message.value;
  const check = fieldCheck();
  if (agentVersion !== '') check.text('agent_version', agentVersion, VERSION_MAX);
  const since = check.time('since', message.value.since);
  const problem = check.problem();
  if (problem !== null) return refuse('format.message', { what: 'presence', ...problem });
  return ok({ online, agentVersion, since });
}

export function writePresence(presence: Presence): Uint8Array {
  const { online, agentVersion, since } = presence;
  const message = create(PresenceSchema, { online, agentVersion, since: wholeMs(since) });
  return toBinary(PresenceSchema, message);
}

/** A wall clock before 1970 or with fractions is no reason to say nothing. */
function wholeMs(ms: number): bigint {
  return BigInt(Math.max(0, Math.trunc(ms)));
}
