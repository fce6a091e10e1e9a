/**
 * An OCI registry as a state machine: manifests by digest, tags, blobs. It is never trusted, so it
 * may lie: a mirror that is stale answers with what its tag named before; bodies are cut, are of
 * another length than was said, or are not what was asked for.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Http, HttpRequest, HttpResponse } from '#platform/http.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import type { Life } from './crash.ts';
import type { Network } from './network.ts';

export interface SimRegistry {
  readonly blobs: Map<string, Uint8Array>;
  readonly tags: Map<string, Digest>;
  /** what tags named before, oldest first */
  readonly tagLog: Digest[];
  /** the tag answers with an old head */
  stale: boolean;
  push(tag: string, manifest: Uint8Array, blobs: readonly Uint8Array[]): Digest;
  http(life: Life): Http;
  copy(): RegistryCopy;
}

export interface RegistryCopy {
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  readonly tags: ReadonlyMap<string, Digest>;
  readonly tagLog: readonly Digest[];
  readonly stale: boolean;
}

const PEER = 'registry';
const CHUNK = 700;

export function simRegistry(network: Network, from?: RegistryCopy): SimRegistry {
  const registry: SimRegistry = {
    blobs: new Map(from?.blobs),
    tags: new Map(from?.tags),
    tagLog: [...(from?.tagLog ?? [])],
    stale: from?.stale ?? false,
    push(tag, manifest, blobs) {
      for (const blob of blobs) registry.blobs.set(sha256(blob), blob);
      const digest = sha256(manifest);
      registry.blobs.set(digest, manifest);
      registry.tags.set(tag, digest);
      registry.tagLog.push(digest);
      return digest;
    },
    copy: () => ({
      blobs: new Map(registry.blobs),
      tags: new Map(registry.tags),
      ...{ tagLog: [...registry.tagLog], stale: registry.stale },
    }),
    http: (life) => ({ request: (request) => answer({ registry, network, life }, request) }),
  };
  return registry;
}

interface Asked {
  readonly registry: SimRegistry;
  readonly network: Network;
  readonly life: Life;
}

/** Resolves in a living agent only. */
function later<T>({ network, life }: Asked, ms: number, make: () => T): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>();
  network.time.after(ms, () => {
    if (!life.dead) resolve(make());
  });
  return promise;
}

async function answer(asked: Asked, request: HttpRequest): Promise<Result<HttpResponse>> {
  const { network } = asked;
  const { weather, dice } = network;
  const unreachable = refuse('link.unreachable', { peer: PEER, reason: 'ENETUNREACH' });
  if (weather.parted) return later(asked, 5, () => unreachable);
  const bad = network.isBad() ? dice.pick(['lost', 'busy', 'reset'] as const) : null;
  if (bad === 'lost') {
    const ms = request.idleMs;
    return later(asked, ms, () => refuse('link.timeout', { peer: PEER, ms }));
  }
  return later(asked, network.delayMs(), () => {
    if (weather.parted || bad === 'reset') {
      return refuse('link.cut', { peer: PEER, reason: 'ECONNRESET' });
    }
    if (bad === 'busy') return ok(responseOf(asked, 503, {}, new Uint8Array()));
    return ok(serve(asked, request));
  });
}

function serve(asked: Asked, { method, url, headers }: HttpRequest): HttpResponse {
  const { registry, network } = asked;
  const [, kind, reference = ''] =
    /\/(manifests|blobs)\/([^/]+)$/.exec(new URL(url).pathname) ?? [];
  const digest = kind === 'manifests' ? headOf(asked, reference) : reference;
  const bytes = digest === null ? undefined : registry.blobs.get(digest);
  if (bytes === undefined) return responseOf(asked, 404, {}, new Uint8Array());
  const type = kind === 'manifests' ? MEDIA.ociManifest : MEDIA.file;
  const common = { 'content-type': type, 'docker-content-digest': digest ?? '' };
  const [, from] = /^bytes=(\d+)-$/.exec(headers.range ?? '') ?? [];
  const start = Number(from ?? 0);
  // A range may be ignored (RFC 9110 section 14.2).
  const partial = from !== undefined && start < bytes.length && !network.dice.oneIn(3);
  const body = method === 'HEAD' ? new Uint8Array() : bytes.subarray(partial ? start : 0);
  const range = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
  const length = { 'content-length': String(body.length) };
  return responseOf(
    asked,
    partial ? 206 : 200,
    { ...common, ...(partial ? range : {}), ...length },
    body,
  );
}

function headOf({ registry, network }: Asked, reference: string): Digest | null {
  const tagged = registry.tags.get(reference);
  if (tagged === undefined) return reference.startsWith('sha256:') ? (reference as Digest) : null;
  const { tagLog, stale } = registry;
  return stale ? (tagLog[network.dice.below(tagLog.length)] ?? tagged) : tagged;
}

function responseOf(
  asked: Asked,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): HttpResponse {
  const end = { cancelled: false };
  return {
    status,
    headers,
    body: chunks(asked, body, end),
    cancel() {
      end.cancelled = true;
    },
  };
}

async function* chunks(
  asked: Asked,
  whole: Uint8Array,
  end: { readonly cancelled: boolean },
): AsyncGenerator<Result<Uint8Array>> {
  const { network } = asked;
  const { dice, weather } = network;
  const bad =
    whole.length > 0 && network.isBad() ? dice.pick(['cut', 'short', 'long', 'flip']) : '';
  const body = bad === 'long' ? Buffer.concat([whole, Buffer.alloc(900)]) : whole;
  for (let at = 0; at < body.length; at += CHUNK) {
    if (at > 0) await later(asked, 1 + dice.below(4), () => null);
    if (end.cancelled) return;
    if (weather.parted || (bad === 'cut' && dice.oneIn(2))) {
      yield refuse('link.cut', { peer: PEER, reason: 'ECONNRESET' });
      return;
    }
    if (bad === 'short' && at + CHUNK >= body.length) return;
    const chunk = body.slice(at, at + CHUNK);
    if (bad === 'flip') chunk[0] = (chunk[0] ?? 0) ^ 1;
    yield ok(chunk);
  }
}
