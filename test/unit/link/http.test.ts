/** HTTP with checks 1 and 2, over a scripted peer. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Access } from '#link/endpoint.ts';
import { type LinkRequest, readBody } from '#link/http.ts';
import { statusFault } from '#link/status-fault.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { type Answer, scriptedHttp, scriptedLink } from '../../support/scripted-http.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-http-'));
afterAll(() => rmSync(folder, { recursive: true }));
for (const part of ['ca', 'cert', 'key']) writeFileSync(join(folder, part), part);

const access: Access = {
  origin: 'https://registry.example',
  insecure: false,
  tls: { ca: join(folder, 'ca'), cert: join(folder, 'cert'), key: join(folder, 'key') },
  proxy: null,
};
const request: LinkRequest = {
  method: 'GET',
  url: 'https://registry.example/v2/a/blobs/x',
  access,
  headers: { range: 'bytes=5-' },
  authorization: 'Bearer secret',
  redirects: 'content',
  cap: 100,
  what: 'blob x',
};

async function send(
  answer: (url: string) => Answer,
  changes: Partial<LinkRequest> = {},
  clock = manualClock(),
) {
  const scripted = scriptedHttp(({ url }) => answer(url));
  const response = await scriptedLink(scripted, { clock }).send({ ...request, ...changes });
  const body = response.ok ? await readBody(response.value) : response;
  const result = body.ok ? Buffer.from(body.value).toString() : body.fault.code;
  return { ...scripted, response, result, fault: body.ok ? null : body.fault };
}

describe('check 1: where a request may go', () => {
  test('another host than the configured one is never asked', async () => {
    for (const url of [
      'https://evil.example/v2/a/blobs/x',
      'http://registry.example/v2/',
      'https://registry.example:444/v2/',
      'https://user:pw@registry.example/v2/',
      'file:///etc/passwd',
    ]) {
      const { result, asked } = await send(() => ({ status: 200, body: 'x' }), { url });
      expect([url, result, asked.length]).toEqual([url, 'link.scheme-refused', 0]);
    }
  });

  test('a redirect on the same origin is followed with the credentials', async () => {
    const { result, asked } = await send((url) =>
      url.endsWith('/x')
        ? { status: 307, headers: { location: '/y' } }
        : { status: 200, body: 'hi' },
    );
    expect(result).toBe('hi');
    expect(asked[1]?.url).toBe('https://registry.example/y');
    expect(asked[1]?.headers.authorization).toBe('Bearer secret');
    expect(asked[1]?.tls).toEqual({ ca: 'ca', cert: 'cert', key: 'key' });
  });

  test('N01, N02: content from another https host, without Authorization and client key', async () => {
    const { result, asked } = await send((url) =>
      url.includes('registry.example')
        ? { status: 307, headers: { location: 'https://storage.example/blob?signature=1' } }
        : { status: 200, body: 'hi' },
    );
    expect(result).toBe('hi');
    expect(asked[1]?.headers).toEqual({ 'accept-encoding': 'identity', range: 'bytes=5-' });
    expect(asked[1]?.tls).toEqual({ ca: 'ca' });
  });

  for (const [what, location, redirects] of [
    ['N01: anything but content to another host', 'https://evil.example/', 'same-origin'],
    ['a request that is not to be redirected', '/y', 'refuse'],
    ['N03: down to http', 'http://registry.example/y', 'content'],
    ['N03: down to http elsewhere', 'http://storage.example/y', 'content'],
    ['N06: to the metadata service', 'https://169.254.169.254/latest', 'content'],
    ['N06: to this machine', 'https://localhost/', 'content'],
    ['N06: to this machine by number', 'https://2130706433/', 'content'],
    ['N06: to this machine in IPv6', 'https://[::ffff:127.0.0.1]/', 'content'],
    ['N06: to a private network', 'https://192.168.1.1/', 'content'],
    ['N07: with user information', 'https://user:pw@storage.example/', 'content'],
    ['to a file', 'file:///etc/passwd', 'content'],
    ['to nowhere', 'http://', 'content'],
  ] as const) {
    test(`a redirect is refused: ${what}`, async () => {
      const { result, asked, fault } = await send(() => ({ status: 302, headers: { location } }), {
        redirects,
      });
      expect(result).toBe('link.redirect-refused');
      expect(asked).toHaveLength(1);
      expect(fault?.message).not.toContain('pw');
    });
  }

  test('a redirect without Location is refused', async () => {
    expect((await send(() => ({ status: 301 }))).result).toBe('link.redirect-refused');
  });

  test('N05: a loop ends after five', async () => {
    const { result, asked } = await send(() => ({ status: 302, headers: { location: '/x' } }));
    expect([result, asked.length]).toEqual(['link.redirect-refused', 6]);
  });

  test('a proxy is used for every request', async () => {
    const proxied = { ...access, proxy: 'http://proxy:3128' };
    const { asked } = await send(() => ({ status: 200 }), { access: proxied });
    expect(asked[0]?.proxy).toBe('http://proxy:3128');
  });

  test('a certificate file that cannot be read ends the request before it starts', async () => {
    const broken = { ...access, tls: { ca: join(folder, 'missing') } };
    const { result, asked } = await send(() => ({ status: 200 }), { access: broken });
    expect([result, asked.length]).toEqual(['platform.missing', 0]);
  });
});

describe('check 2: what a body may be', () => {
  for (const encoding of ['gzip', 'br', 'zstd', 'deflate', 'gzip, identity', 'x-unknown']) {
    test(`B04: content-encoding ${encoding} is refused`, async () => {
      const { result, cancelled } = await send(() => ({
        status: 200,
        headers: { 'content-encoding': encoding },
        body: 'x',
      }));
      expect([result, cancelled.length]).toEqual(['link.encoding-refused', 1]);
    });
  }

  test('content-encoding identity is none', async () => {
    const headers = { 'content-encoding': 'Identity' };
    expect((await send(() => ({ status: 200, headers, body: 'x' }))).result).toBe('x');
  });

  test('C07: a declared length above the cap is refused before the first byte', async () => {
    const headers = { 'content-length': '101' };
    const { result, cancelled } = await send(() => ({ status: 200, headers, body: 'x' }));
    expect([result, cancelled.length]).toEqual(['link.too-large', 1]);
  });

  test('C07: an endless body ends at the cap', async () => {
    let made = 0;
    async function* endless(): AsyncGenerator<Result<Uint8Array>> {
      for (;;) {
        made += 10;
        yield ok(new Uint8Array(10));
      }
    }
    const { result, cancelled } = await send(() => ({ status: 200, body: endless() }));
    expect([result, cancelled.length]).toEqual(['link.too-large', 1]);
    expect(made).toBeLessThanOrEqual(120);
  });

  test('a body of exactly the cap is fine', async () => {
    const { result } = await send(() => ({ status: 200, body: 'x'.repeat(100) }));
    expect(result).toHaveLength(100);
  });

  test('a trickle that never ends is ended: less than 4 KiB in two minutes', async () => {
    const clock = manualClock();
    async function* trickle(): AsyncGenerator<Result<Uint8Array>> {
      for (;;) {
        await clock.advance(30_000);
        yield ok(new Uint8Array(1));
      }
    }
    const { result, cancelled } = await send(() => ({ status: 200, body: trickle() }), {}, clock);
    expect([result, cancelled.length]).toEqual(['link.slow', 1]);
  });

  test('a slow reader is not the fault of the peer', async () => {
    const clock = manualClock();
    async function* quick(): AsyncGenerator<Result<Uint8Array>> {
      for (let sent = 0; sent < 10; sent += 1) yield ok(new Uint8Array(1));
    }
    const link = scriptedLink(
      scriptedHttp(() => ({ status: 200, body: quick() })),
      { clock },
    );
    const response = await link.send(request);
    let bytes = 0;
    for await (const chunk of response.ok ? response.value.body : []) {
      if (chunk.ok) bytes += chunk.value.length;
      await clock.advance(60_000);
    }
    expect(bytes).toBe(10);
  });

  test('a break is passed on as it came', async () => {
    async function* broken(): AsyncGenerator<Result<Uint8Array>> {
      yield ok(new Uint8Array(1));
      yield refuse('link.cut', { peer: 'registry.example', reason: 'reset' });
    }
    expect((await send(() => ({ status: 200, body: broken() }))).result).toBe('link.cut');
  });

  test('a reader that stops early closes the connection', async () => {
    const scripted = scriptedHttp(() => ({ status: 200, body: 'abc' }));
    const response = await scriptedLink(scripted).send(request);
    for await (const _ of response.ok ? response.value.body : []) break;
    expect(scripted.cancelled).toHaveLength(1);
  });
});

describe('TLS with a dead clock', () => {
  const directory = join(folder, 'tls');
  test('https is never asked by the runtime when the clock is implausible', async () => {
    const scripted = scriptedHttp(() => ({ status: 200 }));
    const listened: string[] = [];
    const tunnels = {
      listen: async (path: string) => {
        listened.push(path);
        return ok({ path, close: () => undefined });
      },
      throughProxy: async () => refuse('link.proxy', { peer: '', proxy: '', reason: '' }),
      webSocket: async () => refuse('link.websocket', { peer: '', reason: '' }),
    };
    const deadClock = { directory, time: () => ({ floorMs: 1, wallPlausible: false }) };
    const link = scriptedLink(scripted, { deadClock, parts: { tunnels } });
    await link.send(request);
    await link.send(request);
    expect(scripted.asked.map(({ url, unixSocket, tls }) => [url, unixSocket, tls])).toEqual([
      ['http://registry.example/v2/a/blobs/x', `${directory}/1.sock`, undefined],
      ['http://registry.example/v2/a/blobs/x', `${directory}/1.sock`, undefined],
    ]);
    expect(listened).toHaveLength(1);
  });

  test('with a plausible clock the runtime asks', async () => {
    const scripted = scriptedHttp(() => ({ status: 200 }));
    const deadClock = { directory, time: () => ({ floorMs: 1, wallPlausible: true }) };
    await scriptedLink(scripted, { deadClock }).send(request);
    expect(scripted.asked[0]?.url).toBe(request.url);
  });
});

describe('what a status means', () => {
  async function faultOf(answer: Answer) {
    const clock = manualClock(Date.UTC(1970, 0, 2));
    const link = scriptedLink(
      scriptedHttp(() => answer),
      { clock },
    );
    const response = await link.send(request);
    if (!response.ok) throw new Error(response.fault.code);
    return statusFault(clock, response.value);
  }
  const denied =
    '{"errors":[{"code":"DENIED","message":"requested access is denied\\n\\u001b[31m"}]}';

  for (const [status, code, retry] of [
    [401, 'link.unauthorized', 'operator'],
    [403, 'link.forbidden', 'operator'],
    [429, 'link.rate-limited', 'later'],
    [503, 'link.rate-limited', 'later'],
    [500, 'link.http-status', 'later'],
    [404, 'link.http-status', 'later'],
  ] as const) {
    test(`${status}: ${code}`, async () => {
      expect(await faultOf({ status })).toMatchObject({ code, retry });
    });
  }

  test("the registry's own words, without control characters", async () => {
    const { message } = await faultOf({ status: 403, body: denied });
    expect(message).toContain('DENIED: requested access is denied');
    expect(message).not.toContain('\x1b');
  });

  test('a body that is no JSON, or an endless one, changes nothing', async () => {
    async function* endless(): AsyncGenerator<Result<Uint8Array>> {
      for (;;) yield ok(new Uint8Array(1024));
    }
    for (const body of ['<html>', '{"errors":[]}', '[]', '{"errors":{}}', endless()]) {
      expect((await faultOf({ status: 500, body })).code).toBe('link.http-status');
    }
  });

  test('C16: Retry-After of 10^9 seconds is believed for an hour', async () => {
    const headers = { 'retry-after': '1000000000' };
    expect((await faultOf({ status: 429, headers })).retryAfterMs).toBe(3_600_000);
  });

  test("a Retry-After date is read against the server's clock, not this device's dead one", async () => {
    const date = 'Mon, 23 Nov 2026 12:00:00 GMT';
    const headers = { date, 'retry-after': 'Mon, 23 Nov 2026 12:00:30 GMT' };
    expect((await faultOf({ status: 503, headers })).retryAfterMs).toBe(30_000);
  });
});
