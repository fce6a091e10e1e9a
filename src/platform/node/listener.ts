/**
 * An HTTP server on a unix socket or a TCP address, by node:http. Bodies stream both ways and wait
 * for their reader. A handler that answers before it read the whole body ends the connection after
 * its answer. A handler that throws ends its connection, and the exception goes where unhandled ones
 * go: a broken assumption must stop the agent.
 */
import { chmodSync, chownSync, lstatSync, unlinkSync } from 'node:fs';
import {
  createServer as createHttp,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, type Server as NetServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type {
  Listener,
  Listening,
  ListenOn,
  ServedRequest,
  ServedResponse,
  ServerTls,
} from '#platform/listener.ts';
import { errnoOf } from './errno.ts';
import { peerOf, type SecureServer, secureServer } from './tls-server.ts';
import { findGroup } from './users.ts';

const CONNECTIONS_MAX = 512;
/** ms for a request's headers, and for a connection without a request */
const HEADERS_MS = 20_000;
const IDLE_MS = 30_000;
/** ms without a byte either way, after which a TLS connection with optional clients ends */
const SILENCE_MS = 60_000;
/** ms in which the rest of a refused body is thrown away, so that its sender reads the answer */
const LINGER_MS = 1_000;
const PROBE_MS = 1_000;

type Handle = (request: ServedRequest) => Promise<ServedResponse>;

export function systemListener(): Listener {
  return { listen };
}

async function listen(on: ListenOn, handle: Handle): Promise<Result<Listening>> {
  const address = on.kind === 'unix' ? on.path : `${on.host}:${on.port}`;
  const no = (reason: string): Result<Listening> => refuse('platform.listen', { address, reason });
  if (on.kind === 'unix') {
    const occupied = await clearSocket(on.path);
    if (occupied !== null) return no(occupied);
  }
  if (on.kind === 'tcp' && on.tls?.clients === 'optional') return listenSecure(on, on.tls, handle);
  let server: Server;
  try {
    server = serverFor(on, handle);
  } catch {
    return no('its certificate or key cannot be used');
  }
  const failed = await bind(server, on);
  if (failed !== null) return no(failed);
  return ok({ port: portOf(server), close: () => close(server) });
}

/** TLS by node:tls, which shows the client's certificate; HTTP by a server that never listens. */
async function listenSecure(
  on: Extract<ListenOn, { kind: 'tcp' }>,
  tls: ServerTls,
  handle: Handle,
): Promise<Result<Listening>> {
  const no = (reason: string): Result<Listening> =>
    refuse('platform.listen', { address: `${on.host}:${on.port}`, reason });
  const http = serverFor({ kind: 'tcp', host: on.host, port: on.port }, handle);
  let secure: SecureServer;
  try {
    secure = secureServer(tls, (stream) => {
      // The server never listens itself, so none of its own timers looks after this connection.
      stream.setTimeout(SILENCE_MS, () => stream.destroy());
      http.emit('connection', stream);
    });
  } catch {
    return no('its certificate or key cannot be used');
  }
  secure.server.maxConnections = CONNECTIONS_MAX;
  const failed = await bind(secure.server, on);
  if (failed !== null) return no(failed);
  return ok({
    port: portOf(secure.server),
    close: () =>
      new Promise((resolve) => {
        secure.server.close(() => resolve());
        secure.destroyAll();
      }),
  });
}

function serverFor(on: ListenOn, handle: Handle): Server {
  const answer = (request: IncomingMessage, response: ServerResponse): void =>
    void serve(request, response, handle);
  const tls = on.kind === 'tcp' ? on.tls : undefined;
  const server =
    tls === undefined
      ? createHttp(answer)
      : createHttps(
          tls.ca === undefined
            ? { cert: tls.cert, key: tls.key }
            : { ...tls, requestCert: true, rejectUnauthorized: true },
          answer,
        );
  server.maxConnections = CONNECTIONS_MAX;
  server.headersTimeout = HEADERS_MS;
  server.keepAliveTimeout = IDLE_MS;
  // A large upload over a slow link takes what it takes.
  server.requestTimeout = 0;
  server.on('clientError', (_error, socket) => socket.destroy());
  return server;
}

/** Null when the path is free now, else why it is not. */
async function clearSocket(path: string): Promise<string | null> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isSocket()) return 'something that is no socket stands there';
  if (await answers(path)) return 'another process answers there';
  try {
    unlinkSync(path);
    return null;
  } catch (error) {
    return errnoOf(error);
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe: Socket = connect({ path });
    const finish = (answered: boolean): void => {
      clearTimeout(timer);
      probe.destroy();
      resolve(answered);
    };
    // Nobody accepts in time: somebody holds the socket, however busy.
    const timer = setTimeout(() => finish(true), PROBE_MS);
    probe.once('connect', () => finish(true)).once('error', () => finish(false));
  });
}

