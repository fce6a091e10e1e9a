/**
 * Byte streams joined to byte streams: what HTTP needs where the runtime's own client cannot take a
 * socket that was opened and checked elsewhere (TLS with a dead clock, link/dead-clock.ts), and what
 * everything but HTTP needs to pass a proxy or to look like HTTP.
 */
import type { Result } from '#errors/fault.ts';
import type { Socket } from './tls.ts';

export interface Tunnels {
  /**
   * Listens on a unix socket (0600, in a directory that only this user may enter) and joins each
   * connection with a socket of its own from `open`, byte for byte, until either side ends. When
   * `open` fails the connection is closed; the caller keeps the fault.
   */
  listen(path: string, open: () => Promise<Result<Socket>>): Promise<Result<Tunnel>>;
  /**
   * CONNECT over an open socket to an HTTP proxy.
   * @param authority  host:port of the peer
   * @param authorization  value of Proxy-Authorization, or null
   * @returns the same socket, now leading to the peer; `link.proxy` for anything but 2xx
   * @see RFC 9110 section 9.3.6
   */
  throughProxy(
    socket: Socket,
    authority: string,
    authorization: string | null,
    timeoutMs: number,
  ): Promise<Result<Socket>>;
  /**
   * A WebSocket over an open socket, as a stream of bytes: MQTT inside (subprotocol `mqtt`).
   * @returns `link.websocket` when the peer does not open one
   * @see RFC 6455
   */
  webSocket(socket: Socket, target: WebSocketTarget, timeoutMs: number): Promise<Result<Socket>>;
}

export interface WebSocketTarget {
  /** host, with the port where it is not the scheme's own */
  readonly authority: string;
  /** begins with a slash, encoded as in a URL */
  readonly path: string;
}

export interface Tunnel {
  readonly path: string;
  /** Ends the listener and every connection. */
  close(): void;
}
