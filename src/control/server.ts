/**
 * The agent's end of the local sockets. Who may open a socket is decided by its file mode; which
 * routes it serves, here. Bodies are small and capped; an unknown route or method says which there are.
 */
import { type Fault, fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Listener, Listening, ServedRequest, ServedResponse } from '#platform/listener.ts';
import { type ControlHandlers, faultView, type ProgressLine, ROUTES, type Route } from './api.ts';

const BODY_BYTES = 64 * 1024;
const HISTORY_MAX = 1_000;
const LINES_MAX = 100_000;

export interface ControlSockets {
  readonly runDir: string;
  /** owns control.sock beside root */
  readonly group: string;
  readonly statusMode: number;
}

/** Listens on both sockets; the returned function closes them. */
export async function serveControl(
  listener: Listener,
  { runDir, group, statusMode }: ControlSockets,
  handlers: ControlHandlers,
): Promise<Result<() => Promise<void>>> {
  const control = await listener.listen(
    { kind: 'unix', path: `${runDir}/control.sock`, mode: 0o660, group },
    (request) => answer(handlers, request, false),
  );
  if (!control.ok) return control;
  const status = await listener.listen(
    { kind: 'unix', path: `${runDir}/status.sock`, mode: statusMode, group: null },
    (request) => answer(handlers, request, true),
  );
  if (!status.ok) {
    await control.value.close();
    return status;
  }
  const both: readonly Listening[] = [control.value, status.value];
  return ok(async () => {
    await Promise.all(both.map((listening) => listening.close()));
  });
}

async function answer(
  handlers: ControlHandlers,
  request: ServedRequest,
  readingOnly: boolean,
): Promise<ServedResponse> {
  const url = new URL(request.target, 'http://agent');
  const found = Object.entries(ROUTES).find(([, route]) => route.path === url.pathname);
  if (!found) return failure(404, fault('control.no-route', { path: url.pathname }));
  const [name, route] = found;
  if (route.method !== request.method) {
    return failure(405, fault('control.wrong-method', { path: route.path, method: route.method }));
  }
  if (readingOnly && !route.reading) {
    return failure(403, fault('control.read-only', { path: route.path }));
  }
  const body = await readBody(request);
  if (!body.ok) return failure(400, body.fault);
  return call(handlers, name as Route, { url, body: body.value, signal: request.signal });
}

interface Call {
  readonly url: URL;
  readonly body: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal;
}

async function call(
  handlers: ControlHandlers,
  route: Route,
  { url, body, signal }: Call,
): Promise<ServedResponse> {
  switch (route) {
    case 'status':
      return json(handlers.status());
    case 'explain':
      return json(handlers.explain(url.searchParams.get('channel')));
    case 'history':
      return json(handlers.history(bounded(url.searchParams.get('limit'), 50, HISTORY_MAX)));
    case 'audit':
      return json(handlers.audit(bounded(url.searchParams.get('limit'), 50, HISTORY_MAX)));
    case 'events':
      return json(handlers.events(numberOf(url.searchParams.get('after'))));
    case 'auditFile':
      return auditFile(handlers.auditFile(url.searchParams.get('change')));
    case 'plan':
      return json(await handlers.plan(signal, url.searchParams.get('channel')));
    case 'bundles':
      return json(await handlers.bundles(signal));
    case 'logs':
      return logs(handlers, url, signal);
    case 'apply': {
      const bundle = typeof body.bundle === 'string' ? body.bundle : null;
      return progress((tell) => handlers.apply(bundle, tell, body.now === true));
    }
    case 'time':
      return json(handlers.time(typeof body.statement === 'string' ? body.statement : ''));
    case 'timeAsk':
      return json(handlers.timeAsk());
    case 'rollback':
      return progress((tell) => handlers.rollback(tell, named(body.channel)));
    case 'pause':
      return json(handlers.pause(textOf(body.reason).slice(0, 200), named(body.channel)));
    case 'resume':
      return json(handlers.resume(named(body.channel)));
    case 'forget':
      return json(await handlers.forget(textOf(body.channel)));
    case 'stop':
      return json(await handlers.stop());
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A channel; null: none was named. */
function named(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function auditFile(file: Result<Uint8Array>): ServedResponse {
  if (!file.ok) return failure(404, file.fault);
  const headers = { 'content-type': 'application/octet-stream' };
  return { status: 200, headers, body: file.value };
}

function logs(handlers: ControlHandlers, url: URL, signal: AbortSignal): ServedResponse {
  const query = url.searchParams;
  const opened = handlers.logs(
    {
      deployment: query.get('deployment') ?? '',
      component: query.get('component'),
      lines: bounded(query.get('lines'), 100, LINES_MAX),
      follow: query.get('follow') === 'true',
    },
    signal,
  );
  if (!opened.ok) return failure(404, opened.fault);
  return {
    status: 200,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: opened.value,
  };
}

/** One JSON line each, the last one the end: a person watches, a script reads the last. */
function progress(
  run: (tell: (line: ProgressLine) => void) => Promise<ProgressLine>,
): ServedResponse {
  const lines: ProgressLine[] = [];
  let wake: (() => void) | null = null;
  let over = false;
  const tell = (line: ProgressLine) => {
    lines.push(line);
    wake?.();
  };
  const done = run(tell).then((end) => {
    over = true;
    tell(end);
  });
  async function* stream(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const line = lines.shift();
      if (line) {
        yield Buffer.from(`${JSON.stringify(line)}\n`);
        continue;
      }
      if (over) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    await done;
  }
  return { status: 200, headers: { 'content-type': 'application/x-ndjson' }, body: stream() };
}

async function readBody(
  request: ServedRequest,
): Promise<Result<Readonly<Record<string, unknown>>>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.length;
    if (size > BODY_BYTES)
      return refuse('control.bad-request', { reason: 'the body is too large' });
    chunks.push(chunk);
  }
  if (size === 0) return ok({});
  try {
    const read: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof read === 'object' && read !== null) return ok(read as Record<string, unknown>);
  } catch {
    // falls through to the refusal
  }
  return refuse('control.bad-request', { reason: 'the body is no JSON object' });
}

function json(result: Result<unknown>): ServedResponse {
  if (!result.ok) return failure(409, result.fault);
  const headers = { 'content-type': 'application/json' };
  return { status: 200, headers, body: JSON.stringify(result.value ?? {}) };
}

function failure(status: number, why: Fault): ServedResponse {
  const headers = { 'content-type': 'application/json' };
  return {
    status,
    headers,
    body: JSON.stringify({ fault: { ...faultView(why), retry: why.retry } }),
  };
}

/** The number of an event: a u64; anything else is none. */
function numberOf(text: string | null): bigint {
  return text !== null && /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
}

function bounded(text: string | null, otherwise: number, max: number): number {
  const value = text !== null && /^\d{1,7}$/.test(text) ? Number(text) : otherwise;
  return Math.min(Math.max(value, 1), max);
}
