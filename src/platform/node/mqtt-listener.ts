/** TCP connections for a broker, their frames watched, by node:net. */
import { createServer, type Server, type Socket } from 'node:net';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Listening, ServerTls } from '#platform/listener.ts';
import type { MqttListener } from '#platform/mqtt-listener.ts';
import { errnoOf } from './errno.ts';
import { watchedStream } from './mqtt-stream.ts';
import { type SecureServer, secureServer } from './tls-server.ts';

const CONNECTIONS_MAX = 10_000;

export function systemMqttListener(): MqttListener {
  return {
    async listen({ host, port, messageCap, tls }, accept) {
      if (tls !== undefined) return listenSecure({ host, port, messageCap, tls }, accept);
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('error', () => undefined);
        socket.once('close', () => sockets.delete(socket));
        const peer = { address: socket.remoteAddress ?? '', certificate: null };
        accept(
          watchedStream(socket, messageCap, () => socket.destroy()),
          peer,
        );
      });
      server.maxConnections = CONNECTIONS_MAX;
      const failed = await bind(server, host, port);
      if (failed !== null) {
        return refuse('platform.listen', { address: `${host}:${port}`, reason: failed });
      }
      return ok(listening(server, sockets));
    },
  };
}

async function listenSecure(
  { host, port, messageCap, tls }: Parameters<MqttListener['listen']>[0] & { tls: ServerTls },
  accept: Parameters<MqttListener['listen']>[1],
): Promise<Result<Listening>> {
  const no = (reason: string): Result<Listening> =>
    refuse('platform.listen', { address: `${host}:${port}`, reason });
  let secure: SecureServer;
  try {
    secure = secureServer(tls, (stream, peer) =>
      accept(
        watchedStream(stream, messageCap, () => stream.destroy()),
        peer,
      ),
    );
  } catch {
    return no('its certificate or key cannot be used');
  }
  const { server } = secure;
  server.maxConnections = CONNECTIONS_MAX;
  const failed = await bind(server, host, port);
  if (failed !== null) return no(failed);
  return ok({
    port: portOf(server),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        secure.destroyAll();
      }),
  });
}

/** Null when it listens, else the errno. */
function bind(server: Server, host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(errnoOf(error)));
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      server.on('error', () => undefined);
      resolve(null);
    });
  });
}

function listening(server: Server, sockets: ReadonlySet<Socket>): Listening {
  return {
    port: portOf(server),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
