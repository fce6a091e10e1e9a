/**
 * The container engine, over its unix socket: the API that Docker Engine has and Podman's service
 * answers as well. One request, one effect, so a cut leaves whole steps (decision 0028). Where Podman is
 * installed and no socket answers, its service is started here, in a session of its own, and ends by
 * itself when nobody asks. Nothing of a request is ever part of a command line.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Files } from '#platform/files.ts';
import type { Http, HttpResponse } from '#platform/http.ts';
import type { Processes } from '#platform/processes.ts';

export interface EngineOptions {
  readonly http: Http;
  readonly files: Files;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly runDir: string;
  /** null: the usual places */
  readonly socket: string | null;
  readonly engine: 'auto' | 'podman' | 'docker';
  /** false: one that does not answer is not started. Default: true */
  readonly start?: boolean;
  /** of the agent: what Podman's service may need of it */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Engine {
  readonly kind: 'podman' | 'docker';
  readonly version: string;
  readonly socket: string;
  /** `amd64`, `arm64`, … */
  readonly architecture: string;
  /** Any status is an answer; `compose.engine-missing` when there is none. */
  call(request: EngineRequest): Promise<Result<EngineAnswer>>;
  /** Of an answer without an end: what comes, until the connection breaks, is silent or given up. */
  stream(request: EngineRequest, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface EngineRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** below the version, such as /containers/json */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** a tar */
  readonly body?: AsyncIterable<Uint8Array>;
  readonly idleMs?: number;
  /** Podman's own API */
  readonly libpod?: boolean;
}

export interface EngineAnswer {
  readonly status: number;
  /** null: no JSON came */
  readonly json: unknown;
}

/** The engine as it answers now; asked again where the last one has gone. */
export type OpenEngine = () => Promise<Result<Engine>>;

const SOCKETS = { podman: '/run/podman/podman.sock', docker: '/run/docker.sock' } as const;
const OWN = 'podman.sock';
const IDLE_MS = 60_000;
const ANSWER_BYTES = 8 * 1024 * 1024;
const START_TRIES = 50;
const START_MS = 100;
/** seconds without a request after which a service that was started here ends */
const SERVICE_S = 600;
const PASSED_ON =
  /^(?:PATH|HOME|TMPDIR|XDG_RUNTIME_DIR|LANG|CONTAINERS_.*|STORAGE_.*|REGISTRIES_CONFIG_PATH)$/;
const PROGRAM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function engineOf(options: EngineOptions): OpenEngine {
  let known: Engine | null = null;
  let opening: Promise<Result<Engine>> | null = null;
  const open = async (): Promise<Result<Engine>> => {
    if (known) {
      const alive = await ask(options, known.socket, { method: 'GET', path: '/_ping' });
      if (alive.ok && alive.value.status === 200) return ok(known);
    }
    const found = await find(options);
    known = found.ok ? found.value : null;
    return found;
  };
  return () => {
    // One that is being started is not started twice.
    opening ??= open().finally(() => {
      opening = null;
    });
    return opening;
  };
}

async function find(options: EngineOptions): Promise<Result<Engine>> {
  const { socket, engine, runDir } = options;
  const own = `${runDir}/${OWN}`;
  const usual = engine === 'auto' ? [SOCKETS.podman, SOCKETS.docker] : [SOCKETS[engine]];
  const tried = socket ? [socket] : [...usual, ...(engine === 'docker' ? [] : [own])];
  for (const path of tried) {
    const found = await meet(options, path);
    if (found) return ok(found);
  }
  if (!socket && engine !== 'docker' && options.start !== false) {
    const started = await startPodman(options, own);
    if (started) return ok(started);
  }
  return refuse('compose.engine-missing', { tried: tried.join(', ') });
}

/** Null: nobody answers there. */
async function meet(options: EngineOptions, socket: string): Promise<Engine | null> {
  const answer = await ask(options, socket, { method: 'GET', path: '/version' });
  if (!answer.ok || answer.value.status !== 200) return null;
  const { ApiVersion, Version, Arch, Components } = objectOf(answer.value.json);
  const names = Array.isArray(Components)
    ? Components.map((each) => textOf(objectOf(each).Name))
    : [];
  const kind = names.some((name) => /podman/i.test(name)) ? 'podman' : 'docker';
  const version = /^[0-9]+\.[0-9]+$/.test(textOf(ApiVersion)) ? textOf(ApiVersion) : '1.40';
  const placed = (request: EngineRequest): EngineRequest => ({
    ...request,
    path: request.libpod ? `/v4.0.0/libpod${request.path}` : `/v${version}${request.path}`,
  });
  return {
    ...{ kind, socket, version: textOf(Version), architecture: textOf(Arch) },
    call: (request) => ask(options, socket, placed(request)),
    stream: (request, signal) => stream(options, socket, placed(request), signal),
  };
}

function sent(
  { http }: EngineOptions,
  socket: string,
  request: EngineRequest,
  signal?: AbortSignal,
): ReturnType<Http['request']> {
  const { method, path, query = {}, json, body, idleMs = IDLE_MS } = request;
  const search = new URLSearchParams(query).toString();
  const content = json === undefined ? body : Buffer.from(JSON.stringify(json));
  const type = json === undefined ? 'application/x-tar' : 'application/json';
  return http.request({
    ...{ method, idleMs, unixSocket: socket },
    url: `http://localhost${path}${search === '' ? '' : `?${search}`}`,
    headers: content === undefined ? {} : { 'content-type': type },
    ...(content !== undefined && { body: content }),
    ...(signal && { signal, fresh: true }),
  });
}

async function* stream(
  options: EngineOptions,
  socket: string,
  request: EngineRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const response = await sent(options, socket, request, signal);
  if (!response.ok) return;
  const { status, body, cancel } = response.value;
  try {
    if (status !== 200) return;
    for await (const chunk of body) {
      if (!chunk.ok) return;
      yield chunk.value;
    }
  } finally {
    cancel();
  }
}

async function ask(
  options: EngineOptions,
  socket: string,
  request: EngineRequest,
): Promise<Result<EngineAnswer>> {
  const response = await sent(options, socket, request);
  if (!response.ok) return refuse('compose.engine-missing', { tried: socket });
  const bytes = await read(response.value, socket);
  return bytes.ok ? ok({ status: response.value.status, json: jsonOf(bytes.value) }) : bytes;
}

async function read({ body, cancel }: HttpResponse, socket: string): Promise<Result<Buffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    if (!chunk.ok) return refuse('compose.engine-missing', { tried: socket });
    size += chunk.value.length;
    if (size > ANSWER_BYTES) {
      cancel();
      const reason = `its answer has more than ${ANSWER_BYTES} bytes`;
      return refuse('compose.engine', { what: 'answer', status: 200, reason });
    }
    chunks.push(chunk.value);
  }
  return ok(Buffer.concat(chunks));
}

