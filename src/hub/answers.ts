/** Answers of the registry: error bodies and status codes as the distribution-spec has them. */
import type { Fault } from '#errors/fault.ts';
import type { ServedResponse } from '#platform/listener.ts';

/** @see OCI distribution-spec 1.1, "Error codes" */
const STATUS = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  SIZE_INVALID: 413,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNSUPPORTED: 405,
  UNKNOWN: 500,
} as const;

export type OciCode = keyof typeof STATUS;

/** @param status  where the specification wants another one than the code's usual */
export function refusal(
  code: OciCode,
  message: string,
  status: number = STATUS[code],
): ServedResponse {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ errors: [{ code, message }] }),
  };
}

/** A fault of the disk. The client learns that it is the hub's, not its own. */
export function failure(fault: Fault): ServedResponse {
  return refusal('UNKNOWN', `${fault.code}: ${fault.message}`, isFull(fault) ? 507 : 500);
}

function isFull(fault: Fault): boolean {
  return fault.code === 'platform.no-space';
}
