/**
 * Did the client of the path send this? (MARGO.md section 10; M72–M74.) The key is that of the certificate
 * which was onboarded for the id in the path; what `keyid` says decides nothing. Method, target and,
 * with a body, its digest must be covered; `created` is at most five minutes old and never ahead.
 */
import type { MessageAlgorithm, MessageVerifier } from '#platform/message-keys.ts';
import {
  componentsOf,
  fitsContentDigest,
  type HttpSignature,
  readSignatures,
  type SignedMessage,
  signatureBase,
} from '#wire/http-signature.ts';

export interface SignedRequest {
  readonly method: string;
  /** what the client may have called this target: all that this manager is known by */
  readonly urls: readonly string[];
  readonly headers: SignedMessage['headers'];
  readonly body: Uint8Array;
}

export interface Unsigned {
  readonly status: 400 | 401;
  readonly reason: string;
}

/** ms */
const OLD_MS = 300_000;
/** ms: seconds that both ends round down */
const ROUNDING_MS = 999;

/** Null: it did. */
export function judgeSigned(
  request: SignedRequest,
  verifier: MessageVerifier,
  nowMs: number,
): Unsigned | null {
  const { headers, body } = request;
  const digest = headers['content-digest'];
  if (digest !== undefined && !fitsContentDigest(digest, body)) {
    return { status: 400, reason: 'Content-Digest is not the SHA-256 of the body' };
  }
  const signatures = readSignatures(headers);
  if (signatures === null) return refused('there is no readable signature (RFC 9421)');
  let why = '';
  for (const signature of signatures) {
    const unfit = unfitOf(signature, body.length > 0, nowMs);
    const proven = unfit === null && proves(signature, request, verifier);
    if (proven) return null;
    why = unfit ?? 'no key of this client has signed the request as it came';
  }
  return refused(why);
}

function refused(reason: string): Unsigned {
  return { status: 401, reason };
}

function unfitOf(
  { covered, created, expires }: HttpSignature,
  hasBody: boolean,
  nowMs: number,
): string | null {
  const needed = ['@method', '@target-uri', ...(hasBody ? ['content-digest'] : [])];
  const missing = needed.find((name) => !covered.includes(name));
  if (missing !== undefined) return `the signature does not cover ${missing}`;
  if (created === null) return 'the signature does not say when it was created';
  const at = created * 1_000;
  if (at > nowMs + ROUNDING_MS) return 'the signature was created in the future';
  if (at < nowMs - OLD_MS) return 'the signature is older than five minutes';
  return expires !== null && expires * 1_000 < nowMs ? 'the signature has expired' : null;
}

function proves(
  { covered, params, algorithm, signature }: HttpSignature,
  { method, urls, headers }: SignedRequest,
  verifier: MessageVerifier,
): boolean {
  const named = verifier.algorithms.find((one) => one === algorithm);
  const used: MessageAlgorithm | undefined = algorithm === null ? verifier.algorithms[0] : named;
  if (used === undefined) return false;
  return urls.some((url) => {
    const base = signatureBase(covered, params, componentsOf({ method, url, headers }));
    return base !== null && verifier.verify(used, base, signature);
  });
}
