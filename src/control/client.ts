/**
 * The command line's end. Tries `control.sock`, for reading routes also `status.sock`; without an
 * agent `control.no-agent` says how to start one.
 */
import { type Code, FAULTS, type Fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Http, HttpResponse } from '#platform/http.ts';
import type { ProgressLine } from './api.ts';
import { ROUTES, type Route } from './api.ts';

const ANSWER_BYTES = 64 * 1024 * 1024;
const IDLE_MS = 24 * 3_600_000;

export interface Asked {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

/** The JSON answer of a route. */
export async function ask<T>(
  http: Http,
  runDir: string,
  route: Route,
  asked: Asked = {},
): Promise<Result<T>> {
  const response = await open(http, runDir, route, asked);
  if (!response.ok) return response;
  const text = await readAll(response.value);
  return text.ok ? ok(JSON.parse(text.value) as T) : text;
}

/** The lines of `apply` and `rollback`, as they come. */
export async function askLines(
  http: Http,
  runDir: string,
  route: 'apply' | 'rollback',
  asked: Asked & { readonly onLine: (line: ProgressLine) => void },
): Promise<Result<void>> {
  const response = await open(http, runDir, route, asked);
  if (!response.ok) return response;
  let rest = '';
  for await (const chunk of response.value.body) {
    if (!chunk.ok) return chunk;
    const lines = (rest + Buffer.from(chunk.value).toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) asked.onLine(JSON.parse(line) as ProgressLine);
  }
  return ok(undefined);
}

/** Raw bytes: logs, the audit file. */
export async function askBytes(
  http: Http,
  runDir: string,
  route: 'logs' | 'auditFile',
  asked: Asked & { readonly onBytes: (bytes: Uint8Array) => void },
): Promise<Result<void>> {
  const response = await open(http, runDir, route, asked);
  if (!response.ok) return response;
  for await (const chunk of response.value.body) {
    if (!chunk.ok) return chunk;
    asked.onBytes(chunk.value);
  }
  return ok(undefined);
}

async function open(
  http: Http,
  runDir: string,
  route: Route,
  asked: Asked,
): Promise<Result<HttpResponse>> {
  const { reading } = ROUTES[route];
  const names = reading ? ['control.sock', 'status.sock'] : ['control.sock'];
  let last: Fault | null = null;
  for (const name of names) {
    const response = await send(http, `${runDir}/${name}`, route, asked);
    if (response.ok) return judged(response.value);
    last = response.fault;
  }
  if (last?.code === 'platform.denied') return refused(last);
  return refuse('control.no-agent', { socket: `${runDir}/control.sock` });
}

function send(
  http: Http,
  unixSocket: string,
  route: Route,
  asked: Asked,
): Promise<Result<HttpResponse>> {
  const { method, path } = ROUTES[route];
  const query = new URLSearchParams(asked.query ?? {}).toString();
  return http.request({
    method,
    url: `http://agent${path}${query === '' ? '' : `?${query}`}`,
    headers: asked.body ? { 'content-type': 'application/json' } : {},
    ...(asked.body ? { body: Buffer.from(JSON.stringify(asked.body)) } : {}),
    ...(asked.signal ? { signal: asked.signal } : {}),
    unixSocket,
    idleMs: IDLE_MS,
  });
}

/** A refusal of the agent comes back as the fault it was. */
async function judged(response: HttpResponse): Promise<Result<HttpResponse>> {
  if (response.status === 200) return ok(response);
  const text = await readAll(response);
  if (!text.ok) return text;
  const read = JSON.parse(text.value) as { fault?: Fault };
  if (read.fault && read.fault.code in FAULTS) return refused(read.fault as Fault & { code: Code });
  return refuse('control.bad-answer', { status: response.status });
}

async function readAll(response: HttpResponse): Promise<Result<string>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    if (!chunk.ok) return chunk;
    size += chunk.value.length;
    if (size > ANSWER_BYTES) {
      response.cancel();
      return refuse('control.bad-answer', { status: response.status });
    }
    chunks.push(chunk.value);
  }
  return ok(Buffer.concat(chunks).toString('utf8'));
}
