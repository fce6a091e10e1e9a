/**
 * The DSSE envelope in its two forms: JSON in files and OCI blobs, protobuf on MQTT; the same three
 * things, byte for byte. Only the envelope is parsed here, never the payload (check 5).
 * Members that DSSE does not name are ignored, as its specification asks: nothing of them counts.
 * @see https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md
 */
import { create } from '@bufbuild/protobuf';
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import type { Envelope, Signature } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import {
  EnvelopeSchema,
  type Envelope as ProtoEnvelope,
  SignatureSchema,
} from './generated/holdfast_pb.ts';
import { isJsonObject, type Json, readStrictJson } from './strict-json.ts';
import { decodeBase64, encodeBase64, encodeText, hasControl } from './text.ts';

/** characters: a media type, a hint */
const TYPE_MAX = 255;
const KEYID_MAX = 255;

/** From DSSE JSON of at most LIMITS.envelopeBytes. */
export function readEnvelope(json: Uint8Array): Result<Envelope> {
  // Check 5
  if (json.length > LIMITS.envelopeBytes) return tooLarge(json.length);
  const value = readStrictJson(json, 'envelope');
  if (!value.ok) return value;
  if (!isJsonObject(value.value)) return unusable('it is no JSON object');
  const { payloadType, payload, signatures } = value.value;
  if (typeof payloadType !== 'string') return unusable('payloadType is missing or no string');
  if (typeof payload !== 'string') return unusable('payload is missing or no string');
  if (!Array.isArray(signatures)) return unusable('signatures is missing or no array');
  if (signatures.length > LIMITS.signaturesMax) return tooManySignatures(signatures.length);
  const bytes = decodeBase64(payload);
  if (bytes === null) return unusable('payload is not standard padded base64');
  const decoded: Signature[] = [];
  for (const signature of signatures as readonly Json[]) {
    const one = readSignature(signature);
    if (!one.ok) return one;
    decoded.push(one.value);
  }
  return checked({ payloadType, payload: bytes, signatures: decoded });
}

export function writeEnvelope(envelope: Envelope): Uint8Array {
  return encodeText(
    JSON.stringify({
      payloadType: envelope.payloadType,
      payload: encodeBase64(envelope.payload),
      signatures: envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig: encodeBase64(sig) })),
    }),
  );
}

export function envelopeFromProto(message: ProtoEnvelope): Result<Envelope> {
  // Check 5
  if (message.payload.length > LIMITS.envelopeBytes) return tooLarge(message.payload.length);
  if (message.signatures.length > LIMITS.signaturesMax) {
    return tooManySignatures(message.signatures.length);
  }
  return checked({
    payloadType: message.payloadType,
    payload: message.payload,
    signatures: message.signatures.map(({ keyid, sig }) => ({ keyid, sig })),
  });
}

export function envelopeToProto(envelope: Envelope): ProtoEnvelope {
  return create(EnvelopeSchema, {
    payloadType: envelope.payloadType,
    payload: envelope.payload,
    signatures: envelope.signatures.map(({ keyid, sig }) =>
      create(SignatureSchema, { keyid, sig }),
    ),
  });
}

/** `keyid` is optional in DSSE, and a hint (check 8). */
function readSignature(value: Json): Result<Signature> {
  if (!isJsonObject(value)) return unusable('a signature is no JSON object');
  const { keyid = '', sig } = value;
  if (typeof keyid !== 'string') return unusable('a keyid is no string');
  if (typeof sig !== 'string') return unusable('a sig is missing or no string');
  const bytes = decodeBase64(sig);
  if (bytes === null) return unusable('a sig is not standard padded base64');
  return ok({ keyid, sig: bytes });
}

function checked(envelope: Envelope): Result<Envelope> {
  const { payloadType, payload, signatures } = envelope;
  if (payloadType === '' || payloadType.length > TYPE_MAX || hasControl(payloadType)) {
    return unusable(`payloadType is empty, has controls, or is above ${TYPE_MAX} characters`);
  }
  if (payload.length === 0) return unusable('payload is empty');
  if (signatures.some(({ keyid }) => keyid.length > KEYID_MAX || hasControl(keyid))) {
    return unusable(`a keyid has controls or is above ${KEYID_MAX} characters`);
  }
  return ok(envelope);
}

function tooLarge(bytes: number): Refused {
  return unusable(`${bytes} bytes; at most ${LIMITS.envelopeBytes}`);
}

function tooManySignatures(count: number): Refused {
  return unusable(`${count} signatures; at most ${LIMITS.signaturesMax}`);
}

function unusable(reason: string): Refused {
  return refuse('format.envelope', { what: 'envelope', reason });
}
