/**
 * What an unexpected HTTP status means, with the server's own words: the first error of a registry's
 * JSON body, else nothing. At most LIMITS.errorBodyBytes are read (http.ts counts).
 * @see OCI distribution-spec 1.1, "Error codes"
 */
import { type Fault, fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import { isJsonObject, type Json, type JsonObject, readStrictJson } from '#wire/strict-json.ts';
import { type LinkResponse, readBody } from './http.ts';
import { printable } from './printable.ts';
import { readHttpDate, readRetryAfter } from './retry-after.ts';

/** Drains the body. */
export async function statusFault(
  clock: Pick<Clock, 'wallMs'>,
  response: LinkResponse,
): Promise<Fault> {
  const { status, headers, url } = response;
  const peer = url.host;
  const where = `${url.origin}${url.pathname}`;
  const body = await readBody(response);
  const message = body.ok ? messageOf(body.value) : '';
  if (status === 401) {
    return fault('link.unauthorized', { peer, reason: message || 'it answered 401' }, { where });
  }
  if (status === 407) {
    const reason = 'it answered 407: it wants credentials';
    return fault('link.proxy', { peer, proxy: 'in the configuration', reason }, { where });
  }
  if (status === 403) return fault('link.forbidden', { peer, message }, { where });
  // The server's own clock dates its Retry-After; this device's may be dead.
  const nowMs = readHttpDate(headers.date) ?? clock.wallMs();
  const retryAfterMs = readRetryAfter(headers['retry-after'], nowMs);
  const extra = { where, ...(retryAfterMs === null ? {} : { retryAfterMs }) };
  if (status === 429 || status === 503) return fault('link.rate-limited', { peer, status }, extra);
  return fault('link.http-status', { peer, status, message }, extra);
}

function messageOf(body: Uint8Array): string {
  if (body.length === 0) return '';
  const json = readStrictJson(body, 'the error');
  if (!json.ok) return '';
  const errors = isJsonObject(json.value) ? json.value.errors : undefined;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (!isJsonObject(first as Json)) return '';
  const { code, message } = first as JsonObject;
  return printable([code, message].filter((part) => typeof part === 'string').join(': '));
}
