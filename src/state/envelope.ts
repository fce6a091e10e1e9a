/** A DSSE envelope, not yet verified. */
export interface Envelope {
  readonly payloadType: string;
  /** the signed bytes, exactly as received */
  readonly payload: Uint8Array;
  readonly signatures: readonly Signature[];
}

export interface Signature {
  readonly keyid: string;
  readonly sig: Uint8Array;
}
