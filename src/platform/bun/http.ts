/**
 * HTTP by Bun's fetch, which keeps connections alive and bounds headers by itself (measured: 5
 * requests, 1 connection; 400 MB of header end with an error at once; a reader that waits holds
 * back the sender after 6 MB). Here: `http:` and `https:` alone (fetch would also read files and
 * data URLs), no redirects, no decoding, certificates always verified whatever the environment
 * says, and a limit on silence: `idleMs` without a byte in either direction.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Http, HttpRequest, HttpResponse, TlsOptions } from '#platform/http.ts';
import { errnoOf } from '#platform/node/errno.ts';
import { netFault, PROXY_LOGIN } from '#platform/node/net-faults.ts';
import { anchorsFor } from '#platform/node/system-anchors.ts';

/** bytes: above it a body is streamed, so that progress on a slow link counts as a sign of life */
const STREAM_FROM = 64 * 1024;
const STREAM_CHUNK = 32 * 1024;

/** What fetch would take a proxy from, in both cases. */
const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'];

/**
 * Only the configuration names a proxy: what a login shell or a unit's environment happens to hold
 * must not send a device's requests elsewhere, and fetch has no way to say so (an empty `proxy`
 * counts as none given: measured). So the variables are taken out of this process.
 */
export function bunHttp(env: Record<string, string | undefined> = process.env): Http {
  for (const name of PROXY_VARIABLES) {
    delete env[name];
    delete env[name.toUpperCase()];
  }
  return { request };
}

async function request(request: HttpRequest): Promise<Result<HttpResponse>> {
  const url = readUrl(request.url);
  if (!url.ok) return url;
  const peer = request.unixSocket ?? url.value.host;
  const watch = watchIdle(request, peer);
  try {
    const response = await fetch(url.value, initOf(request, watch));
    watch.alive();
    return ok(responseOf(response, watch));
  } catch (error) {
    watch.end();
    return refused(
      watch.fault() ?? badTls(request.tls, peer) ?? throughProxy(request, error, peer),
    );
  }
}

/** With a proxy, it is the proxy that could not be reached or did not lead on. */
function throughProxy({ proxy }: HttpRequest, error: unknown, peer: string): Fault {
  const found = netFault(error, peer, false);
  const refusedBy = errnoOf(error) === 'ERR_PROXY_TUNNEL';
  if (proxy === undefined || !(refusedBy || found.code === 'link.unreachable')) return found;
  // Without the credentials that may stand in it.
  const shown = URL.canParse(proxy) ? new URL(proxy).host : 'of the configuration';
  const reason = refusedBy ? refusalOf(error) : 'it cannot be reached';
  return fault('link.proxy', { peer, proxy: shown, reason });
}

function refusalOf(error: unknown): string {
  const status = (error as { readonly status?: unknown } | null)?.status;
  if (status === 407) return PROXY_LOGIN;
  return typeof status === 'number' ? `it answered ${status}` : 'it refuses CONNECT';
}

function readUrl(text: string): Result<URL> {
  if (!URL.canParse(text)) {
    return refuse('link.scheme-refused', { url: 'the address', reason: 'it is no URL' });
  }
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    const reason = 'only http: and https: are spoken';
    return refuse('link.scheme-refused', { url: url.protocol, reason });
  }
  if (url.username !== '' || url.password !== '') {
    return refuse('link.scheme-refused', { url: url.host, reason: 'it carries user information' });
  }
  return ok(url);
}

function initOf(request: HttpRequest, watch: Watch): BunFetchRequestInit {
  const { tls, unixSocket, proxy, body } = request;
  const ca = tls && anchorsFor(tls);
  return {
    method: request.method,
    headers: { 'user-agent': 'holdfast', ...withLength(request) },
    redirect: 'manual',
    decompress: false,
    // Bun's own limit (5 minutes) does not know what is alive.
    timeout: false,
    // Measured: it neither takes an open connection nor leaves one behind.
    ...(request.fresh ? { keepalive: false } : {}),
    signal: watch.signal,
    tls: {
      // Never left to the environment: NODE_TLS_REJECT_UNAUTHORIZED=0 would end all checks (N08).
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca }),
      ...(tls?.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls?.key === undefined ? {} : { key: tls.key }),
      ...(tls?.serverName === undefined ? {} : { serverName: tls.serverName }),
    },
    ...(unixSocket === undefined ? {} : { unix: unixSocket }),
    ...(proxy === undefined ? {} : { proxy }),
    ...(body === undefined ? {} : { body: bodyOf(body, watch) }),
  };
}

