/**
 * The ways from this device to its control plane, asked over connections made for the question: a
 * registry answers a HEAD of the channel's tag, the broker acknowledges a session. An open connection
 * proves nothing, it may have outlived the network that it was made in (apply/control-path.ts says
 * what is demanded when). Nothing found here is a state: it only lets a change stay or go.
 */
import type { ControlPath, Way } from '#apply/control-path.ts';
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import { type HttpLinkOptions, httpLink } from '#link/http.ts';
import type { MqttLink } from '#link/mqtt.ts';
import { registry } from '#link/registry.ts';
import type { Clock } from '#platform/clock.ts';
import type { Platform } from '#platform/platform.ts';
import { durationText } from '#state/quantity.ts';
import type { AgentConfig } from './config.ts';

/** ms that a registry has for its answer before the next one is asked */
const ANSWER_MS = 10_000;
/** ms between two questions: from the first to the last */
const ASK_BASE_MS = 1_000;
const ASK_CAP_MS = 15_000;
/** a deadline that this process itself was late for is granted once more (DESIGN section 6) */
const LATE_MS = 1_000;

export interface ControlPathInput {
  readonly platform: Platform;
  readonly config: Pick<AgentConfig, 'registries'>;
  /** whose tag is asked for; whether it is there does not matter */
  readonly channel: string;
  readonly link: HttpLinkOptions;
  readonly mqtt: MqttLink | null;
}

/** Of TLS with a dead clock: sockets of one question are not those of another (link/dead-clock.ts). */
const SLOTS = 16;

export function controlPath(given: ControlPathInput): ControlPath {
  let asked = 0;
  const input: Asking = {
    ...given,
    link() {
      const { deadClock, ...rest } = given.link;
      if (!deadClock) return rest;
      asked = (asked + 1) % SLOTS;
      return { ...rest, deadClock: { ...deadClock, directory: `${deadClock.directory}-${asked}` } };
    },
  };
  return {
    async open(signal) {
      const answers = await askRegistries(input, signal);
      const ways: Way[] = answers.ok ? ['registry'] : [];
      return input.mqtt?.state().kind === 'up' ? [...ways, 'broker'] : ways;
    },
    comesBack: (ways, within) => comesBack(input, ways, within),
  };
}

interface Asking extends Omit<ControlPathInput, 'link'> {
  /** for one question */
  link(): HttpLinkOptions;
}

type Within = Parameters<ControlPath['comesBack']>[1];

async function comesBack(
  input: Asking,
  ways: readonly string[],
  { windowMs, signal, point }: Within,
): Promise<Result<void>> {
  const { clock } = input.platform;
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  const left = new Map<string, Fault | null>(ways.map((way) => [way, null]));
  const told = (way: string) => (why: Fault | null) => {
    if (why) left.set(way, why);
    else left.delete(way);
  };
  const asking = ways.map((way) =>
    way === 'broker' ? askBroker(input, until, told(way)) : keepAsking(input, until, told(way)),
  );
  await Promise.race([Promise.all(asking), deadline(clock, windowMs, until)]);
  stop.abort();
  await Promise.all(asking);
  if (left.size === 0) return ok();
  if (signal.aborted) return refuse('apply.superseded', { point });
  const why = [...left.values()].flatMap((one) => one?.message ?? []).join('; ');
  return refuse('apply.cut-off', {
    point,
    ways: [...left.keys()].join(' and '),
    window: durationText(windowMs),
    why: why || 'no answer at all',
  });
}

async function deadline(clock: Clock, windowMs: number, signal: AbortSignal): Promise<void> {
  for (let granted = 0; granted < 2 && !signal.aborted; granted += 1) {
    const dueMs = clock.monotonicMs() + windowMs;
    await clock.sleep(windowMs, signal);
    if (clock.monotonicMs() - dueMs <= LATE_MS) return;
  }
}

async function keepAsking(
  input: Asking,
  signal: AbortSignal,
  tell: (why: Fault | null) => void,
): Promise<void> {
  const { clock } = input.platform;
  for (let wait = ASK_BASE_MS; !signal.aborted; wait = Math.min(wait * 2, ASK_CAP_MS)) {
    const answer = await askRegistries(input, signal);
    if (answer.ok) return tell(null);
    if (!signal.aborted) tell(answer.fault);
    await clock.sleep(wait, signal);
  }
}

/** One of them is enough: they are mirrors of each other. */
async function askRegistries(input: Asking, signal: AbortSignal): Promise<Result<void>> {
  const { platform, config, channel } = input;
  let last: Fault = fault('agent.no-source', {});
  const http = httpLink({ ...platform, http: alone(platform) }, input.link());
  try {
    for (const settings of config.registries) {
      const late = new AbortController();
      const cancel = platform.clock.after(ANSWER_MS, () => late.abort());
      const until = AbortSignal.any([signal, late.signal]);
      const answer = await registry(http, settings).headManifest(channel, until);
      cancel();
      if (answer.ok) return ok();
      last = answer.fault;
    }
  } finally {
    http.close();
  }
  return refused(last);
}

function alone({ http }: Platform): Platform['http'] {
  return { request: (request) => http.request({ ...request, fresh: true }) };
}

/** A session that is acknowledged after this call. */
async function askBroker(
  { mqtt, platform }: Asking,
  signal: AbortSignal,
  tell: (why: Fault | null) => void,
): Promise<void> {
  // Aborted already: a newer state came while this one was activated. Nobody would end the wait.
  if (!mqtt || signal.aborted) return tell(fault('link.down', { peer: 'the broker' }));
  const up = Promise.withResolvers<void>();
  const end = mqtt.listen((event) => {
    if (event.kind === 'up') up.resolve();
  });
  const stopped = () => up.resolve();
  signal.addEventListener('abort', stopped, { once: true });
  const again = new AbortController();
  mqtt.renew();
  const kicking = kick(mqtt, platform.clock, again.signal);
  await up.promise;
  again.abort();
  end();
  signal.removeEventListener('abort', stopped);
  await kicking;
  if (!signal.aborted) return tell(null);
  // Nothing has failed yet where the session before is still being ended: that is no answer either.
  tell(mqtt.state().lastFault ?? fault('link.down', { peer: 'the broker' }));
}

/** The wait between two tries of the link grows to minutes: this window may be shorter. */
async function kick(mqtt: MqttLink, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(ASK_CAP_MS / 3, signal);
    if (!signal.aborted) mqtt.kick();
  }
}
