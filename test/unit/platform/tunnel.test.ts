/** Tunnels: bytes joined to bytes, and CONNECT through a proxy (N09). */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket as NetSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuse } from '#errors/fault.ts';
import { systemSockets } from '#platform/node/sockets.ts';
import { nodeTunnels } from '#platform/node/tunnel.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-tunnel-'));
const closing: (() => void)[] = [];
afterAll(() => {
  for (const close of closing) close();
  rmSync(folder, { recursive: true });
});

async function listen(serve: (socket: NetSocket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    serve(socket);
  });
  closing.push(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function say(path: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const socket = connect(path, () => socket.end(text));
    socket.on('data', (bytes) => {
      heard += bytes;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(heard));
  });
}

async function openTo(port: number) {
  const socket = await systemSockets().connect({ kind: 'tcp', host: '127.0.0.1', port }, 5_000);
  if (!socket.ok) throw new Error(socket.fault.message);
  return socket.value;
}

describe('a tunnel', () => {
  test('passes bytes both ways, what came before the far end was open too', async () => {
    const echo = await listen((socket) => void socket.pipe(socket));
    const opened = await nodeTunnels().listen(join(folder, 'a.sock'), async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return { ok: true, value: await openTo(echo) };
    });
    expect(opened.ok).toBe(true);
    const large = 'x'.repeat(1_000_000);
    expect((await say(join(folder, 'a.sock'), large)) === large).toBe(true);
    if (opened.ok) opened.value.close();
    expect(await say(join(folder, 'a.sock'), 'late')).toBe('');
  });

  test('whose far end cannot be opened closes the connection without a byte', async () => {
    const path = join(folder, 'b.sock');
    const opened = await nodeTunnels().listen(path, async () =>
      refuse('link.tls-untrusted', { peer: 'x', reason: 'y' }),
    );
    expect(await say(path, 'secret')).toBe('');
    if (opened.ok) opened.value.close();
  });

  test('takes the place of a socket file that a dead process left', async () => {
    const path = join(folder, 'c.sock');
    for (let round = 0; round < 2; round += 1) {
      const opened = await nodeTunnels().listen(path, async () =>
        refuse('link.cut', { peer: 'x', reason: 'y' }),
      );
      expect(opened.ok).toBe(true);
    }
  });

  test('in a directory that is not there is a fault', async () => {
    const path = join(folder, 'missing', 'd.sock');
    const opened = await nodeTunnels().listen(path, async () =>
      refuse('link.cut', { peer: 'x', reason: 'y' }),
    );
    expect(!opened.ok && opened.fault.code).toBe('platform.io');
  });
});

describe('CONNECT', () => {
  async function through(answer: string, timeoutMs = 5_000): Promise<[string, string]> {
    let asked = '';
    const port = await listen((socket) => {
      socket.on('data', (bytes) => {
        asked += bytes;
        if (asked.endsWith('\r\n\r\n')) socket.write(answer);
      });
    });
    const socket = await openTo(port);
    const got = await nodeTunnels().throughProxy(
      socket,
      'registry.example:443',
      'Basic eDp5',
      timeoutMs,
    );
    if (got.ok) got.value.close();
    return [got.ok ? 'open' : `${got.fault.code} ${got.fault.message}`, asked];
  }

  test('opens on 200, with host and credentials', async () => {
    const [result, asked] = await through('HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n');
    expect(result).toBe('open');
    expect(asked.split('\r\n').slice(0, 3)).toEqual([
      'CONNECT registry.example:443 HTTP/1.1',
      'Host: registry.example:443',
      'Proxy-Authorization: Basic eDp5',
    ]);
  });

  for (const [what, answer, reason] of [
    ['407', 'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', 'answered 407'],
    ['1xx', 'HTTP/1.1 100 Continue\r\n\r\n', 'answered 100'],
    ['another protocol', 'SSH-2.0-x\r\n\r\n', 'does not speak HTTP'],
    [
      'N09: bytes of its own behind the answer',
      'HTTP/1.1 200 OK\r\n\r\n\x16\x03',
      'bytes of its own',
    ],
    ['an endless answer', `HTTP/1.1 200 OK\r\n${'x'.repeat(20_000)}`, 'too long'],
  ] as const) {
    test(`is refused: ${what}`, async () => {
      const [result] = await through(answer);
      expect(result).toStartWith('link.proxy');
      expect(result).toContain(reason);
    });
  }

  test('a proxy that says nothing ends after its time', async () => {
    expect((await through('', 100))[0]).toContain('no answer in 100 ms');
  });
});
