/**
 * The fleet page and what it reads: `/` (the page, whole in one answer), `/v1/fleet` (rows), one
 * device's detail, and `/v1/fleet/changes` (server-sent events: only that something changed). All of it
 * is read-only. Who may read is decided before (gate.ts); without TLS that is this machine, so a name
 * that a web site has bound to the loopback address is not answered.
 */
import type { Clock } from '#platform/clock.ts';
import type { ServedRequest, ServedResponse } from '#platform/listener.ts';
import { readQuery } from './fleet-query.ts';
import type { FleetView } from './fleet-view.ts';
import { fleetPage } from './page/page.ts';

export interface FleetRoutes {
  /** Null: the path is not one of these. @param who  the operator; null: there are none */
  answer(request: ServedRequest, who: string | null): ServedResponse | null;
  /** An operator whose secret no longer counts: what is open ends. */
  revoked(name: string): void;
}

export interface FleetRoutesInput {
  readonly view: FleetView;
  readonly clock: Clock;
  /** only these names may be asked for; null: any */
  readonly hosts: ReadonlySet<string> | null;
}

/** open streams; a page without one asks every few seconds */
const STREAMS_MAX = 32;
/** ms; below what proxies and our own listener take for silence */
const BEAT_MS = 15_000;
const ROW_ID_MAX = 1_024;

const LOCKED = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), usb=()',
};

export function isFleetPath(path: string): boolean {
  return path === '/' || path === '/v1/fleet' || path.startsWith('/v1/fleet/');
}

export function fleetRoutes(input: FleetRoutesInput): FleetRoutes {
  const streams = new Map<AbortController, string | null>();
  const { view } = input;
  return {
    answer(request, who) {
      const [path = '', search = ''] = request.target.split('?', 2);
      if (!isFleetPath(path)) return null;
      const { method, headers } = request;
      if (method !== 'GET' && method !== 'HEAD') {
        return { status: 405, headers: { ...LOCKED, allow: 'GET, HEAD' } };
      }
      if (input.hosts && !input.hosts.has(hostOf(headers.host))) {
        return text(421, 'This hub answers its page under localhost and 127.0.0.1 only.\n');
      }
      const query = new URLSearchParams(search);
      if (path === '/') return page();
      if (path === '/v1/fleet') {
        const hub = { operator: who, open: who === null, now: input.clock.wallMs() };
        return json(200, { version: view.version(), ...hub, ...view.page(readQuery(query)) });
      }
      if (path === '/v1/fleet/device') {
        const detail = view.detail((query.get('id') ?? '').slice(0, ROW_ID_MAX));
        return detail ? json(200, detail) : json(404, { error: 'no signed status is here' });
      }
      if (path !== '/v1/fleet/changes') return text(404, 'There is no such page.\n');
      if (method === 'HEAD') return text(200, '');
      if (streams.size >= STREAMS_MAX) {
        return { ...text(503, 'Too many pages are open.\n'), headers: { 'retry-after': '30' } };
      }
      return changes(input, streams, { request, who });
    },
    revoked(name) {
      for (const [stream, who] of streams) if (who === name) stream.abort();
    },
  };
}

interface Reader {
  readonly request: ServedRequest;
  readonly who: string | null;
}

function changes(
  { view }: FleetRoutesInput,
  streams: Map<AbortController, string | null>,
  { request, who }: Reader,
): ServedResponse {
  const stream = new AbortController();
  streams.set(stream, who);
  const end = () => stream.abort();
  if (request.signal.aborted) end();
  request.signal.addEventListener('abort', end, { once: true });
  stream.signal.addEventListener('abort', () => streams.delete(stream), { once: true });
  async function* lines(): AsyncGenerator<Uint8Array> {
    try {
      for (let seen = -1; !stream.signal.aborted; ) {
        const version = view.version();
        // A comment keeps the line open where nothing happens.
        yield Buffer.from(version === seen ? ': \n\n' : `data: ${version}\n\n`);
        seen = version;
        await view.changed(seen, BEAT_MS, stream.signal);
      }
    } finally {
      streams.delete(stream);
    }
  }
  const headers = { ...LOCKED, 'content-type': 'text/event-stream', 'cache-control': 'no-store' };
  return { status: 200, headers, body: lines() };
}

function page(): ServedResponse {
  const { html, policy } = fleetPage();
  return {
    status: 200,
    headers: {
      ...LOCKED,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policy,
      'cache-control': 'no-cache',
    },
    body: html,
  };
}

function json(status: number, value: unknown): ServedResponse {
  const headers = { ...LOCKED, 'content-type': 'application/json', 'cache-control': 'no-store' };
  return { status, headers, body: JSON.stringify(value) };
}

function text(status: number, body: string): ServedResponse {
  return { status, headers: { ...LOCKED, 'content-type': 'text/plain; charset=utf-8' }, body };
}

/** Without the port; `[::1]` as `::1`. */
function hostOf(host: string | undefined): string {
  return (host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
}
