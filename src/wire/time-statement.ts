/**
 * Time statements and what asks for them: payload bytes ↔ `state/time-statement`. Form only: whether
 * one counts is trust/time-statement.ts. A channel stands once in the heads, so that no two readers
 * pick another one.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { digestToBytes } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { isDeviceId, isId } from '#state/names.ts';
import type { TimeHead, TimeRequest, TimeStatement } from '#state/time-statement.ts';
import { type FieldCheck, fieldCheck, fleetToBytes } from './field-check.ts';
import {
  type Head as ProtoHead,
  TimeRequestSchema,
  TimeStatementSchema,
} from './generated/holdfast_pb.ts';
import { readMessage } from './strict-protobuf.ts';

const SPEC_VERSION = 1;
const WHAT = 'time statement';
/** bytes of a request: a nonce and an id */
const REQUEST_BYTES = 512;

/** @param payload  of the envelope, at most LIMITS.timeBytes */
export function readTimeStatement(payload: Uint8Array): Result<TimeStatement> {
  const message = readMessage(TimeStatementSchema, payload, WHAT, LIMITS.timeBytes);
  if (!message.ok) return message;
  const from = message.value;
  if (from.specVersion !== SPEC_VERSION) {
    return refuse('format.spec-version', { what: `the ${WHAT}`, found: from.specVersion });
  }
  const check = fieldCheck();
  check.require(from.at > 0n, 'at', 'it is not set');
  if (from.nonce.length > 0) checkNonce(check, from.nonce);
  if (from.deviceId !== '') check.require(isDeviceId(from.deviceId), 'device_id', 'no device id');
  const most = LIMITS.timeHeadsMax;
  check.require(from.heads.length <= most, 'heads', `${from.heads.length}; at most ${most}`);
  const statement: TimeStatement = {
    fleet: check.fleet('fleet', from.fleet),
    at: check.time('at', from.at),
    nonce: from.nonce,
    deviceId: from.deviceId,
    heads: from.heads.map((head, index) => readTimeHead(check, head, index)),
    rootVersion: from.rootVersion,
    notAfter: check.time('not_after', from.notAfter),
    critical: from.critical,
  };
  check.distinct(
    'heads.channel',
    statement.heads.map(({ channel }) => channel),
  );
  const problem = check.problem();
  return problem === null ? ok(statement) : refuse('format.message', { what: WHAT, ...problem });
}

function readTimeHead(check: FieldCheck, head: ProtoHead, index: number): TimeHead {
  const at = `heads[${index}]`;
  check.require(isId(head.channel), `${at}.channel`, 'not a channel id');
  check.require(head.epoch >= 1n, `${at}.epoch`, 'it starts at 1');
  check.require(head.sequence >= 1n, `${at}.sequence`, 'it starts at 1');
  const { channel, epoch, sequence } = head;
  return { channel, epoch, sequence, digest: check.digest(`${at}.state_digest`, head.stateDigest) };
}

/** The same statement always gives the same bytes. */
export function writeTimeStatement(statement: TimeStatement): Uint8Array {
  const message = create(TimeStatementSchema, {
    specVersion: SPEC_VERSION,
    fleet: fleetToBytes(statement.fleet),
    at: BigInt(statement.at),
    nonce: statement.nonce,
    deviceId: statement.deviceId,
    heads: statement.heads.map(({ channel, epoch, sequence, digest }) => ({
      channel,
      epoch,
      sequence,
      stateDigest: digestToBytes(digest),
    })),
    rootVersion: statement.rootVersion,
    notAfter: BigInt(statement.notAfter),
    critical: [...statement.critical],
  });
  return toBinary(TimeStatementSchema, message);
}

/** @param bytes  anybody's */
export function readTimeRequest(bytes: Uint8Array): Result<TimeRequest> {
  const what = 'time request';
  const message = readMessage(TimeRequestSchema, bytes, what, REQUEST_BYTES);
  if (!message.ok) return message;
  const { nonce, deviceId } = message.value;
  const check = fieldCheck();
  checkNonce(check, nonce);
  check.require(isDeviceId(deviceId), 'device_id', 'not a device id');
  const problem = check.problem();
  return problem === null
    ? ok({ nonce, deviceId })
    : refuse('format.message', { what, ...problem });
}

export function writeTimeRequest({ nonce, deviceId }: TimeRequest): Uint8Array {
  return toBinary(TimeRequestSchema, create(TimeRequestSchema, { nonce, deviceId }));
}

function checkNonce(check: FieldCheck, { length }: Uint8Array): void {
  const { timeNonceMin: min, timeNonceMax: max } = LIMITS;
  check.require(length >= min && length <= max, 'nonce', `${length} bytes; ${min} to ${max}`);
}
