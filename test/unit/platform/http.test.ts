/** HTTP against raw sockets that lie, stall and cut, and against TLS with certificates of ours. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTls, type Server as TlsServer } from 'node:tls';
import type { Result } from '#errors/fault.ts';
import { bunHttp } from '#platform/bun/http.ts';
import type { HttpRequest, HttpResponse } from '#platform/http.ts';
import { type Authority, authority } from '../../support/authority.ts';

const http = bunHttp();
const open = new Set<Server | TlsServer>();
const sockets = new Set<Socket>();

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of open) server.close();
  sockets.clear();
  open.clear();
});

interface Raw {
  readonly url: string;
  /** connections accepted so far */
  connections(): number;
  /** requests as they came */
  readonly heads: string[];
  /** resolves when all connections are closed */
  closed(): Promise<void>;
}

/** A server that answers each chunk it receives as `answer` says. */
async function raw(answer: (head: string, socket: Socket) => void): Promise<Raw> {
  let connections = 0;
  const heads: string[] = [];
  const closes: Promise<unknown>[] = [];
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    closes.push(new Promise((resolve) => socket.once('close', resolve)));
    socket.on('data', (chunk) => {
      heads.push(chunk.toString('latin1'));
      answer(chunk.toString('latin1'), socket);
    });
  });
  open.add(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  return {
    url: `http://127.0.0.1:${port}/`,
    connections: () => connections,
    heads,
    closed: async () => void (await Promise.all(closes)),
  };
}

function get(url: string, more: Partial<HttpRequest> = {}): Promise<Result<HttpResponse>> {
  return http.request({ method: 'GET', url, headers: {}, idleMs: 5_000, ...more });
}

/** `status text` or the code of the fault. */
async function outcome(response: Result<HttpResponse>): Promise<string> {
  if (!response.ok) return response.fault.code;
  let text = '';
  for await (const chunk of response.value.body) {
    if (!chunk.ok) return `${response.value.status} ${chunk.fault.code}`;
    text += new TextDecoder().decode(chunk.value);
  }
  return `${response.value.status} ${text}`;
}

const HELLO = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

describe('a request', () => {
  test('follows no redirect and decodes nothing', async () => {
    const server = await raw((_head, socket) =>
      socket.write(
        'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd',
      ),
    );
    const response = await get(server.url);
    expect(response.ok && response.value.headers).toMatchObject({
      location: 'http://127.0.0.1:1/',
      'content-encoding': 'gzip',
    });
    expect(await outcome(response)).toBe('302 abcd');
  });

  test('keeps its connection for the next ones, HEAD included', async () => {
    const server = await raw((head, socket) =>
      socket.write(head.startsWith('HEAD') ? HELLO.slice(0, -5) : HELLO),
    );
    for (let count = 0; count < 4; count++) {
      expect(await outcome(await get(server.url))).toBe('200 hello');
      const head = await get(server.url, { method: 'HEAD' });
      expect(head.ok && head.value.headers['content-length']).toBe('5');
      expect(await outcome(head)).toBe('200 ');
    }
    expect(server.connections()).toBe(1);
  });

  for (const [url, code] of [
    ['file:///etc/passwd', 'link.scheme-refused'],
    ['data:text/plain,hello', 'link.scheme-refused'],
    ['s3://bucket/key', 'link.scheme-refused'],
    ['http://user:secret@127.0.0.1/', 'link.scheme-refused'],
    ['not a url', 'link.scheme-refused'],
    ['http://127.0.0.1:1/', 'link.unreachable'],
    ['http://no-such-host.invalid/', 'link.unreachable'],
  ] as const) {
    test(`${url}: ${code}`, async () => {
      const response = await get(url);
      expect(await outcome(response)).toBe(code);
      expect(JSON.stringify(response)).not.toContain('secret');
    });
  }

  test('a large body is sent with its length, not in chunks', async () => {
    const sizes: number[] = [];
    const server = await raw((_head, socket) => {
      sizes.push(socket.bytesRead);
      if (socket.bytesRead > 200_000) socket.write(HELLO);
    });
    const body = new Uint8Array(200_000);
    expect(await outcome(await get(server.url, { method: 'PUT', body }))).toBe('200 hello');
    const head = server.heads[0]?.toLowerCase() ?? '';
    expect(head).toContain('content-length: 200000');
    expect(head).not.toContain('transfer-encoding');
  });
});

