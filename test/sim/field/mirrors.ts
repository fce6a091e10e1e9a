/**
 * The registries of a plant as one device meets them: mirrors of one origin, in order, each in a mood
 * of its own. One that lags has what the origin had when it fell behind; one that lies names other
 * manifests than its tag does, flips bytes, says that it has nothing; one is gone, one takes the
 * question and never answers. The weather is that of the whole network.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Http, HttpRequest, HttpResponse } from '#platform/http.ts';
import type { Life } from '../world/crash.ts';
import type { Network } from '../world/network.ts';
import { type RegistryCopy, type SimRegistry, simRegistry } from '../world/registry.ts';

export const MOODS = ['good', 'lags', 'lies', 'gone', 'hangs'] as const;
export type Mood = (typeof MOODS)[number];

export interface Mirror {
  mood: Mood;
  /** what one that lags has */
  behind: RegistryCopy | null;
}

export const FIRST_PORT = 5000;

export interface Mirroring {
  readonly origin: SimRegistry;
  readonly network: Network;
  readonly mirrors: readonly Mirror[];
  /** a device asks for this content */
  asked(digest: string): void;
}

export function setMood(mirror: Mirror, mood: Mood, origin: SimRegistry): void {
  mirror.mood = mood;
  mirror.behind = mood === 'lags' ? origin.copy() : null;
}

export function mirrorsHttp(mirroring: Mirroring): (life: Life) => Http {
  return (life) => ({
    request: (request) => Promise.race([answer(mirroring, life, request), ended(life, request)]),
  });
}

const PEER = 'mirror';

/** As platform/bun/http.ts: its caller has given up. */
function ended(life: Life, { signal }: HttpRequest): Promise<Result<HttpResponse>> {
  const { promise, resolve } = Promise.withResolvers<Result<HttpResponse>>();
  const end = (): void => {
    if (!life.dead) resolve(refuse('link.cut', { peer: PEER, reason: 'ended by this side' }));
  };
  if (signal?.aborted) end();
  else signal?.addEventListener('abort', end, { once: true });
  return promise;
}

async function answer(
  mirroring: Mirroring,
  life: Life,
  request: HttpRequest,
): Promise<Result<HttpResponse>> {
  const { origin, network, mirrors } = mirroring;
  const url = new URL(request.url);
  const mirror = mirrors[Number(url.port) - FIRST_PORT];
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      network.time.after(ms, () => {
        if (!life.dead) resolve();
      });
    });
  if (!mirror || mirror.mood === 'gone') {
    await wait(5);
    return refuse('link.unreachable', { peer: PEER, reason: 'ECONNREFUSED' });
  }
  if (mirror.mood === 'hangs') {
    await wait(request.idleMs);
    return refuse('link.timeout', { peer: PEER, ms: request.idleMs });
  }
  const [, digest] = /\/blobs\/(sha256:[0-9a-f]{64})$/.exec(url.pathname) ?? [];
  if (digest !== undefined) mirroring.asked(digest);
  const from = mirror.behind ? simRegistry(network, mirror.behind) : origin;
  if (mirror.mood !== 'lies') return from.http(life).request(request);
  return lie(mirroring, life, request);
}

/** Another manifest, another byte, nothing, or for once the truth. */
async function lie(
  { origin, network }: Mirroring,
  life: Life,
  request: HttpRequest,
): Promise<Result<HttpResponse>> {
  const { dice } = network;
  const how = dice.pick(['other', 'flip', 'nothing', 'truth'] as const);
  const known = [...origin.tags.values()];
  const url =
    how === 'nothing'
      ? request.url.replace(/[^/]+$/, `sha256:${'0'.repeat(64)}`)
      : how === 'other' && known.length > 0
        ? request.url.replace(/\/manifests\/[^/]+$/, `/manifests/${dice.pick(known)}`)
        : request.url;
  const said = await origin.http(life).request({ ...request, url });
  if (!said.ok || how !== 'flip') return said;
  return ok({ ...said.value, body: flipped(said.value.body) });
}

async function* flipped(
  body: AsyncIterable<Result<Uint8Array>>,
): AsyncGenerator<Result<Uint8Array>> {
  for await (const chunk of body) {
    if (!chunk.ok) {
      yield chunk;
      continue;
    }
    const bytes = chunk.value.slice();
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    yield ok(bytes);
  }
}
