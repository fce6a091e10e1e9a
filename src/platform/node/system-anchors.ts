/**
 * The anchors of one TLS connection as the runtime takes them. "Beside the system's" has to be spelt
 * out: an anchor that is given takes the place of all the others. The runtime keeps what it made of
 * one list (measured: 262 anchors, 3 ms and 3 MB the first time, 0.2 ms each time after).
 */
import { getCACertificates } from 'node:tls';
import type { TlsOptions } from '#platform/http.ts';

/** Undefined: the runtime's own. */
export function anchorsFor({ ca, addCa }: TlsOptions): string | string[] | undefined {
  if (ca !== undefined || addCa === undefined) return ca;
  return [...getCACertificates('default'), addCa];
}
