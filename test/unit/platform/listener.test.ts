/** The HTTP server: bodies both ways, sockets and their rights, clients that go away. */
import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from '#errors/fault.ts';
import { bunHttp } from '#platform/bun/http.ts';
import type { HttpRequest } from '#platform/http.ts';
import type { Listening, ListenOn, ServedRequest, ServedResponse } from '#platform/listener.ts';
import { systemListener } from '#platform/node/listener.ts';
import { authority } from '../../support/authority.ts';

const listener = systemListener();
const http = bunHttp();
const folder = mkdtempSync(join(tmpdir(), 'holdfast-listen-'));
const running: Listening[] = [];
const TCP: ListenOn = { kind: 'tcp', host: '127.0.0.1', port: 0 };

afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.fault.code);

async function serve(
  handle: (request: ServedRequest) => Promise<ServedResponse>,
  on: ListenOn = TCP,
): Promise<string> {
  const server = must(await listener.listen(on, handle));
  running.push(server);
  return `http://127.0.0.1:${server.port}`;
}

async function ask(url: string, more: Partial<HttpRequest> = {}) {
  const response = must(
    await http.request({ method: 'GET', url, headers: {}, idleMs: 5_000, ...more }),
  );
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(must(chunk));
  const body = Buffer.concat(chunks);
  return { status: response.status, headers: response.headers, body, text: body.toString() };
}

async function sizeOf(body: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of body) size += chunk.length;
  return size;
}

const answer = (body: string) => async (): Promise<ServedResponse> => ({ status: 200, body });

describe('requests and answers', () => {
  test('method, target as sent, headers and body reach the handler', async () => {
    const url = await serve(async (request) => ({
      status: 201,
      headers: { 'x-kind': 'made' },
      body: JSON.stringify([
        request.method,
        request.target,
        request.headers['x-a'],
        await sizeOf(request.body),
      ]),
    }));
    const target = '/v2/a%2Fb/x?n=1&last=%00';
    const body = new Uint8Array(3_000_000);
    const response = await ask(url + target, { method: 'PUT', headers: { 'X-A': 'b' }, body });
    expect(response.status).toBe(201);
    expect(response.headers['x-kind']).toBe('made');
    expect(JSON.parse(response.text)).toEqual(['PUT', target, 'b', 3_000_000]);
  });

  test('HEAD tells the length of a body that it does not send', async () => {
    const url = await serve(async () => ({ status: 200, headers: { 'content-length': '123' } }));
    const response = await ask(url, { method: 'HEAD' });
    expect(response.headers['content-length']).toBe('123');
    expect(response.body.length).toBe(0);
  });

  test('204 and 304 have no body', async () => {
    const url = await serve(async ({ target }) => ({ status: Number(target.slice(1)), body: '' }));
    expect((await ask(`${url}/204`)).status).toBe(204);
    expect((await ask(`${url}/304`)).status).toBe(304);
  });

  test('a streamed answer arrives whole, of known length or not', async () => {
    async function* parts(): AsyncGenerator<Uint8Array> {
      for (let part = 0; part < 20; part++) yield new Uint8Array(50_000).fill(part);
    }
    const url = await serve(async ({ target }) => ({
      status: 200,
      headers: target === '/known' ? { 'content-length': '1000000' } : {},
      body: parts(),
    }));
    for (const target of ['/known', '/unknown']) {
      const { body } = await ask(url + target);
      expect([body.length, body[0], body[999_999]]).toEqual([1_000_000, 0, 19]);
    }
  });

  test('an answer before the body was read reaches the client, and the connection ends', async () => {
    const url = await serve(async (request) => {
      for await (const _chunk of request.body) break;
      return { status: 413, body: 'too much' };
    });
    const response = await ask(url, { method: 'PUT', body: new Uint8Array(3_000_000) });
    expect([response.status, response.text]).toEqual([413, 'too much']);
  });

  test('the signal tells that the client went away, and the stream is left', async () => {
    let left = false;
    const aborted = Promise.withResolvers<void>();
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield new Uint8Array(50_000);
      } finally {
        left = true;
        aborted.resolve();
      }
    }
    const url = await serve(async (request) => {
      request.signal.addEventListener('abort', () => aborted.resolve());
      return { status: 200, body: endless() };
    });
    const response = must(await http.request({ method: 'GET', url, headers: {}, idleMs: 5_000 }));
    for await (const _chunk of response.body) break;
    await aborted.promise;
    while (!left) await new Promise((resolve) => setImmediate(resolve));
  });

  test('what is no HTTP ends its connection and nothing else', async () => {
    const url = await serve(answer('fine'));
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    client.on('error', () => {});
    const closed = new Promise((resolve) => client.once('close', resolve));
    client.write('\x16\x03\x01 nonsense\r\n\r\n');
    client.resume();
    await closed;
    expect((await ask(url)).text).toBe('fine');
  });
});

