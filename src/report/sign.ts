/** Signs a status with the device key: DSSE, as the protobuf envelope that goes over MQTT. */
import { ok, type Result } from '#errors/fault.ts';
import type { Signer } from '#platform/signer.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';

export interface SignedStatus {
  /** the message: a protobuf Envelope */
  readonly message: Uint8Array;
  /** of the payload: what the next report's `previous_report` names */
  readonly digest: Digest;
}

/** @param payload  of `makeStatus` */
export async function signStatus(
  signer: Signer,
  payload: Uint8Array,
): Promise<Result<SignedStatus>> {
  const signature = await signer.sign(pae(PAYLOAD.status, payload));
  if (!signature.ok) return signature;
  const message = writeEnvelopeMessage({
    payloadType: PAYLOAD.status,
    payload,
    signatures: [{ keyid: keyidOf(signer.publicKey), sig: signature.value }],
  });
  return ok({ message, digest: sha256(payload) });
}
