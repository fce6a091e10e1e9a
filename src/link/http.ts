/**
 * HTTP as the registry speaks it, over the platform's bare requests. Here, for every request:
 *
 * - check 1: scheme and host are those of the configuration; redirects are followed (at most
 *   REDIRECTS_MAX) on the same origin, and for content that is checked by its digest to other
 *   https origins too, without credentials and without a client certificate; never down to http;
 * - check 2: a byte cap while streaming (Content-Length is a claim), no content-encoding;
 * - a floor on the speed, so that an endless trickle ends; the idle time is the platform's;
 * - TLS with a dead clock by dead-clock.ts.
 *
 * What a status means is the caller's business; status-fault.ts says it for those who have none.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { HttpRequest, HttpResponse, TlsOptions } from '#platform/http.ts';
import type { Platform } from '#platform/platform.ts';
import { LIMITS } from '#state/limits.ts';
import { type DeadClock, deadClock, type JudgePeer } from './dead-clock.ts';
import { type Access, isLoopback, isNearAddress, nameOf, readTls, readUrl } from './endpoint.ts';
import type { PeerTime } from './peer.ts';
import { type ProxyWay, readProxy } from './proxy.ts';
import { type RootAnchors, withRootAnchors } from './root-anchors.ts';

export interface HttpLink {
  /** what those who speak over it need besides: secrets from files, the age of tokens */
  readonly platform: Pick<Platform, 'clock' | 'files'>;
  /** A response with any status but a followed redirect; its body must be drained or cancelled. */
  send(request: LinkRequest): Promise<Result<LinkResponse>>;
  /** Ends what stays open between requests. */
  close(): void;
}

export interface LinkRequest {
  readonly method: HttpRequest['method'];
  readonly url: string;
  readonly access: Access;
  /** without credentials */
  readonly headers?: Readonly<Record<string, string>>;
  /** given to the origin of `access` alone */
  readonly authorization?: string;
  readonly body?: Uint8Array;
  /** `content`: the body is checked by its digest, so it may come from anywhere that is public */
  readonly redirects: 'refuse' | 'same-origin' | 'content';
  /** bytes of the body */
  readonly cap: number;
  /** a packed body is handed on as it came: whoever asks unpacks it, under a cap. Default: refused */
  readonly gzip?: boolean;
  /** for messages: what the body is */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
}

export interface LinkResponse {
  readonly status: number;
  /** names in lower case */
  readonly headers: Readonly<Record<string, string>>;
  /** where it came from in the end */
  readonly url: URL;
  /** at most `cap` bytes, then `link.too-large`; ends with a fault or the end of the body */
  readonly body: AsyncIterable<Result<Uint8Array>>;
  cancel(): void;
}

export interface HttpLinkOptions {
  /** ms without a byte */
  readonly idleMs?: number;
  /** what is known of the time, and where unix sockets may be made: for TLS with a dead clock */
  readonly deadClock?: {
    readonly directory: string;
    readonly time: () => PeerTime;
    /** every TLS connection is judged by this, whatever the clock says */
    readonly judge?: JudgePeer;
  };
  /** default: only what `access.tls` names counts */
  readonly rootAnchors?: RootAnchors;
}

const REDIRECTS_MAX = 5;
const IDLE_MS = 60_000;
/** Less than SLOW_BYTES in SLOW_MS is no transfer: 34 bytes/s, a tenth of the slowest modem. */
const SLOW_BYTES = 4 * 1024;
const SLOW_MS = 120_000;

type Parts = Pick<Platform, 'http' | 'clock' | 'files' | 'sockets' | 'tunnels' | 'certificates'>;

interface Link {
  readonly platform: Parts;
  readonly idleMs: number;
  readonly time: (() => PeerTime) | null;
  readonly judged: boolean;
  readonly dead: DeadClock | null;
  readonly rootAnchors: RootAnchors;
}

