/**
 * HTTP whose every request is signed (RFC 9421; the older dialects of Margo): over method, target,
 * authority and, with a body, its digest. `created` is this device's time. With a dead clock it is the
 * server's, whose certificate was judged before: taken from the `Date` of an answer and carried on by
 * CLOCK_BOOTTIME; so is a clock that the server calls wrong (401), once for a request.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { MessageSigner } from '#platform/message-keys.ts';
import {
  componentsOf,
  contentDigest,
  coveredBy,
  signatureBase,
  signatureFields,
  signatureParams,
} from '#wire/http-signature.ts';
import { discardBody, type HttpLink, type LinkRequest, type LinkResponse } from './http.ts';
import type { PeerTime } from './peer.ts';
import { readHttpDate } from './retry-after.ts';

export interface SignedHttpOptions {
  /** a fault: there is no key to sign with */
  readonly signer: () => Result<MessageSigner>;
  readonly time: () => PeerTime;
  /** of this origin, asked without a signature for its `Date`, whatever it answers */
  readonly dateUrl: string;
}

export interface SignedHttp extends HttpLink {
  /** as it is: what a manager answers to anybody */
  plain(request: LinkRequest): Promise<Result<LinkResponse>>;
}

/** ms: what a server allows is five minutes back and nothing ahead; a 401 beyond it is about the clock */
const BACK_MS = 240_000;
const DATE_CAP = 64 * 1024;

interface Signing {
  readonly http: HttpLink;
  readonly options: SignedHttpOptions;
  /** the server's time at a moment of CLOCK_BOOTTIME; null: this device's own counts */
  server: { readonly ms: number; readonly bootMs: number } | null;
}

export function signedHttp(http: HttpLink, options: SignedHttpOptions): SignedHttp {
  const signing: Signing = { http, options, server: null };
  return {
    platform: http.platform,
    send: (request) => send(signing, request),
    plain: (request) => http.send(request),
    close: () => http.close(),
  };
}

async function send(signing: Signing, request: LinkRequest): Promise<Result<LinkResponse>> {
  const { http, options } = signing;
  const signer = options.signer();
  if (!signer.ok) return signer;
  const nowMs = await timeOf(signing, request);
  if (!nowMs.ok) return nowMs;
  const first = await http.send(signed(request, signer.value, nowMs.value));
  if (!first.ok || first.value.status !== 401) return first;
  const serverMs = readHttpDate(first.value.headers.date);
  const back = serverMs === null ? 0 : serverMs - toSecond(nowMs.value);
  if (serverMs === null || (back >= 0 && back < BACK_MS)) return first;
  await discardBody(first.value);
  return http.send(signed(request, signer.value, learn(signing, serverMs)));
}

/** Unix ms for `created`. */
async function timeOf(signing: Signing, { access, signal }: LinkRequest): Promise<Result<number>> {
  const { http, options, server } = signing;
  const { clock } = http.platform;
  if (server) return ok(server.ms + clock.bootMs() - server.bootMs);
  const { wallPlausible, floorMs } = options.time();
  if (wallPlausible) return ok(clock.wallMs());
  const answer = await http.send({
    ...{ method: 'GET', url: options.dateUrl, access, redirects: 'refuse', signal },
    ...{ cap: DATE_CAP, what: 'the time of the Margo manager' },
  });
  if (!answer.ok) return answer;
  const serverMs = readHttpDate(answer.value.headers.date);
  answer.value.cancel();
  return ok(serverMs === null ? floorMs : learn(signing, serverMs));
}

/** For `created` alone, which only this server judges: of certificates the time floor decides. */
function learn(signing: Signing, serverMs: number): number {
  signing.server = { ms: serverMs, bootMs: signing.http.platform.clock.bootMs() };
  return serverMs;
}

function toSecond(ms: number): number {
  return Math.floor(ms / 1_000) * 1_000;
}

function signed(request: LinkRequest, signer: MessageSigner, nowMs: number): LinkRequest {
  const { method, body } = request;
  const digest = body === undefined ? {} : { 'content-digest': contentDigest(body) };
  // As it is sent: the host in small letters, without the port that https implies.
  const url = new URL(request.url).href;
  const covered = coveredBy(body !== undefined);
  const created = toSecond(nowMs) / 1_000;
  const { keyid, algorithm } = signer;
  const params = signatureParams(covered, { created, keyid, algorithm });
  const headers = { ...request.headers, ...digest };
  const base = signatureBase(covered, params, componentsOf({ method, url, headers }));
  // Every component is there: they are made above.
  const signature = signer.sign(base ?? new Uint8Array());
  return { ...request, url, headers: { ...headers, ...signatureFields(params, signature) } };
}
