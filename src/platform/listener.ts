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
      readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
    };

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
  /** aborts when the client goes away */
  readonly signal: AbortSignal;
}

export interface ServedResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
}