/** Of an answer in several documents, a line each, the last one. */
function jsonOf(bytes: Buffer): unknown {
  const text = bytes.toString('utf8').trim();
  for (const part of [text, text.split('\n').at(-1) ?? '']) {
    try {
      return JSON.parse(part);
    } catch {}
  }
  return null;
}

/** What went wrong, in the engine's words. */
export function engineFault(what: string, { status, json }: EngineAnswer) {
  const { message, cause, error } = objectOf(json);
  const reason =
    [message, cause, error].map(textOf).find((text) => text !== '') ?? 'no reason given';
  const plain = reason.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 300);
  return refuse('compose.engine', { what, status, reason: plain });
}

export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

async function startPodman(options: EngineOptions, socket: string): Promise<Engine | null> {
  const { files, processes, clock, runDir, env } = options;
  const podman = programIn(files, env.PATH ?? PROGRAM_PATH, 'podman');
  if (!podman) return null;
  const folder = files.open(runDir, { follow: true, create: 0o755 });
  if (!folder.ok) return null;
  folder.value.removeTree(OWN);
  folder.value.removeTree('podman.log');
  folder.value.close();
  const passed = Object.entries(env).flatMap(([name, value]) =>
    value !== undefined && PASSED_ON.test(name) ? [[name, value] as const] : [],
  );
  const command = [podman, '--log-level', 'error', 'system', 'service'];
  const child = await processes.spawn({
    command: [...command, '--time', String(SERVICE_S), `unix://${socket}`],
    env: { PATH: PROGRAM_PATH, HOME: '/root', ...Object.fromEntries(passed) },
    ...{ directory: '/', output: `${runDir}/podman.log` },
  });
  if (!child.ok) return null;
  let ended = false;
  void child.value.exited.then(() => {
    ended = true;
  });
  for (let tries = 0; tries < START_TRIES && !ended; tries += 1) {
    await clock.sleep(START_MS);
    const found = await meet(options, socket);
    if (found) return found;
  }
  return null;
}

function programIn(files: Files, path: string, name: string): string | null {
  for (const folder of path.split(':').filter((each) => each.startsWith('/'))) {
    const opened = files.open(folder, { follow: true });
    if (!opened.ok) continue;
    const entry = opened.value.stat(name);
    opened.value.close();
    if (entry.ok && entry.value !== null && entry.value.kind !== 'directory') {
      return `${folder}/${name}`;
    }
  }
  return null;
}
