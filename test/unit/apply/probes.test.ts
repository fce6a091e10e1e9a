/** Probes against real peers: a server that answers, one that drips, one that is not there. */
import { afterAll, describe, expect, test } from 'bun:test';
import { type ProbeTools, probeRunner } from '#apply/probes/catalogue.ts';
import { bunHttp } from '#platform/bun/http.ts';
import { systemClock } from '#platform/node/clock.ts';
import { systemProcesses } from '#platform/node/processes.ts';
import { systemSockets } from '#platform/node/sockets.ts';
import type { Probe } from '#state/deployment.ts';
import { generation } from '../../support/generations.ts';
import { isRoot } from '../../support/parts.ts';

const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  idleTimeout: 30,
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/silent') return new Promise<Response>(() => {});
    if (pathname === '/endless') return new Response(endless());
    if (pathname === '/moved') return Response.redirect('http://127.0.0.1:1/', 302);
    return new Response('', { status: Number(pathname.slice(1)) });
  },
});
afterAll(() => server.stop(true));
const url = (path: string) => `http://127.0.0.1:${server.port}/${path}`;

function endless(): ReadableStream {
  return new ReadableStream({
    async pull(controller) {
      controller.enqueue(new Uint8Array(1024));
      await Bun.sleep(1);
    },
  });
}

const tools: ProbeTools = {
  clock: systemClock(),
  http: bunHttp(),
  sockets: systemSockets(),
  processes: systemProcesses(),
  users: { defaultUser: isRoot ? 'nobody' : null, allowRoot: false },
  conditionOf: () => ({ running: 'yes', upMs: 9_999, restarts: 0, message: '' }),
};

async function reason(probe: Probe, timeoutMs = 2_000): Promise<string> {
  const runner = probeRunner(tools, generation({ id: 'line' }), probe);
  const begun = performance.now();
  const result = await runner.run(
    generation({ id: 'line' }),
    timeoutMs,
    new AbortController().signal,
  );
  expect(performance.now() - begun).toBeLessThan(timeoutMs + 1_500);
  return result.healthy ? 'healthy' : result.reason;
}

describe('http', () => {
  for (const [path, status, answer] of [
    ['200', null, 'healthy'],
    ['204', null, 'healthy'],
    ['399', null, 'healthy'],
    ['moved', null, 'healthy'],
    ['moved', 302, 'healthy'],
    ['404', null, 'answered 404, not 200–399'],
    ['404', 404, 'healthy'],
    ['503', null, 'answered 503, not 200–399'],
    ['204', 200, 'answered 204, not 200'],
    ['endless', null, 'healthy'],
  ] as const) {
    test(`/${path}, ${status ?? 'any good status'} wanted: ${answer}`, async () => {
      expect(await reason({ kind: 'http', url: url(path), status })).toContain(answer);
    });
  }

  test('one that never answers ends at the timeout', async () => {
    const probe = { kind: 'http', url: url('silent'), status: null } as const;
    expect(await reason(probe, 200)).toContain('in 200 ms');
  });

  test('one that is not there says so', async () => {
    expect(await reason({ kind: 'http', url: 'http://127.0.0.1:1/', status: null })).not.toBe(
      'healthy',
    );
  });
});

describe('tcp', () => {
  test('an open port is healthy, a closed one is not', async () => {
    const port = server.port ?? 0;
    expect(await reason({ kind: 'tcp', host: '127.0.0.1', port })).toBe('healthy');
    expect(await reason({ kind: 'tcp', host: '127.0.0.1', port: 1 })).not.toBe('healthy');
  });
});

describe('exec', () => {
  const run = (...command: string[]) => reason({ kind: 'exec', command }, 300);

  test('0 is healthy; anything else says what it printed last', async () => {
    expect(await run('/bin/true')).toBe('healthy');
    expect(await run('/bin/sh', '-c', 'echo no link >&2; exit 4')).toBe('ended with 4: no link');
  });

  test('L18: one that does not end is ended, with what it started', async () => {
    expect(await run('/bin/sh', '-c', 'trap "" TERM; sleep 1000 & wait')).toBe(
      'no end after 300 ms',
    );
  });

  test('a command that is not there is unhealthy', async () => {
    expect(await run('/no/such/command')).toContain('there is no such file');
  });

  test.if(isRoot)('runs as the deployment’s user, not as the agent', async () => {
    expect(await run('/bin/sh', '-c', 'id -u; exit 1')).toBe('ended with 1: 65534');
  });
});
