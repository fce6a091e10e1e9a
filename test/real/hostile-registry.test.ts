/**
 * A registry that lies, on real sockets, against the real HTTP client: lengths, ranges, endless and
 * stalled bodies, redirects that want the credentials (B04, C07, N01–N05, N11). Each ends with its
 * code, in bounded time and memory.
 */
import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { createServer, type Server, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { httpLink } from '#link/http.ts';
import { type BlobChunk, type Registry, registry } from '#link/registry.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';

const platform = bunPlatform({ logLevel: 'error', logFormat: 'json' });
const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});
afterAll(() => {
  for (const server of servers) server.close();
});

/** Answers each request head with what `answer` writes; sees every head that came. */
async function listen(answer: (socket: Socket, head: string) => void) {
  const heads: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    let pending = '';
    socket.on('data', (bytes) => {
      pending += bytes.toString('latin1');
      for (let end = pending.indexOf('\r\n\r\n'); end >= 0; end = pending.indexOf('\r\n\r\n')) {
        const head = pending.slice(0, end);
        pending = pending.slice(end + 4);
        heads.push(head);
        answer(socket, head);
      }
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { port, heads };
}

function open(port: number, idleMs = 2_000): Registry {
  const url = `http://127.0.0.1:${port}/plant/state`;
  const auth = { username: 'press', password: 'pw' };
  return registry(httpLink(platform, { idleMs }), {
    url,
    auth,
    tls: null,
    proxy: null,
    insecure: false,
  });
}

async function collect(chunks: AsyncIterable<BlobChunk>): Promise<{ bytes: number; end: string }> {
  let bytes = 0;
  let end = 'done';
  for await (const chunk of chunks) {
    if (chunk.kind === 'bytes') bytes += chunk.bytes.length;
    if (chunk.kind === 'failed') end = chunk.fault.code;
  }
  return { bytes, end };
}

const digest = sha256(Buffer.from('x'));
const head = (status: string, ...lines: readonly string[]): string =>
  [`HTTP/1.1 ${status}`, ...lines, '', ''].join('\r\n');

describe('bodies that lie', () => {
  test('C07: more bytes than Content-Length said, beyond the cap', async () => {
    const { port } = await listen((socket) => {
      socket.write(`${head('200 OK', 'Content-Length: 10')}${'x'.repeat(5000)}`);
    });
    const { bytes, end } = await collect(open(port).blob(digest, 0, 10));
    expect([bytes <= 10, ['done', 'source.too-large', 'link.cut'].includes(end)]).toEqual([
      true,
      true,
    ]);
  });

  test('C07: fewer bytes than Content-Length said: a cut', async () => {
    const { port } = await listen((socket) => {
      socket.end(`${head('200 OK', 'Content-Length: 1000')}${'x'.repeat(100)}`);
    });
    expect((await collect(open(port).blob(digest, 0, 1000))).end).toBe('link.cut');
  });

  test('C07: a declared length above the cap is refused before a byte of it', async () => {
    const { port } = await listen((socket) => {
      socket.write(head('200 OK', 'Content-Length: 9223372036854775807'));
    });
    expect(await collect(open(port).blob(digest, 0, 1000))).toEqual({
      bytes: 0,
      end: 'source.too-large',
    });
  });

  test('an endless body ends at the cap, with bounded memory', async () => {
    const block = Buffer.alloc(64 * 1024, 'x');
    let sent = 0;
    const { port } = await listen((socket) => {
      socket.write(head('200 OK'));
      const pour = (): void => {
        while (!socket.destroyed && socket.write(block)) sent += block.length;
      };
      socket.on('drain', pour);
      pour();
    });
    const before = process.memoryUsage().rss;
    const { end } = await collect(open(port).blob(digest, 0, 1_000_000));
    expect(end).toBe('source.too-large');
    expect(sent).toBeLessThan(64_000_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });

  test('a body that stalls ends after the idle time', async () => {
    const { port } = await listen((socket) => {
      socket.write(`${head('200 OK', 'Content-Length: 100')}x`);
    });
    const started = performance.now();
    expect((await collect(open(port, 300).blob(digest, 0, 100))).end).toBe('link.timeout');
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('a peer that never answers ends after the idle time', async () => {
    const { port } = await listen(() => undefined);
    const got = await open(port, 300).getManifest('stable');
    expect(!got.ok && got.fault.code).toBe('link.timeout');
  });

  test('B04: a bomb behind content-encoding is not even decoded', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const { port } = await listen((socket) => {
      const type = `Content-Type: ${MEDIA.ociManifest}`;
      socket.write(
        head('200 OK', type, 'Content-Encoding: gzip', `Content-Length: ${bomb.length}`),
      );
      socket.write(bomb);
    });
    const got = await open(port).getManifest('stable');
    expect(!got.ok && got.fault.code).toBe('link.encoding-refused');
  });

  for (const [what, answer] of [
    [
      'chunks that are no numbers',
      `${head('200 OK', 'Transfer-Encoding: chunked')}zz\r\nx\r\n0\r\n\r\n`,
    ],
    [
      'a chunk that never comes',
      `${head('200 OK', 'Transfer-Encoding: chunked')}ffffffffffffffff\r\nx`,
    ],
    ['something that is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['nothing at all', ''],
    ['headers without end', `HTTP/1.1 200 OK\r\n${'X-Long: y\r\n'.repeat(100)}`],
  ] as const) {
    test(`N11: ${what}`, async () => {
      const { port } = await listen((socket) => socket.end(answer));
      const { bytes, end } = await collect(open(port, 500).blob(digest, 0, 100));
      expect(bytes).toBeLessThanOrEqual(1);
      expect(['link.cut', 'link.timeout', 'link.unreachable', 'done']).toContain(end);
    });
  }

  test('N11: a flood of 1xx answers ends, or is no answer', async () => {
    const { port } = await listen((socket) => {
      let left = 200_000;
      const pour = (): void => {
        while (left > 0 && !socket.destroyed) {
          left -= 1;
          if (!socket.write('HTTP/1.1 100 Continue\r\n\r\n')) return;
        }
        socket.end();
      };
      socket.on('drain', pour);
      pour();
    });
    const { bytes, end } = await collect(open(port, 500).blob(digest, 0, 100));
    expect([bytes, end === 'done']).toEqual([0, false]);
  });
});

describe('ranges', () => {
  test('a registry that ignores them sends all, from the first byte', async () => {
    const { port, heads } = await listen((socket) => {
      socket.write(`${head('200 OK', 'Content-Length: 10')}0123456789`);
    });
    const kinds: string[] = [];
    for await (const chunk of open(port).blob(digest, 4, 10)) kinds.push(chunk.kind);
    expect(kinds).toEqual(['restart', 'bytes']);
    expect(heads[0]).toMatch(/range: bytes=4-/i);
  });

  test('another part than asked for is refused', async () => {
    const { port } = await listen((socket) => {
      socket.write(
        `${head('206 Partial Content', 'Content-Range: bytes 0-5/10', 'Content-Length: 6')}012345`,
      );
    });
    expect((await collect(open(port).blob(digest, 4, 10))).end).toBe('source.range');
  });
});

describe('redirects that want the credentials', () => {
  const challenge = head(
    '401 Unauthorized',
    'WWW-Authenticate: Basic realm="r"',
    'Content-Length: 0',
  );

  test('N01: another origin gets the request for content, never Authorization', async () => {
    const other = await listen((socket) => {
      socket.write(`${head('200 OK', 'Content-Length: 1')}x`);
    });
    const home = await listen((socket, request) => {
      const known = /authorization: basic/i.test(request);
      const location = `Location: http://127.0.0.1:${other.port}/stolen`;
      socket.write(
        known ? head('307 Temporary Redirect', location, 'Content-Length: 0') : challenge,
      );
    });
    expect(await collect(open(home.port).blob(digest, 0, 1))).toEqual({ bytes: 1, end: 'done' });
    expect(home.heads[1]).toMatch(/authorization: basic/i);
    expect(other.heads).toHaveLength(1);
    expect(other.heads[0]).not.toMatch(/authorization/i);
  });

  test('N01: another origin gets no request for a manifest at all', async () => {
    const other = await listen((socket) => void socket.end());
    const home = await listen((socket) => {
      const location = `Location: http://127.0.0.1:${other.port}/stolen`;
      socket.write(head('307 Temporary Redirect', location, 'Content-Length: 0'));
    });
    const got = await open(home.port).getManifest('stable');
    expect(!got.ok && got.fault.code).toBe('link.redirect-refused');
    expect(other.heads).toHaveLength(0);
  });

  test('N05: a loop ends', async () => {
    const { port, heads } = await listen((socket) => {
      socket.write(head('302 Found', 'Location: /again', 'Content-Length: 0'));
    });
    expect((await collect(open(port).blob(digest, 0, 1))).end).toBe('link.redirect-refused');
    expect(heads).toHaveLength(6);
  });

  test('C15: a 401 for ever ends after the second', async () => {
    const { port, heads } = await listen((socket) => void socket.write(challenge));
    expect((await collect(open(port).blob(digest, 0, 1))).end).toBe('link.unauthorized');
    expect(heads).toHaveLength(2);
  });
});

test('nobody listens there: unreachable, to be tried later', async () => {
  const { port } = await listen(() => undefined);
  await new Promise((resolve) => servers.pop()?.close(resolve));
  const got = await open(port).getManifest('stable');
  expect(!got.ok && got.fault).toMatchObject({ code: 'link.unreachable', retry: 'later' });
});

test('a stop in the middle of a body ends it', async () => {
  const { port } = await listen((socket) => {
    socket.write(`${head('200 OK', 'Content-Length: 100')}x`);
  });
  const stop = new AbortController();
  const ends: string[] = [];
  for await (const chunk of open(port, 60_000).blob(digest, 0, 100, stop.signal)) {
    if (chunk.kind === 'bytes') stop.abort();
    if (chunk.kind === 'failed') ends.push(chunk.fault.code);
  }
  expect(ends).toEqual(['link.cut']);
});
