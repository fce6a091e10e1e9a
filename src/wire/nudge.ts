/**
 * A nudge: an unsigned hint that something newer may be there (FORMATS: MQTT). It may carry the
 * envelope, the root chain and small contents; each of them is judged like one that was fetched.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type Digest, digestToBytes } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { isId } from '#state/names.ts';
import { envelopeFromProto, envelopeToProto } from './envelope.ts';
import { fieldCheck } from './field-check.ts';
import { NudgeSchema, type Nudge as ProtoNudge } from './generated/holdfast_pb.ts';
import { readMessage } from './strict-protobuf.ts';

export interface Nudge {
  readonly channel: string;
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly stateDigest: Digest | null;
  readonly manifestDigest: Digest | null;
  readonly urgent: boolean;
  readonly envelope: Envelope | null;
  /** ascending, like the layers of the artifact */
  readonly roots: readonly Envelope[];
  /** documents layer and blobs, found by their SHA-256 */
  readonly contents: readonly Uint8Array[];
  /** a time statement for everyone, along with it; default: none */
  readonly time?: Envelope | null;
}

/** @param bytes  one MQTT message, at most LIMITS.mqttMessageBytes */
export function readNudge(bytes: Uint8Array): Result<Nudge> {
  const message = readMessage(NudgeSchema, bytes, 'nudge', LIMITS.mqttMessageBytes);
  if (!message.ok) return message;
  const from = message.value;
  const check = fieldCheck();
  check.require(isId(from.channel), 'channel', 'not a channel id');
  check.require(
    from.roots.length <= LIMITS.rootStepsMax,
    'roots',
    `${from.roots.length}; at most ${LIMITS.rootStepsMax}`,
  );
  const stateDigest = check.digestOrNull('state_digest', from.stateDigest);
  const manifestDigest = check.digestOrNull('manifest_digest', from.manifestDigest);
  const problem = check.problem();
  if (problem !== null) return refuse('format.message', { what: 'nudge', ...problem });
  const envelopes = readEnvelopes(from);
  if (!envelopes.ok) return envelopes;
  const { channel, epoch, sequence, urgent, contents } = from;
  const { envelope, roots, time } = envelopes.value;
  return ok({
    channel,
    epoch,
    sequence,
    stateDigest,
    manifestDigest,
    urgent,
    envelope,
    roots,
    contents,
    time,
  });
}

function readEnvelopes(
  from: ProtoNudge,
): Result<Required<Pick<Nudge, 'envelope' | 'roots' | 'time'>>> {
  const envelope = from.envelope === undefined ? ok(null) : envelopeFromProto(from.envelope);
  if (!envelope.ok) return envelope;
  const time = from.time === undefined ? ok(null) : envelopeFromProto(from.time);
  if (!time.ok) return time;
  const roots: Envelope[] = [];
  for (const message of from.roots) {
    const root = envelopeFromProto(message);
    if (!root.ok) return root;
    roots.push(root.value);
  }
  return ok({ envelope: envelope.value, roots, time: time.value });
}

export function writeNudge(nudge: Nudge): Uint8Array {
  const { channel, epoch, sequence, stateDigest, manifestDigest, urgent } = nudge;
  const message = create(NudgeSchema, {
    channel,
    epoch,
    sequence,
    urgent,
    stateDigest: stateDigest === null ? new Uint8Array() : digestToBytes(stateDigest),
    manifestDigest: manifestDigest === null ? new Uint8Array() : digestToBytes(manifestDigest),
    roots: nudge.roots.map(envelopeToProto),
    contents: [...nudge.contents],
    ...(nudge.envelope === null ? {} : { envelope: envelopeToProto(nudge.envelope) }),
    ...(nudge.time ? { time: envelopeToProto(nudge.time) } : {}),
  });
  return toBinary(NudgeSchema, message);
}
