/**
 * Fetches the trust bundle again, as often as the one in force asks for (MARGO.md section 9; M06–M08).
 * Where it lies is the owner's word, or the manager's discovery document; always https. The manager's own
 * origin is judged by the bundle in force, any other one by the anchors that the owner names for it, so
 * nothing is ever believed because it came first. What fails leaves the bundle as it is.
 */
import * as v from 'valibot';
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { JudgePeer } from '#link/dead-clock.ts';
import { discardBody, type HttpLink, httpLink, readBody } from '#link/http.ts';
import { statusFault } from '#link/status-fault.ts';
import type { Platform } from '#platform/platform.ts';
import { TRUST_BUNDLE_BYTES } from '#wire/trust-bundle.ts';
import { DISCOVERY_BYTES, readDiscovery } from '#wire/trust-kept.ts';
import type { MargoAnchors } from './margo-anchors.ts';
import type { AgentTime } from './time.ts';

/** Keys of `margo.identity`. */
export const refreshEntries = {
  trustBundleUri: v.optional(
    v.pipe(v.string(), v.regex(/^https:\/\/[^/\s@?#]+(?:\/[^\s@#]*)?$/, 'an https:// address')),
  ),
  discover: v.optional(v.boolean(), false),
  trustBundleCa: v.optional(v.pipe(v.string(), v.nonEmpty('a path'))),
};

export interface MargoRefreshConfig {
  /** null: nothing is fetched, or where is asked of the manager */
  readonly uri: string | null;
  readonly discover: boolean;
  /** absolute path of the anchors of another origin than the manager's; null: those of the system */
  readonly ca: string | null;
}

export function refreshOf(
  read: v.InferOutput<v.StrictObjectSchema<typeof refreshEntries, undefined>>,
  at: (name: string) => string,
): MargoRefreshConfig {
  const { trustBundleUri, discover, trustBundleCa } = read;
  const ca = trustBundleCa === undefined ? null : at(trustBundleCa);
  return { uri: trustBundleUri ?? null, discover, ca };
}

export interface MargoRefresh {
  /** A peer was not believed: the bundle may have been replaced meanwhile. Rationed. */
  doubt(): void;
  stop(): void;
}

export interface MargoRefreshInput {
  readonly platform: Platform;
  readonly time: Pick<AgentTime, 'view'>;
  readonly config: MargoRefreshConfig;
  readonly runDir: string;
  /** of the manager */
  readonly manager: {
    readonly url: string;
    /** paths: a manager may let nobody near without a certificate, though these pages need none */
    readonly tls: { readonly cert: string; readonly key: string };
    readonly proxy: string | null;
    readonly judge: JudgePeer;
  };
  readonly anchors: MargoAnchors;
  /** of the device's own SVID */
  domain(): Result<string>;
}

/** seconds, where a bundle says nothing; the SPIFFE federation text advises five minutes */
const HINT_DEFAULT_S = 300;
/** a bundle may ask for this much, and no more: nobody is polled to death, nothing grows a day old */
const HINT_MIN_S = 60;
const HINT_MAX_S = 86_400;
/** of the period */
const JITTER = 0.2;
const DOUBT_MS = 60_000;

export function margoRefresh(input: MargoRefreshInput): MargoRefresh {
  const { platform, config } = input;
  if (config.uri === null && !config.discover)
    return { doubt: () => undefined, stop: () => undefined };
  const { clock, random, log } = platform;
  const links = linksOf(input);
  const stopped = new AbortController();
  let cancel: () => void = () => undefined;
  let lastMs = Number.NEGATIVE_INFINITY;
  let running = false;
  const round = async (): Promise<void> => {
    if (running || stopped.signal.aborted) return;
    running = true;
    cancel();
    lastMs = clock.monotonicMs();
    const ended = await once(input, links, stopped.signal);
    running = false;
    if (stopped.signal.aborted) return;
    if (!ended.ok) tell(ended.fault);
    else if (ended.value) log.write('info', 'margo.trust-bundle', { taken: true });
    cancel = clock.after(periodMs(input, ended.ok, random.unit()), () => void round());
  };
  const tell = ({ code, message }: Fault): void =>
    log.write('warn', 'margo.trust-bundle', { code, message });
  void round();
  return {
    doubt() {
      if (clock.monotonicMs() - lastMs >= DOUBT_MS) void round();
    },
    stop() {
      stopped.abort();
      cancel();
      links.manager.close();
      links.other.close();
    },
  };
}

function periodMs({ anchors }: MargoRefreshInput, went: boolean, unit: number): number {
  const held = anchors.current();
  const asked = (held.ok ? held.value.refreshHint : null) ?? HINT_DEFAULT_S;
  const hint = Math.min(Math.max(asked, HINT_MIN_S), HINT_MAX_S);
  const seconds = went ? hint : Math.min(hint, HINT_DEFAULT_S);
  return seconds * 1_000 * (1 + JITTER * (2 * unit - 1));
}

interface Links {
  readonly manager: HttpLink;
  readonly other: HttpLink;
}

function linksOf({ platform, time, runDir, manager }: MargoRefreshInput): Links {
  const view = () => time.view();
  const { judge } = manager;
  const of = (name: string, more: { readonly judge?: JudgePeer }): HttpLink =>
    httpLink(platform, { deadClock: { directory: `${runDir}/${name}`, time: view, ...more } });
  return { manager: of('margo-trust', { judge }), other: of('margo-bundle', {}) };
}

/** True: another bundle is in force. */
async function once(
  input: MargoRefreshInput,
  links: Links,
  signal: AbortSignal,
): Promise<Result<boolean>> {
  const held = input.anchors.current();
  if (!held.ok) return held;
  const uri =
    input.config.uri === null ? await discovered(input, links, signal) : ok(input.config.uri);
  if (!uri.ok) return uri;
  const what = { what: 'the trust bundle', cap: TRUST_BUNDLE_BYTES };
  const bytes = await fetched(input, links, { url: uri.value, ...what, signal });
  return bytes.ok ? input.anchors.take(bytes.value, uri.value) : bytes;
}

async function discovered(
  input: MargoRefreshInput,
  links: Links,
  signal: AbortSignal,
): Promise<Result<string>> {
  const domain = input.domain();
  if (!domain.ok) return domain;
  const url = `${new URL(input.manager.url).origin}/.well-known/margo`;
  const what = { what: 'the discovery document', cap: DISCOVERY_BYTES };
  const bytes = await fetched(input, links, { url, ...what, signal });
  if (!bytes.ok) return bytes;
  const read = readDiscovery(bytes.value, url);
  if (!read.ok) return read;
  if (read.value.trustDomain === domain.value) return ok(read.value.trustBundleUri);
  const reason = `it names the trust domain ${read.value.trustDomain}; this device is of ${domain.value}`;
  return refuse('margo.trust-bundle', { file: url, reason });
}

interface Wanted {
  readonly url: string;
  readonly what: string;
  /** bytes */
  readonly cap: number;
  readonly signal: AbortSignal;
}

async function fetched(
  { manager, config }: MargoRefreshInput,
  links: Links,
  { url, what, cap, signal }: Wanted,
): Promise<Result<Uint8Array>> {
  const { origin } = new URL(url);
  const own = origin === new URL(manager.url).origin;
  const tls = own ? manager.tls : config.ca === null ? null : { ca: config.ca };
  const http = own ? links.manager : links.other;
  const response = await http.send({
    ...{ method: 'GET', url, redirects: 'refuse', cap, what, signal },
    headers: { accept: 'application/json' },
    access: { origin, insecure: false, tls, proxy: manager.proxy },
  });
  if (!response.ok) return response;
  if (response.value.status === 200) return readBody(response.value);
  if (response.value.status === 404) {
    await discardBody(response.value);
    return refuse('margo.trust-bundle', { file: url, reason: `${what} is not there (404)` });
  }
  return { ok: false, fault: await statusFault(http.platform.clock, response.value) };
}
