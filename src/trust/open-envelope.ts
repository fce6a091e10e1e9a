/** Checks 5 and 6: the envelope, before anything in it is believed or its payload is looked at. */

import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { readEnvelope } from '#wire/envelope.ts';
import { type Outcome, passed, stop, stopWith } from './outcome.ts';

export interface Expected {
  /** payload type, byte for byte */
  readonly type: string;
  readonly bytesMax: number;
  /** for messages */
  readonly what: string;
}

export function openEnvelope(
  offered: Uint8Array | Envelope,
  expected: Expected,
): Outcome<Envelope> {
  const parsed = parseEnvelope(offered, expected);
  return parsed.kind === 'passed' ? judgePayloadType(parsed.value, expected.type) : parsed;
}

// Check 5
export function parseEnvelope(
  offered: Uint8Array | Envelope,
  { bytesMax, what }: Pick<Expected, 'bytesMax' | 'what'>,
): Outcome<Envelope> {
  const size = offered instanceof Uint8Array ? offered.length : offered.payload.length;
  if (size > bytesMax) return stop('trust.too-large', { what, size, most: bytesMax });
  let envelope: Envelope;
  if (offered instanceof Uint8Array) {
    const read = readEnvelope(offered);
    if (!read.ok) return stopWith(read.fault);
    envelope = read.value;
  } else envelope = offered;
  const count = envelope.signatures.length;
  return count > LIMITS.signaturesMax
    ? stop('trust.too-many-signatures', { count, most: LIMITS.signaturesMax })
    : passed(envelope, `${size} bytes, ${count} signatures`);
}

// Check 6
export function judgePayloadType(envelope: Envelope, wanted: string): Outcome<Envelope> {
  return envelope.payloadType === wanted
    ? passed(envelope, wanted)
    : stop('trust.payload-type', {
        got: JSON.stringify(envelope.payloadType.slice(0, 128)),
        wanted,
      });
}
