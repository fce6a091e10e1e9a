/**
 * The trust bundle that the hub as Margo manager serves, and the document that leads to it (MARGO.md
 * section 9; M06, M07). The operator's file is read again, so that devices learn of the next anchor before
 * anything is signed by it; one that cannot be used or is older is told and not served. Both are for
 * everyone: they are what a client checks the manager's certificate with.
 */
import type { Files } from '#platform/files.ts';
import type { ServedRequest, ServedResponse } from '#platform/listener.ts';
import type { Log } from '#platform/log.ts';
import { sha256 } from '#state/digest.ts';
import { readTrustBundle, TRUST_BUNDLE_BYTES } from '#wire/trust-bundle.ts';

export interface ServedTrust {
  bundle(): Uint8Array;
  discovery(): string;
}

export interface ServedTrustInput {
  readonly files: Pick<Files, 'readFile'>;
  readonly log: Log;
  /** path of the operator's file */
  readonly file: string;
  /** its content at the start, which reads */
  readonly first: Uint8Array;
  discovery(): string;
}

/** where tools look for it; what counts is the discovery document */
export const TRUST_BUNDLE_PATH = '/.well-known/spiffe/bundle.json';
const DISCOVERY_PATH = '/.well-known/margo';

export function servedTrust({ files, log, file, first, discovery }: ServedTrustInput): ServedTrust {
  let served = { bytes: first, sequence: sequenceOf(first, file) ?? 0 };
  let refused = '';
  return {
    discovery,
    bundle() {
      const read = files.readFile(file, TRUST_BUNDLE_BYTES);
      if (!read.ok || Buffer.compare(read.value, served.bytes) === 0) return served.bytes;
      const sequence = sequenceOf(read.value, file);
      if (sequence !== null && sequence >= served.sequence) {
        served = { bytes: read.value, sequence };
      } else if (refused !== sha256(read.value)) {
        refused = sha256(read.value);
        const reason = sequence === null ? 'it is no trust bundle' : 'its spiffe_sequence is lower';
        log.write('warn', 'margo.trust-bundle', { file, message: `not served: ${reason}` });
      }
      return served.bytes;
    },
  };
}

/** Null: another path. */
export function trustAnswer(
  trust: ServedTrust,
  { method, headers }: ServedRequest,
  path: string,
): ServedResponse | null {
  if (path !== TRUST_BUNDLE_PATH && path !== DISCOVERY_PATH) return null;
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { allow: 'GET' } };
  const body = path === TRUST_BUNDLE_PATH ? trust.bundle() : Buffer.from(trust.discovery());
  const etag = `"${sha256(body)}"`;
  const known = (headers['if-none-match'] ?? '').split(',').some((one) => one.trim() === etag);
  if (known) return { status: 304, headers: { etag } };
  return { status: 200, headers: { etag, 'content-type': 'application/json' }, body };
}

/** Null: it cannot be used. */
function sequenceOf(bytes: Uint8Array, file: string): number | null {
  const read = readTrustBundle(bytes, file);
  return read.ok ? (read.value.sequence ?? 0) : null;
}
