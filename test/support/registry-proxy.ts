/**
 * An HTTP proxy in front of a real registry that counts what is asked and, where a test says so, cuts
 * an answer, hides Range, answers itself or is not there at all: the link as it is in the field.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
  readonly status: number;
  /** bytes of the body that went through */
  readonly bytes: number;
}

export type Trick =
  /** the connection ends after this many bytes of the body */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** as a registry that knows no Range */
  | { readonly kind: 'whole' }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
    };

export interface RegistryProxy {
  readonly port: number;
  /** finished requests, in order */
  readonly asked: Asked[];
  /** What is done to a request; null: nothing. */
  trick: (asked: { readonly method: string; readonly path: string }) => Trick | null;
  /** Nobody listens any more; open connections end. */
  down(): Promise<void>;
  up(): Promise<void>;
}

export async function startRegistryProxy(upstream: number): Promise<RegistryProxy> {
  const sockets = new Set<Socket>();
  const listen = (port: number) =>
    new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', () => resolve());
    });
  const server = createServer((asked, answer) => forward(proxy, upstream, asked, answer));
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const proxy: RegistryProxy = {
    port,
    asked: [],
    trick: () => null,
    async down() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    up: () => listen(port),
  };
  return proxy;
}

function forward(
  proxy: RegistryProxy,
  upstream: number,
  asked: IncomingMessage,
  answer: ServerResponse,
): void {
  const { method = '', url: path = '' } = asked;
  const range = asked.headers.range ?? null;
  const trick = proxy.trick({ method, path });
  const noted = (status: number, bytes: number) =>
    void proxy.asked.push({ method, path, range, status, bytes });
  if (trick?.kind === 'answer') {
    answer.writeHead(trick.status, { 'content-length': '0', ...trick.headers });
    answer.end();
    noted(trick.status, 0);
    return;
  }
  const headers = { ...asked.headers };
  if (trick?.kind === 'whole') delete headers.range;
  const further = request({ host: '127.0.0.1', port: upstream, method, path, headers }, (from) => {
    answer.writeHead(from.statusCode ?? 502, from.rawHeaders);
    let bytes = 0;
    from.on('data', (chunk: Buffer) => {
      const left = trick?.kind === 'cut' ? trick.afterBytes - bytes : chunk.length;
      const part = chunk.subarray(0, Math.max(0, left));
      bytes += part.length;
      if (answer.write(part)) {
        if (part.length < chunk.length) cut();
        return;
      }
      from.pause();
      answer.once('drain', () => {
        from.resume();
        if (part.length < chunk.length) cut();
      });
    });
    const cut = () => {
      noted(from.statusCode ?? 0, bytes);
      from.destroy();
      // What was written has to reach the other side before the connection ends.
      answer.socket?.end();
    };
    from.on('end', () => {
      noted(from.statusCode ?? 0, bytes);
      answer.end();
    });
  });
  further.on('error', () => answer.destroy());
  answer.on('close', () => further.destroy());
  asked.pipe(further);
}
