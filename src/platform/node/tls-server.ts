/**
 * A TLS server in front of any handler of plain streams. Clients may show a certificate: it counts
 * when it is one of `ca`'s, in force and for clients; any other is as if there were none, so that a
 * device whose certificate has ended can still ask for a new one.
 */
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { RemotePeer, ServerTls } from '#platform/listener.ts';

/** ms for the handshake */
const HANDSHAKE_MS = 20_000;

export interface SecureServer {
  readonly server: Server;
  /** Ends every connection; the listening itself is the caller's. */
  destroyAll(): void;
}

/** Throws when certificate or key cannot be used, as node:tls does. */
export function secureServer(
  { cert, key, ca, minVersion = 'TLSv1.2' }: ServerTls,
  accept: (stream: TLSSocket, peer: RemotePeer) => void,
): SecureServer {
  const sockets = new Set<TLSSocket>();
  let ended = false;
  const server = createServer(
    {
      ...{ cert, key, minVersion, handshakeTimeout: HANDSHAKE_MS },
      ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false }),
    },
    (socket) => {
      socket.on('error', () => socket.destroy());
      // Its handshake came to its end after everything was to end.
      if (ended) return void socket.destroy();
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      accept(socket, peerOf(socket));
    },
  );
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return {
    server,
    destroyAll() {
      ended = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

export function peerOf(socket: TLSSocket): RemotePeer {
  const address = socket.remoteAddress ?? '';
  const shown = socket.authorized ? socket.getPeerCertificate() : null;
  const certificate = shown?.raw === undefined ? null : new Uint8Array(shown.raw);
  return { address, certificate };
}
