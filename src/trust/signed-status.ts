/**
 * The signed status of a device, from a broker that may lie: whether the key in it has signed it.
 * Whose key that is, is the caller's to know: a fleet folder pins it, a hub has enrolled it. Pure.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Status } from '#state/status.ts';
import { readEnvelopeMessage } from '#wire/envelope-message.ts';
import { readStatus } from '#wire/status.ts';
import { pae } from './dsse.ts';
import { keyidOf, rawFromSpki, verifyEd25519 } from './ed25519.ts';

export interface SignedStatus {
  readonly status: Status;
  /** of the device key in it, which has signed it */
  readonly keyid: string;
}

/**
 * @param message  a protobuf Envelope, as the broker holds it
 * @param from  who it has to be of; fleet null: any
 */
export function readSignedStatus(
  message: Uint8Array,
  { fleet, device }: { readonly fleet: string | null; readonly device: string },
): Result<SignedStatus> {
  const no = (reason: string) => refuse('values.status', { device, reason });
  const envelope = readEnvelopeMessage(message);
  if (!envelope.ok) return envelope;
  const { payloadType, payload, signatures } = envelope.value;
  // Check 6
  if (payloadType !== PAYLOAD.status) return no('it is no status');
  const status = readStatus(payload);
  if (!status.ok) return status;
  const { deviceKey, deviceId } = status.value;
  if (fleet !== null && status.value.fleet !== fleet) return no('it is of another fleet');
  if (deviceId !== device) return no(`it is of ${deviceId}`);
  const key = rawFromSpki(deviceKey);
  // Check 9
  const signed =
    key !== null &&
    signatures.some(({ sig }) => verifyEd25519(key, pae(payloadType, payload), sig));
  return signed
    ? ok({ status: status.value, keyid: keyidOf(deviceKey) })
    : no('its signature is not that of the key in it');
}
