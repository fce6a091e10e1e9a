/** The local sockets: routes, rights, and the command line’s end of them. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { statSync } from 'node:fs';
import type { ControlHandlers, ProgressLine } from '#control/api.ts';
import { ask, askLines } from '#control/client.ts';
import { serveControl } from '#control/server.ts';
import { ok, refuse } from '#errors/fault.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { codeOf, scratch, value } from '../../support/store.ts';

const { http, listener } = bunPlatform({ logLevel: 'error', logFormat: 'json' });
const run = scratch('control');
const end: ProgressLine = {
  kind: 'end',
  result: 'applied',
  offered: '1.2',
  tookMs: 5,
  fault: null,
};
const progress: ProgressLine = {
  kind: 'progress',
  phase: 'downloading',
  what: 'a',
  done: 1,
  total: 2,
};
let bundle: string | null = '';
let close: () => Promise<void> = async () => undefined;

const handlers: ControlHandlers = {
  status: () => ok({ hello: 'status' } as never),
  explain: () => ok({ verdict: 'all is well' } as never),
  history: (limit) => ok([{ number: `${limit}` } as never]),
  events: (after) => ok({ last: `${after}`, events: [] }),
  audit: (limit) => ok([{ number: `${limit}` } as never]),
  auditFile: (change) => ok(Buffer.from(`change ${change}`)),
  plan: async () => refuse('plan.blob-missing', { deployment: 'a', blob: 'b' }),
  bundles: async () => ok([]),
  logs: () => refuse('control.no-log', { deployment: 'a', known: 'none' }),
  async apply(path, tell) {
    bundle = path;
    tell(progress);
    return end;
  },
  rollback: async () => end,
  time: (statement) => ok({ attested: statement === '{}', at: 5 }),
  timeAsk: () => ok({ device: 'press-7', nonce: '00' }),
  pause: () => ok(undefined),
  resume: () => ok(undefined),
  forget: async (channel) => ok({ channel, removed: [] }),
  stop: async () => ok(undefined),
};

beforeAll(async () => {
  const sockets = { runDir: run.path, group: 'no-such-group', statusMode: 0o666 };
  close = value(await serveControl(listener, sockets, handlers));
});
afterAll(async () => {
  await close();
  run.remove();
});

/** As any program on the device could. */
async function raw(method: string, path: string, socket = 'control.sock', body?: string) {
  const options = {
    method,
    unix: `${run.path}/${socket}`,
    ...(body === undefined ? {} : { body }),
  };
  const response = await fetch(`http://agent${path}`, options);
  const text = await response.text();
  return {
    status: response.status,
    code: (JSON.parse(text) as { fault?: { code: string } }).fault?.code,
  };
}

describe('the local sockets', () => {
  test('control.sock is closed to others, status.sock is open', () => {
    expect(statSync(`${run.path}/control.sock`).mode & 0o777).toBe(0o660);
    expect(statSync(`${run.path}/status.sock`).mode & 0o777).toBe(0o666);
  });
  test('reading works on both, changing on control.sock alone', async () => {
    expect((await raw('GET', '/v1/status', 'status.sock')).status).toBe(200);
    expect((await raw('GET', '/v1/explain', 'status.sock')).status).toBe(200);
    for (const path of ['/v1/pause', '/v1/apply', '/v1/stop']) {
      expect(await raw('POST', path, 'status.sock')).toEqual({
        status: 403,
        code: 'control.read-only',
      });
    }
    expect((await raw('POST', '/v1/pause')).status).toBe(200);
  });
  test('an unknown route, another method and a bad body say so', async () => {
    expect(await raw('GET', '/v2/status')).toEqual({ status: 404, code: 'control.no-route' });
    expect(await raw('GET', '/v1/pause')).toEqual({ status: 405, code: 'control.wrong-method' });
    expect((await raw('POST', '/v1/apply', 'control.sock', '{')).code).toBe('control.bad-request');
    const large = `{"bundle":"${'x'.repeat(100_000)}"}`;
    expect((await raw('POST', '/v1/apply', 'control.sock', large)).code).toBe(
      'control.bad-request',
    );
  });
});

describe('the command line’s end', () => {
  test('answers come back as they were, faults as the faults they were', async () => {
    const asked = await ask<{ hello: string }>(http, run.path, 'status');
    expect(asked).toEqual(ok({ hello: 'status' }));
    const plan = await ask(http, run.path, 'plan');
    expect(!plan.ok && plan.fault).toMatchObject({ code: 'plan.blob-missing', retry: 'never' });
  });
  test('apply is told line by line, with its bundle', async () => {
    const lines: ProgressLine[] = [];
    const onLine = (line: ProgressLine) => void lines.push(line);
    const asked = await askLines(http, run.path, 'apply', { body: { bundle: '/usb/b' }, onLine });
    expect(asked.ok).toBe(true);
    expect(bundle).toBe('/usb/b');
    expect(lines).toEqual([progress, end]);
  });
  test('without an agent it says how to start one', async () => {
    const nobody = await ask(http, '/nonexistent', 'status');
    expect(codeOf(nobody)).toBe('control.no-agent');
    expect(!nobody.ok && nobody.fault.remedy).toContain('holdfast agent');
  });
  test('an answer that no agent gives is refused: control.bad-answer', async () => {
    const other = scratch('control-other');
    const odd = value(
      await listener.listen(
        { kind: 'unix', path: `${other.path}/control.sock`, mode: 0o600, group: null },
        async () => ({ status: 500, body: '{}' }),
      ),
    );
    expect(codeOf(await ask(http, other.path, 'status'))).toBe('control.bad-answer');
    await odd.close();
    other.remove();
  });
});
