/** Other ways for HTTP: a proxy, with CONNECT for https, and the environment that names none. */
import { afterEach, describe, expect, test } from 'bun:test';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { bunHttp } from '#platform/bun/http.ts';
import type { HttpRequest } from '#platform/http.ts';
import { forgetProxies, thisProcess } from '#platform/node/self.ts';
import { authority } from '../../support/authority.ts';

const http = bunHttp();
const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

const HELLO = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

async function ask(more: Partial<HttpRequest>): Promise<string> {
  const request = { method: 'GET', url: '', headers: {}, idleMs: 3_000, ...more } as const;
  const response = await http.request(request);
  if (!response.ok) return response.fault.code;
  let text = `${response.value.status} `;
  for await (const chunk of response.value.body) {
    text += chunk.ok ? new TextDecoder().decode(chunk.value) : chunk.fault.code;
  }
  return text;
}

describe('a proxy', () => {
  test('gets the whole address of an http: request, and its credentials', async () => {
    const heads: string[] = [];
    const port = await listening(
      createServer((socket) =>
        socket.on('data', (chunk) => {
          heads.push(chunk.toString('latin1'));
          socket.write(HELLO);
        }),
      ),
    );
    const proxy = `http://user:pass@127.0.0.1:${port}`;
    expect(await ask({ url: 'http://plant.invalid/x', proxy })).toBe('200 hello');
    expect(heads[0]).toStartWith('GET http://plant.invalid/x HTTP/1.1');
    const basic = Buffer.from('user:pass').toString('base64');
    expect(heads[0]?.toLowerCase()).toContain(`proxy-authorization: basic ${basic.toLowerCase()}`);
  });

  test('is asked to CONNECT for https:, and sees nothing of what follows', async () => {
    const ours = authority('ours');
    const tls = createTls(ours.leaf('DNS:localhost'), (socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write(HELLO));
    });
    const target = await listening(tls);
    const seen: string[] = [];
    const port = await listening(
      createServer((socket) =>
        socket.once('data', (chunk) => {
          seen.push(chunk.toString('latin1'));
          const upstream = connect(target, '127.0.0.1');
          upstream.on('error', () => socket.destroy());
          socket.write('HTTP/1.1 200 OK\r\n\r\n');
          socket.pipe(upstream).pipe(socket);
        }),
      ),
    );
    const url = `https://localhost:${target}/secret`;
    const proxy = `http://127.0.0.1:${port}`;
    expect(await ask({ url, proxy, tls: { ca: ours.cert } })).toBe('200 hello');
    expect(seen.join('')).toStartWith(`CONNECT localhost:${target} HTTP/1.1`);
    expect(seen.join('')).not.toContain('secret');
    ours.remove();
  });

  test('that refuses CONNECT ends with a fault, not with its page as the answer (N09)', async () => {
    const port = await listening(
      createServer((socket) =>
        socket.on('data', () =>
          socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\npage'),
        ),
      ),
    );
    const proxy = `http://user:pass@127.0.0.1:${port}`;
    expect(await ask({ url: 'https://plant.invalid/', proxy })).toBe('link.proxy');
  });

  test('that cannot be reached is named without its password (N13)', async () => {
    const proxy = 'http://user:pass@127.0.0.1:1';
    const url = 'https://plant.invalid/';
    const response = await http.request({ method: 'GET', url, headers: {}, idleMs: 3_000, proxy });
    expect(response.ok ? '' : response.fault.message).toBe(
      'the proxy 127.0.0.1:1 does not lead to plant.invalid: it cannot be reached',
    );
  });

  test('named by the environment is not used once proxies are forgotten', async () => {
    process.env.HTTP_PROXY = 'http://127.0.0.1:1';
    process.env.http_proxy = 'http://127.0.0.1:1';
    forgetProxies();
    const port = await listening(
      createServer((socket) => socket.on('data', () => socket.write(HELLO))),
    );
    expect(process.env.HTTP_PROXY).toBeUndefined();
    expect(await ask({ url: `http://127.0.0.1:${port}/` })).toBe('200 hello');
  });
});

describe('the process itself', () => {
  test('hears a signal instead of ending, until it stops listening', async () => {
    const self = thisProcess();
    const heard = Promise.withResolvers<string>();
    const stop = self.onSignal(['SIGUSR2', 'SIGHUP'], (signal) => heard.resolve(signal));
    process.kill(self.pid, 'SIGUSR2');
    expect(await heard.promise).toBe('SIGUSR2');
    stop();
    expect(process.listenerCount('SIGUSR2')).toBe(0);
  });

  test('keeps the environment as it was at start', () => {
    const { env } = thisProcess();
    process.env.HOLDFAST_LATER = 'x';
    expect(env.HOLDFAST_LATER).toBeUndefined();
    delete process.env.HOLDFAST_LATER;
  });
});
