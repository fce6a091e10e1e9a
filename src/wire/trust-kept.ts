/**
 * What leads to a trust bundle, and how a device keeps the one in force. The discovery document names a
 * trust domain and an https address (MARGO.md section 9). The kept form holds the exact bytes of the
 * bundle with the digest of the owner's file that was last taken, so that a newer file is told from one
 * that refreshing has left behind.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import { isJsonObject, readStrictJson } from './strict-json.ts';
import { decodeBase64, encodeBase64, encodeText } from './text.ts';
import { TRUST_BUNDLE_BYTES } from './trust-bundle.ts';

export interface Discovery {
  readonly trustDomain: string;
  /** https */
  readonly trustBundleUri: string;
}

export interface KeptTrustBundle {
  /** of the owner's file that was taken last, whether it is still in force or was refreshed since */
  readonly owner: Digest;
  /** exact bytes of the bundle in force */
  readonly bundle: Uint8Array;
}

export const DISCOVERY_BYTES = 16 * 1024;
/** base64 and the JSON around it */
export const KEPT_BYTES = 2 * TRUST_BUNDLE_BYTES;
const HTTPS = /^https:\/\/[^/\s@?#]+(?:\/[^\s@#]*)?$/;
const DOMAIN = /^[a-z0-9._-]{1,255}$/;
const URI_MAX = 2_048;

/** @param file  for messages */
export function readDiscovery(bytes: Uint8Array, file: string): Result<Discovery> {
  const no = (reason: string): Result<Discovery> => refuse('margo.trust-bundle', { file, reason });
  if (bytes.length > DISCOVERY_BYTES) return no(`more than ${DISCOVERY_BYTES} bytes`);
  const json = readStrictJson(bytes, file);
  if (!json.ok) return no(json.fault.message);
  if (!isJsonObject(json.value)) return no('it is no object');
  const { trustDomain, trustBundleUri } = json.value;
  if (typeof trustDomain !== 'string' || !DOMAIN.test(trustDomain)) {
    return no('/trustDomain: it names no trust domain');
  }
  const uri = typeof trustBundleUri === 'string' ? trustBundleUri : '';
  if (uri.length > URI_MAX || !HTTPS.test(uri)) return no('/trustBundleUri: only https:// counts');
  return ok({ trustDomain, trustBundleUri: uri });
}

/** Null: it is damaged; the owner's file counts then. */
export function readKeptTrustBundle(bytes: Uint8Array): KeptTrustBundle | null {
  const json = readStrictJson(bytes, 'the kept trust bundle');
  if (!json.ok || !isJsonObject(json.value)) return null;
  const { owner, bundle } = json.value;
  const digest = typeof owner === 'string' ? parseDigest(owner) : null;
  const content = typeof bundle === 'string' ? decodeBase64(bundle) : null;
  return digest && content ? { owner: digest, bundle: content } : null;
}

export function writeKeptTrustBundle({ owner, bundle }: KeptTrustBundle): Uint8Array {
  return encodeText(JSON.stringify({ owner, bundle: encodeBase64(bundle) }));
}