export function httpLink(platform: Parts, options: HttpLinkOptions = {}): HttpLink {
  const idleMs = options.idleMs ?? IDLE_MS;
  const dead = options.deadClock ?? null;
  const link: Link = {
    platform,
    idleMs,
    time: dead?.time ?? null,
    judged: dead?.judge !== undefined,
    dead: dead === null ? null : deadClock(platform, { ...dead, connectMs: idleMs }),
    rootAnchors: options.rootAnchors ?? (() => null),
  };
  return { platform, send: (request) => send(link, request), close: () => link.dead?.close() };
}

async function send(link: Link, request: LinkRequest): Promise<Result<LinkResponse>> {
  const first = readUrl(request.url, request.access.insecure);
  if (!first.ok) return first;
  if (first.value.origin !== request.access.origin) {
    const reason = `only ${request.access.origin} is configured`;
    return refuse('link.scheme-refused', { url: nameOf(first.value), reason });
  }
  let url = first.value;
  for (let followed = 0; ; followed += 1) {
    const response = await sendOnce(link, request, url);
    if (!response.ok || !isRedirect(response.value.status)) return response;
    await discardBody(response.value);
    const next = nextUrl(request, url, response.value.headers.location, followed);
    if (!next.ok) return next;
    url = next.value;
  }
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

/** Check 1, for redirects (N01, N03, N05, N06). */
function nextUrl(
  request: LinkRequest,
  from: URL,
  location: string | undefined,
  followed: number,
): Result<URL> {
  const canBe = location !== undefined && URL.canParse(location, from.href);
  const to = canBe ? new URL(location, from.href) : null;
  const refuseFor = (reason: string): Result<URL> =>
    refuse('link.redirect-refused', {
      from: nameOf(from),
      to: to === null ? 'no readable address' : nameOf(to),
      reason,
    });
  if (to === null) return refuseFor('the Location is missing or no URL');
  if (request.redirects === 'refuse') return refuseFor('this request is not to be redirected');
  if (followed >= REDIRECTS_MAX) return refuseFor(`more than ${REDIRECTS_MAX} redirects`);
  if (to.username !== '' || to.password !== '') return refuseFor('it carries user information');
  to.hash = '';
  if (to.origin === request.access.origin) return ok(to);
  if (request.redirects !== 'content') return refuseFor('to another origin');
  const home = new URL(request.access.origin);
  if (to.protocol === 'http:' && home.protocol === 'https:') return refuseFor('down to http');
  const checked = readUrl(to.href, request.access.insecure);
  if (!checked.ok) return refuseFor('only https:// is followed');
  const near = isNearAddress(to.hostname) && !isNearAddress(home.hostname);
  const loop = isLoopback(to.hostname) && !isLoopback(home.hostname);
  return near || loop ? refuseFor('to an address inside this network') : ok(to);
}

async function sendOnce(link: Link, request: LinkRequest, url: URL): Promise<Result<LinkResponse>> {
  const tls = url.protocol === 'https:' ? tlsOf(link, request.access, url.host) : ok({});
  if (!tls.ok) return tls;
  const proxy = readProxy(link.platform.files, request.access);
  if (!proxy.ok) return proxy;
  const bare = bareRequest(link, request, url, { tls: tls.value, proxy: proxy.value });
  const own = link.judged || (link.time !== null && !link.time().wallPlausible);
  const checked = own && url.protocol === 'https:';
  const response = checked
    ? await sendChecked(link, bare, url)
    : await link.platform.http.request(bare);
  if (!response.ok) return response;
  return acceptResponse(link, request, url, response.value);
}

function tlsOf(link: Link, access: Access, peer: string): Result<TlsOptions> {
  const configured = readTls(link.platform.files, access.tls);
  if (!configured.ok) return configured;
  const floorMs = link.time?.().floorMs ?? 0;
  const trust = link.rootAnchors();
  return withRootAnchors(link.platform.certificates, configured.value, { trust, floorMs, peer });
}

function bareRequest(
  link: Link,
  request: LinkRequest,
  url: URL,
  { tls, proxy }: { readonly tls: TlsOptions; readonly proxy: ProxyWay | null },
): HttpRequest {
  const home = url.origin === request.access.origin;
  const { cert: _cert, key: _key, ...anchors } = tls;
  const secrets = home && request.authorization !== undefined;
  return {
    method: request.method,
    url: url.href,
    headers: {
      'accept-encoding': 'identity',
      ...request.headers,
      ...(secrets ? { authorization: request.authorization } : {}),
    },
    ...(request.body === undefined ? {} : { body: request.body }),
    ...(url.protocol === 'https:' ? { tls: home ? tls : anchors } : {}),
    ...(proxy === null ? {} : { proxy: proxy.url }),
    idleMs: link.idleMs,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  };
}

/** The same request as plain HTTP over a tunnel whose far end is TLS, checked by link/peer.ts. */
async function sendChecked(link: Link, bare: HttpRequest, url: URL): Promise<Result<HttpResponse>> {
  if (link.dead === null) {
    const reason = 'the clock is not set';
    return refuse('link.tls-untrusted', { peer: url.host, reason });
  }
  const { tls, proxy, ...rest } = bare;
  const way = await link.dead.open({
    hostname: url.hostname,
    port: Number(url.port || 443),
    tls: tls ?? {},
    proxy: proxy ?? null,
  });
  if (!way.ok) return way;
  const { unixSocket, takeFault } = way.value;
  const plain = `http://${url.host}${url.pathname}${url.search}`;
  const response = await link.platform.http.request({ ...rest, url: plain, unixSocket });
  const why = response.ok ? null : takeFault();
  return why === null ? response : { ok: false, fault: why };
}

/** Check 2, what the header already shows. */
function acceptResponse(
  link: Link,
  request: LinkRequest,
  url: URL,
  response: HttpResponse,
): Result<LinkResponse> {
  const { status, headers } = response;
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  const known = encoding === 'identity' || (request.gzip === true && encoding === 'gzip');
  if (!known && request.method !== 'HEAD') {
    response.cancel();
    return refuse('link.encoding-refused', { peer: url.host, encoding: encoding.slice(0, 40) });
  }
  const claimed = Number(headers['content-length'] ?? 0);
  const success = status >= 200 && status < 300;
  if (success && request.method !== 'HEAD' && claimed > request.cap) {
    response.cancel();
    return refuse('link.too-large', { what: request.what, cap: request.cap });
  }
  const body = capped(link, request, url, response);
  return ok({ status, headers, url, body, cancel: () => response.cancel() });
}

async function* capped(
  link: Link,
  request: LinkRequest,
  url: URL,
  response: HttpResponse,
): AsyncGenerator<Result<Uint8Array>> {
  const { clock } = link.platform;
  const success = response.status >= 200 && response.status < 300;
  const cap = success ? request.cap : LIMITS.errorBodyBytes;
  let bytes = 0;
  let window = { waitedMs: 0, bytes: 0 };
  let done = false;
  try {
    let askedMs = clock.monotonicMs();
    for await (const chunk of response.body) {
      if (!chunk.ok) return yield chunk;
      bytes += chunk.value.length;
      if (bytes > cap) return yield refuse('link.too-large', { what: request.what, cap });
      window.waitedMs += clock.monotonicMs() - askedMs;
      window.bytes += chunk.value.length;
      yield chunk;
      // The reader's own time (a slow disk) does not count.
      askedMs = clock.monotonicMs();
      if (window.waitedMs < SLOW_MS) continue;
      const ms = Math.round(window.waitedMs);
      if (window.bytes < SLOW_BYTES) {
        return yield refuse('link.slow', { peer: url.host, bytes: window.bytes, ms });
      }
      window = { waitedMs: 0, bytes: 0 };
    }
    done = true;
  } finally {
    // Also when the reader stops early: nothing keeps the connection.
    if (!done) response.cancel();
  }
}

/** The whole body, at most the request's cap. */
export async function readBody(response: LinkResponse): Promise<Result<Uint8Array>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) {
    if (!chunk.ok) return chunk;
    chunks.push(chunk.value);
  }
  return ok(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
}

/** Reads what nobody wants, up to the cap, so that the connection can be used again. */
export async function discardBody(response: LinkResponse): Promise<void> {
  for await (const chunk of response.body) if (!chunk.ok) return;
}
