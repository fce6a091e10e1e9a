/**
 * A proxy that ends TLS, as companies run them to read what passes: it answers CONNECT, shows a
 * certificate of its own for the host that was asked for, and passes requests on to one registry. Where
 * a test says so, it changes what comes back.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import type { CertificateFiles } from './certificates.ts';

/** @returns what is sent in place of the body; the same bytes: nothing is changed */
export type Alter = (path: string, body: Buffer) => Buffer | Promise<Buffer>;

export interface TlsEndingProxy {
  readonly port: number;
  /** paths that were asked for */
  readonly asked: string[];
  alter: Alter;
  close(): void;
}

/** @param leaf  names every host that devices ask for */
export async function startTlsEndingProxy(
  leaf: CertificateFiles,
  upstream: number,
): Promise<TlsEndingProxy> {
  const inner = createTlsServer(
    { cert: readFileSync(leaf.cert), key: readFileSync(leaf.key) },
    (asked, answer) => forward(proxy, upstream, asked, answer),
  );
  const outer = createServer();
  outer.on('connect', (_asked, client, head) => {
    const within = connect((inner.address() as AddressInfo).port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      within.write(head);
      within.pipe(client).pipe(within);
    });
    for (const socket of [within, client]) {
      socket.on('error', () => {
        within.destroy();
        client.destroy();
      });
    }
  });
  for (const server of [inner, outer]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  }
  const proxy: TlsEndingProxy = {
    port: (outer.address() as AddressInfo).port,
    asked: [],
    alter: (_path, body) => body,
    close() {
      for (const server of [inner, outer]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
  return proxy;
}

function forward(
  proxy: TlsEndingProxy,
  upstream: number,
  asked: IncomingMessage,
  answer: ServerResponse,
): void {
  const { method = '', url: path = '' } = asked;
  proxy.asked.push(`${method} ${path}`);
  const headers = { ...asked.headers, host: `127.0.0.1:${upstream}` };
  const further = request({ host: '127.0.0.1', port: upstream, method, path, headers }, (from) => {
    const chunks: Buffer[] = [];
    from.on('data', (chunk: Buffer) => void chunks.push(chunk));
    from.on('end', async () => {
      const body = await proxy.alter(path, Buffer.concat(chunks));
      const { 'content-length': claimed, ...kept } = from.headers;
      const length = method === 'HEAD' ? claimed : `${body.length}`;
      answer.writeHead(from.statusCode ?? 502, {
        ...kept,
        ...(length === undefined ? {} : { 'content-length': length }),
      });
      answer.end(body);
    });
  });
  further.on('error', () => answer.destroy());
  asked.pipe(further);
}

/** The same bytes but for one bit in the middle. */
export function flipped(body: Buffer): Buffer {
  const copy = Buffer.from(body);
  const at = Math.floor(copy.length / 2);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
