/** A plant's HTTP proxy: CONNECT for tunnels, the absolute form for plain http. */
import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

export interface ConnectProxy {
  readonly port: number;
  /** `METHOD target` of everything that went through */
  readonly asked: readonly string[];
  close(): void;
}

/** @param login  USER:PASSWORD that a client must give; default: nobody is asked */
export async function startConnectProxy(login: string | null = null): Promise<ConnectProxy> {
  const wanted = login === null ? null : `Basic ${Buffer.from(login).toString('base64')}`;
  const asked: string[] = [];
  const server = createServer((from, answer) => {
    const { method = '', url = '', headers } = from;
    if (wanted !== null && headers['proxy-authorization'] !== wanted) {
      answer.writeHead(407, { 'proxy-authenticate': 'Basic realm="plant"' }).end();
      return;
    }
    asked.push(`${method} ${url}`);
    const further = request(url, { method, headers }, (got) => {
      answer.writeHead(got.statusCode ?? 502, got.rawHeaders);
      got.pipe(answer);
    });
    further.on('error', () => answer.destroy());
    from.pipe(further);
  });
  server.on('connect', (from, client, head) => {
    if (wanted !== null && from.headers['proxy-authorization'] !== wanted) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    asked.push(`CONNECT ${from.url}`);
    const [host = '', port = ''] = (from.url ?? '').split(':');
    const further = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      further.write(head);
      further.pipe(client).pipe(further);
    });
    for (const socket of [further, client]) {
      socket.on('error', () => {
        further.destroy();
        client.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    asked,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
