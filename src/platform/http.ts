/** One HTTP request: no redirects followed, no decoding, no caps. `link/http.ts` adds those. */
import type { Result } from '#errors/fault.ts';

export interface Http {
  request(request: HttpRequest): Promise<Result<HttpResponse>>;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** http: or https: only */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly tls?: TlsOptions;
  /** http://[user:password@]host:port; CONNECT for https */
  readonly proxy?: string;
  /** path of a unix socket to connect to instead */
  readonly unixSocket?: string;
  /** over a connection of its own, made for it; default: one that is open may be used again */
  readonly fresh?: boolean;
  /** ms without a byte after which it fails with `link.timeout` */
  readonly idleMs: number;
  readonly signal?: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  /** names in lower case */
  readonly headers: Readonly<Record<string, string>>;
  /** Ends with `link.cut` when the connection breaks; must be drained or cancelled. */
  readonly body: AsyncIterable<Result<Uint8Array>>;
  cancel(): void;
}

export interface TlsOptions {
  /** PEM; when given, only these anchors count */
  readonly ca?: string;
  /** PEM; these count beside the system's anchors; without `ca` only */
  readonly addCa?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  /** of connections that link/ judges itself. Default: TLSv1.2 */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
}