describe('an answer that is none', () => {
  for (const [name, bytes, expected] of [
    ['cut in the body', 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello', '200 link.cut'],
    [
      'cut in a chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe',
      '200 link.cut',
    ],
    ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n\r\n', 'link.cut'],
    ['nothing', '', 'link.cut'],
    ['HTTP/1.0 until the end (N11)', 'HTTP/1.0 200 OK\r\n\r\nall', '200 all'],
  ] as const) {
    test(`${name}: ${expected}`, async () => {
      const server = await raw((_head, socket) => socket.end(bytes));
      expect(await outcome(await get(server.url))).toBe(expected);
    });
  }

  test('endless headers end with an error, not with the memory', async () => {
    const server = await raw((_head, socket) => {
      socket.write('HTTP/1.1 200 OK\r\nX: ');
      const more = (): void => {
        while (!socket.destroyed && socket.write('a'.repeat(65_536)));
        if (!socket.destroyed) socket.once('drain', more);
      };
      more();
    });
    expect(await outcome(await get(server.url))).toBe('link.cut');
  });
});

describe('silence', () => {
  test('before the answer: link.timeout, and the connection is closed', async () => {
    const server = await raw(() => {});
    expect(await outcome(await get(server.url, { idleMs: 50 }))).toBe('link.timeout');
    await server.closed();
  });

  test('in the body: link.timeout, and the connection is closed', async () => {
    const server = await raw((_head, socket) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello'),
    );
    expect(await outcome(await get(server.url, { idleMs: 50 }))).toBe('200 link.timeout');
    await server.closed();
  });

  test('a trickle is no silence', async () => {
    const server = await raw((_head, socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n');
      let sent = 0;
      const timer = setInterval(() => {
        sent += 1;
        socket.write('x');
        if (sent === 20) clearInterval(timer);
      }, 20);
    });
    expect(await outcome(await get(server.url, { idleMs: 200 }))).toBe(`200 ${'x'.repeat(20)}`);
  });
});

describe('giving up', () => {
  const endless = (): Promise<Raw> =>
    raw((_head, socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
      const more = (): void => {
        while (!socket.destroyed && socket.write('a'.repeat(65_536)));
        if (!socket.destroyed) socket.once('drain', more);
      };
      more();
    });

  test('cancel closes the connection of a body that nobody read', async () => {
    const server = await endless();
    const response = await get(server.url);
    if (response.ok) response.value.cancel();
    await server.closed();
    expect(server.connections()).toBe(1);
  });

  test('leaving the loop closes the connection', async () => {
    const server = await endless();
    const response = await get(server.url);
    if (!response.ok) throw new Error(response.fault.message);
    for await (const _chunk of response.value.body) break;
    await server.closed();
    expect(server.connections()).toBe(1);
  });

  test('the signal of the caller ends a request that waits, with link.cut', async () => {
    const server = await raw(() => controller.abort());
    const controller = new AbortController();
    expect(await outcome(await get(server.url, { signal: controller.signal }))).toBe('link.cut');
    await server.closed();
  });

  test('a slow reader holds the sender back', async () => {
    let sent = 0;
    const server = await raw((_head, socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
      const more = (): void => {
        let room = true;
        while (room && sent < 100_000_000 && !socket.destroyed) {
          sent += 65_536;
          room = socket.write(Buffer.alloc(65_536));
        }
        if (!room) socket.once('drain', more);
      };
      more();
    });
    const response = await get(server.url);
    if (!response.ok) throw new Error(response.fault.message);
    // One chunk, then nothing until the sender stands still.
    const chunks = response.value.body[Symbol.asyncIterator]();
    await chunks.next();
    let before = -1;
    while (before !== sent) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(sent).toBeLessThan(50_000_000);
    response.value.cancel();
  });
});

describe('TLS', () => {
  let ours: Authority;
  let other: Authority;
  beforeAll(() => {
    ours = authority('ours');
    other = authority('other');
  });
  afterAll(() => {
    ours.remove();
    other.remove();
  });

  /** @returns URL of a TLS server that wants a client certificate when `ca` is given */
  async function serve(cert: string, key: string, ca?: string): Promise<string> {
    const server = createTls(
      { cert, key, ...(ca ? { ca, requestCert: true, rejectUnauthorized: true } : {}) },
      (socket) => {
        socket.on('error', () => {});
        socket.on('data', () => socket.write(HELLO));
      },
    );
    server.on('tlsClientError', () => {});
    open.add(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const address = server.address();
    return `https://localhost:${typeof address === 'object' ? address?.port : 0}/`;
  }

  test('the right anchor: accepted, by name and by address', async () => {
    const { cert, key } = ours.leaf('DNS:localhost,IP:127.0.0.1');
    const url = await serve(cert, key);
    const tls = { ca: ours.cert };
    expect(await outcome(await get(url, { tls }))).toBe('200 hello');
    expect(await outcome(await get(url.replace('localhost', '127.0.0.1'), { tls }))).toBe(
      '200 hello',
    );
  });

  test('an anchor beside the system’s counts; another one does not', async () => {
    const { cert, key } = ours.leaf('DNS:localhost');
    const url = await serve(cert, key);
    expect(await outcome(await get(url, { tls: { addCa: ours.cert } }))).toBe('200 hello');
    const tls = { addCa: other.cert };
    expect(await outcome(await get(url, { tls }))).toBe('link.tls-untrusted');
  });

  test('another anchor, another name, no anchor (N08): link.tls-untrusted', async () => {
    const { cert, key } = ours.leaf('DNS:elsewhere');
    const url = await serve(cert, key);
    expect(await outcome(await get(url, { tls: { ca: other.cert } }))).toBe('link.tls-untrusted');
    expect(await outcome(await get(url, { tls: { ca: ours.cert } }))).toBe('link.tls-untrusted');
    expect(await outcome(await get(url))).toBe('link.tls-untrusted');
  });

  test('an accepted connection is not used for a request with other anchors', async () => {
    const { cert, key } = ours.leaf('DNS:localhost');
    const url = await serve(cert, key);
    expect(await outcome(await get(url, { tls: { ca: ours.cert } }))).toBe('200 hello');
    expect(await outcome(await get(url, { tls: { ca: other.cert } }))).toBe('link.tls-untrusted');
  });

  test('NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing (N08)', async () => {
    const { cert, key } = ours.leaf('DNS:localhost');
    const url = await serve(cert, key);
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      expect(await outcome(await get(url))).toBe('link.tls-untrusted');
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
  });

  test('a client certificate is shown where it is asked for', async () => {
    const { cert, key } = ours.leaf('DNS:localhost');
    const url = await serve(cert, key, ours.cert);
    const client = ours.leaf('DNS:device');
    const tls = { ca: ours.cert, cert: client.cert, key: client.key };
    expect(await outcome(await get(url, { tls }))).toBe('200 hello');
    expect(await outcome(await get(url, { tls: { ca: ours.cert } }))).toStartWith('link.');
  });

  test('PEM that is none is named', async () => {
    const { cert, key } = ours.leaf('DNS:localhost');
    const url = await serve(cert, key);
    const response = await get(url, { tls: { ca: 'nonsense' } });
    expect(response.ok ? '' : response.fault.message).toContain('tls.ca cannot be read as PEM');
  });
});
