/** TCP connections for a broker, their frames watched, by node:net. */
import { createServer, type Server, type Socket } from 'node:net';
import { ok, refuse } from '#errors/fault.ts';
import type { Listening } from '#platform/listener.ts';
import type { MqttListener } from '#platform/mqtt-listener.ts';
import { errnoOf } from './errno.ts';
import { watchedStream } from './mqtt-frames.ts';

const CONNECTIONS_MAX = 10_000;

export function systemMqttListener(): MqttListener {
  return {
    async listen({ host, port, messageCap }, accept) {
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('error', () => undefined);
        socket.once('close', () => sockets.delete(socket));
        accept(watchedStream(socket, messageCap, () => socket.destroy()));
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
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
