/** A DSSE envelope alone as one protobuf message: what status topics carry. */
import { toBinary } from '@bufbuild/protobuf';
import type { Result } from '#errors/fault.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { envelopeFromProto, envelopeToProto } from './envelope.ts';
import { EnvelopeSchema } from './generated/holdfast_pb.ts';
import { readMessage } from './strict-protobuf.ts';

/** Not yet verified; of at most `cap` bytes. */
export function readEnvelopeMessage(
  bytes: Uint8Array,
  cap: number = LIMITS.mqttMessageBytes,
): Result<Envelope> {
  // Check 5
  const message = readMessage(EnvelopeSchema, bytes, 'envelope', cap);
  return message.ok ? envelopeFromProto(message.value) : message;
}

export function writeEnvelopeMessage(envelope: Envelope): Uint8Array {
  return toBinary(EnvelopeSchema, envelopeToProto(envelope));
}