/** Null when it listens. A unix socket is closed to all until its mode and group are set. */
function bind(server: NetServer, on: ListenOn): Promise<string | null> {
  return new Promise((resolve) => {
    const failed = (error: Error): void => resolve(errnoOf(error));
    const listening = (): void => {
      server.off('error', failed);
      server.on('error', () => {});
      const closed = on.kind === 'unix' ? openSocketFile(on) : null;
      if (closed !== null) server.close();
      resolve(closed);
    };
    server.once('error', failed).once('listening', listening);
    if (on.kind === 'tcp') {
      server.listen(on.port, on.host);
      return;
    }
    const umask = process.umask(0o177);
    try {
      server.listen(on.path);
    } catch (error) {
      resolve(errnoOf(error));
    } finally {
      process.umask(umask);
    }
  });
}

function openSocketFile(on: Extract<ListenOn, { kind: 'unix' }>): string | null {
  try {
    const gid = on.group === null ? null : findGroup(on.group);
    if (gid !== null) chownSync(on.path, process.geteuid?.() ?? -1, gid);
    chmodSync(on.path, on.mode);
    return null;
  } catch (error) {
    return errnoOf(error);
  }
}

function portOf(server: NetServer): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  handle: Handle,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  request.on('error', () => gone.abort());
  response.on('error', () => gone.abort());
  let answered = false;
  try {
    await send(request, response, await handle(servedOf(request, gone.signal)), gone.signal);
    answered = true;
  } finally {
    if (!answered) response.destroy();
  }
}

function servedOf(request: IncomingMessage, signal: AbortSignal): ServedRequest {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return {
    method: request.method ?? 'GET',
    target: request.url ?? '/',
    headers,
    body: bodyOf(request),
    peer:
      request.socket instanceof TLSSocket
        ? peerOf(request.socket)
        : { address: request.socket.remoteAddress ?? '', certificate: null },
    signal,
  };
}

/** Leaving the loop early must not destroy the request: its connection carries the answer. */
async function* bodyOf(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  const chunks: AsyncIterator<Buffer> = request[Symbol.asyncIterator]();
  for (;;) {
    const next = await chunks.next();
    if (next.done) return;
    yield new Uint8Array(next.value);
  }
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: ServedResponse,
  signal: AbortSignal,
): Promise<void> {
  const { status, headers = {}, body } = answer;
  const whole = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
  const bytes = whole ? Buffer.from(body ?? '') : null;
  const all: Record<string, string> = { ...headers };
  const bodiless = status === 204 || status === 304 || status < 200;
  if (bytes !== null && !bodiless && all['content-length'] === undefined) {
    all['content-length'] = String(bytes.length);
  }
  const unread = !request.complete && hasBody(request);
  if (unread) all.connection = 'close';
  response.writeHead(status, all);
  if (request.method === 'HEAD' || bodiless) response.end();
  else if (bytes !== null) response.end(bytes);
  else if (!whole) await stream(response, body, signal);
  if (unread) discard(request);
}

function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** What the client still sends goes nowhere, and not for long. */
function discard(request: IncomingMessage): void {
  const { socket } = request;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  request.resume();
}

async function stream(
  response: ServerResponse,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of body) {
    if (signal.aborted) return;
    if (!response.write(chunk)) await drained(response, signal);
    if (signal.aborted) return;
  }
  response.end();
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
