/**
 * What a DSSE signature is made over. The lengths stand before the parts, so that no two pairs
 * (type, payload) share these bytes; that the type is signed keeps one kind of document from being
 * shown as another (check 6).
 *
 * @see https://github.com/secure-systems-lab/dsse/blob/master/protocol.md (PAE)
 */

/** `DSSEv1 SP len(type) SP type SP len(payload) SP payload`, lengths in bytes, decimal. */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array {
  const encoder = new TextEncoder();
  const type = encoder.encode(payloadType);
  const head = encoder.encode(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `);
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}