describe('a unix socket', () => {
  const path = join(folder, 'control.sock');
  const unix = (mode: number, group: string | null = null): ListenOn => ({
    kind: 'unix',
    path,
    mode,
    group,
  });

  test('has its mode, answers, and is gone after close', async () => {
    await serve(answer('hello'), unix(0o660));
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect((await ask('http://holdfast/', { unixSocket: path })).text).toBe('hello');
    await running.pop()?.close();
    expect(() => statSync(path)).toThrow();
  });

  test('does not change the umask of the process', async () => {
    const before = process.umask();
    await serve(answer(''), unix(0o666));
    expect(process.umask()).toBe(before);
    expect(statSync(path).mode & 0o777).toBe(0o666);
  });

  test.skipIf(process.getuid?.() !== 0)(
    'belongs to its group, where there is one (needs root)',
    async () => {
      await serve(answer(''), unix(0o660, 'daemon'));
      const gid = Number(/^daemon:[^:]*:(\d+)/m.exec(readFileSync('/etc/group', 'utf8'))?.[1]);
      expect(statSync(path).gid).toBe(gid);
      await running.pop()?.close();
      await serve(answer(''), unix(0o660, 'no-such-group'));
      expect(statSync(path).gid).toBe(process.getgid?.() ?? -1);
    },
  );

  test('that is answered by another process is left alone', async () => {
    await serve(answer('first'), unix(0o600));
    expect(codeOf(await listener.listen(unix(0o600), answer('second')))).toBe('platform.listen');
    expect((await ask('http://holdfast/', { unixSocket: path })).text).toBe('first');
  });

  test('of a dead process is replaced', async () => {
    // Killed: its socket file stays.
    const script = `require('net').createServer().listen('${path}', () => process.kill(process.pid, 'SIGKILL'))`;
    Bun.spawnSync([process.execPath, '-e', script]);
    expect(statSync(path).isSocket()).toBe(true);
    await serve(answer('new'), unix(0o600));
    expect((await ask('http://holdfast/', { unixSocket: path })).text).toBe('new');
  });

  test('does not replace a file that is no socket', async () => {
    const file = join(folder, 'precious');
    writeFileSync(file, 'data');
    const on: ListenOn = { kind: 'unix', path: file, mode: 0o600, group: null };
    expect(codeOf(await listener.listen(on, answer('')))).toBe('platform.listen');
    expect(readFileSync(file, 'utf8')).toBe('data');
  });

  test('in a directory that is not there is platform.listen', async () => {
    const on: ListenOn = { kind: 'unix', path: '/no/such/s', mode: 0o600, group: null };
    expect(codeOf(await listener.listen(on, answer('')))).toBe('platform.listen');
  });
});

describe('a TCP address', () => {
  test('in use is platform.listen', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const address = holder.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    expect(codeOf(await listener.listen({ ...TCP, port }, answer('')))).toBe('platform.listen');
    holder.close();
  });

  test('speaks TLS, and wants a client certificate where it has an anchor', async () => {
    const ours = authority('ours');
    const { cert, key } = ours.leaf('DNS:localhost');
    const client = ours.leaf('DNS:device');
    try {
      const tls = { cert, key, ca: ours.cert };
      const url = await serve(answer('secret'), { ...TCP, tls });
      const at = url.replace('http://127.0.0.1', 'https://localhost');
      const shown = { ca: ours.cert, cert: client.cert, key: client.key };
      expect((await ask(at, { tls: shown })).text).toBe('secret');
      const without = { method: 'GET', url: at, headers: {}, idleMs: 5_000 } as const;
      expect(codeOf(await http.request({ ...without, tls: { ca: ours.cert } }))).toStartWith(
        'link.',
      );
    } finally {
      ours.remove();
    }
  });

  test('with a certificate that is none is platform.listen', async () => {
    const on: ListenOn = { ...TCP, tls: { cert: 'nonsense', key: 'nonsense' } };
    expect(codeOf(await listener.listen(on, answer('')))).toBe('platform.listen');
  });
});
