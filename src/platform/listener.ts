/** A small HTTP server on a unix socket or a TCP address. */
import type { Result } from '#errors/fault.ts';

export interface Listener {
  listen(
    on: ListenOn,
    handle: (request: ServedRequest) => Promise<ServedResponse>,
  ): Promise<Result<Listening>>;
}

export type ListenOn =
  /** a socket file of a dead process is replaced; group by name, null: unchanged */
  | {
      readonly kind: 'unix';
      readonly path: string;
      readonly mode: number;
      readonly group: string | null;
    }
  /** port 0: any free one. tls: PEM texts */
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly tls?: ServerTls;
    };

/** PEM texts. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
  /** the authorities of client certificates */
  readonly ca?: string;
  /** with `ca`. Default: nobody gets in without a certificate */
  readonly clients?: 'required' | 'optional';
  /** with `clients: optional`. Default: TLSv1.2 */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
}

/** Who is at the other end of a connection. */
export interface RemotePeer {
  /** IP address; empty: a unix socket */
  readonly address: string;
  /** DER of a client certificate that `ServerTls.ca` vouches for; null: none */
  readonly certificate: Uint8Array | null;
}

export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

export interface ServedRequest {
  readonly method: string;
  /** path with query, as sent */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array>;
  readonly peer?: RemotePeer;
  /** aborts when the client goes away */
  readonly signal: AbortSignal;
}

export interface ServedResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
}