/** A stream of known length is sent with that length, not in chunks: object stores insist. */
function withLength({ headers, body }: HttpRequest): Record<string, string> {
  if (!(body instanceof Uint8Array) || body.length < STREAM_FROM) return { ...headers };
  return { ...headers, 'content-length': String(body.length) };
}

function bodyOf(
  body: Uint8Array | AsyncIterable<Uint8Array>,
  watch: Watch,
): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
  if (body instanceof Uint8Array) {
    return body.length < STREAM_FROM ? new Uint8Array(body) : streamOf(chunksOf(body), watch);
  }
  return streamOf(body[Symbol.asyncIterator](), watch);
}

function* chunksOf(body: Uint8Array): Generator<Uint8Array> {
  for (let offset = 0; offset < body.length; offset += STREAM_CHUNK) {
    yield body.subarray(offset, offset + STREAM_CHUNK);
  }
}

/** Pulled by the socket: each pull is a sign of life, and nothing runs ahead of the link. */
function streamOf(
  chunks: Iterator<Uint8Array> | AsyncIterator<Uint8Array>,
  watch: Watch,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // What the source needs to produce the next chunk is not the peer's silence.
        watch.pause();
        const next = await chunks.next();
        watch.alive();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

function responseOf(response: Response, watch: Watch): HttpResponse {
  const headers: Record<string, string> = {};
  for (const [name, value] of response.headers) headers[name.toLowerCase()] = value;
  const { body } = response;
  if (body === null) watch.end();
  return {
    status: response.status,
    headers,
    body: body === null ? nothing() : bodyChunks(body, watch),
    cancel: () => watch.cancel(),
  };
}

async function* nothing(): AsyncGenerator<Result<Uint8Array>> {}

async function* bodyChunks(
  body: ReadableStream<Uint8Array>,
  watch: Watch,
): AsyncGenerator<Result<Uint8Array>> {
  const reader = body.getReader();
  try {
    for (;;) {
      watch.alive();
      const { done, value } = await reader.read();
      watch.pause();
      if (done) {
        watch.end();
        return;
      }
      yield ok(value);
    }
  } catch (error) {
    yield refused(watch.fault() ?? netFault(error, watch.peer, true));
  } finally {
    // A reader that stopped early closes the connection; at the end it stays for the next request.
    watch.cancel();
  }
}

/** Ends the request after `idleMs` of silence, or when its caller says so; knows which. */
interface Watch {
  readonly peer: string;
  readonly signal: AbortSignal;
  /** a byte came, or the next wait begins: silence counts from now */
  alive(): void;
  /** this side has the word */
  pause(): void;
  /** all is done: no timer, no listener stays */
  end(): void;
  cancel(): void;
  /** why it was aborted, or null */
  fault(): Fault | null;
}

function watchIdle({ idleMs, signal }: HttpRequest, peer: string): Watch {
  const controller = new AbortController();
  let why: Fault | null = null;
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const abort = (fault: Fault): void => {
    if (over) return;
    why = fault;
    watch.end();
    controller.abort();
  };
  const cancel = (): void => abort(fault('link.cut', { peer, reason: 'ended by this side' }));
  const watch: Watch = {
    peer,
    signal: controller.signal,
    alive() {
      clearTimeout(timer);
      if (over) return;
      timer = setTimeout(() => abort(fault('link.timeout', { peer, ms: idleMs })), idleMs);
    },
    pause: () => clearTimeout(timer),
    end() {
      over = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    },
    cancel,
    fault: () => why,
  };
  watch.alive();
  if (signal?.aborted === true) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  return watch;
}

/** Bun says only "failed to open socket" when a PEM text cannot be used: find which. */
function badTls(tls: TlsOptions | undefined, peer: string): Fault | null {
  for (const [name, text, parse] of [
    ['tls.ca', tls?.ca, (pem: string) => new X509Certificate(pem)],
    ['tls.cert', tls?.cert, (pem: string) => new X509Certificate(pem)],
    ['tls.key', tls?.key, (pem: string) => createPrivateKey(pem)],
  ] as const) {
    try {
      if (text !== undefined) parse(text);
    } catch {
      return fault('link.tls', { peer, reason: `${name} cannot be read as PEM` });
    }
  }
  return null;
}
