/**
 * A SPIFFE trust bundle as Margo uses it: a JWK set whose entries with `use` x509-svid carry anchors in
 * `x5c` (MARGO.md section 9; M06, M07). One without any is refused; other uses and unknown members are
 * ignored. Whoever takes a new one puts it in place of the old one, never beside it.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { isJsonObject, readStrictJson } from './strict-json.ts';
import { decodeBase64 } from './text.ts';

export interface TrustBundle {
  /** DER */
  readonly anchors: readonly Uint8Array[];
  /** only grows; null: it says none */
  readonly sequence: number | null;
  /** seconds; null: it says none */
  readonly refreshHint: number | null;
}

export const TRUST_BUNDLE_BYTES = 256 * 1024;
const ANCHORS_MAX = 32;

/** @param file  for messages */
export function readTrustBundle(bytes: Uint8Array, file: string): Result<TrustBundle> {
  const no = (reason: string): Result<TrustBundle> =>
    refuse('margo.trust-bundle', { file, reason });
  const json = readStrictJson(bytes, file);
  if (!json.ok) return no(json.fault.message);
  if (!isJsonObject(json.value) || !Array.isArray(json.value.keys)) return no('it has no keys');
  const anchors: Uint8Array[] = [];
  for (const key of json.value.keys) {
    if (!isJsonObject(key) || key.use !== 'x509-svid' || !Array.isArray(key.x5c)) continue;
    const [first] = key.x5c;
    const der = typeof first === 'string' ? decodeBase64(first) : null;
    if (der === null) return no('an x5c is no base64');
    anchors.push(der);
  }
  if (anchors.length === 0) return no('none of its keys is an anchor of X.509-SVIDs');
  if (anchors.length > ANCHORS_MAX) return no(`more than ${ANCHORS_MAX} anchors`);
  return ok({
    anchors,
    sequence: count(json.value.spiffe_sequence),
    refreshHint: count(json.value.spiffe_refresh_hint),
  });
}

function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
