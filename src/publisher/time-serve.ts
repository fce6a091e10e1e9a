/**
 * A time authority that stays: answers devices over the broker of fleet.yaml and over HTTP, and once a
 * day puts a statement for everyone where they find it. It is a client of the broker like any other,
 * so it works with every broker and may stop at any time: devices carry on with what they know.
 *
 * Invariants: anybody can ask, so questions are rationed and each costs one signature; nothing is kept
 * of them. A broker that is gone is tried again for ever, with backoff.
 */
import { fault, ok, type Result } from '#errors/fault.ts';
import { backoff } from '#link/backoff.ts';
import { parseTopic, topicOf } from '#link/topics.ts';
import type { ListenOn, ServedRequest, ServedResponse } from '#platform/listener.ts';
import type { MqttConnection } from '#platform/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import { MEDIA } from '#state/media-types.ts';
import type { TimeRequest } from '#state/time-statement.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';
import { readTimeRequest } from '#wire/time-statement.ts';
import { connectBroker, topicRootOf } from './broker.ts';
import type { Fleet } from './fleet.ts';
import type { OpenRegistry } from './line.ts';
import type { TimeAuthority } from './time-authority.ts';
import { pushTime, sendTime } from './time-publish.ts';

export interface ServeTimeInput {
  readonly platform: Platform;
  readonly authority: TimeAuthority;
  fleet(): Result<Fleet>;
  /** null: fleet.yaml names none */
  readonly registry: OpenRegistry | null;
  /** null: no HTTP */
  readonly listenOn: ListenOn | null;
  /** ms between two statements for everyone */
  readonly everyMs: number;
}

export interface ServedTime {
  /** of HTTP; 0: none */
  readonly port: number;
  close(): Promise<void>;
}

const RECONNECT_BASE_MS = 1_000;
const RECONNECT_CAP_MS = 5 * 60_000;
const BROADCAST_RETRY_MS = 60_000;
/** signatures under way; more questions than that get no answer now, and are asked again */
const AT_ONCE_MAX = 64;
const REQUEST_BYTES = 1_024;

interface Serving {
  readonly input: ServeTimeInput;
  readonly stopping: AbortController;
  underway: number;
  connection: MqttConnection | null;
  cancelBroadcast: () => void;
}

/** Ready when HTTP listens and the broker was tried once; then it is kept in the background. */
export async function serveTime(input: ServeTimeInput): Promise<Result<ServedTime>> {
  const serving: Serving = {
    input,
    stopping: new AbortController(),
    underway: 0,
    connection: null,
    cancelBroadcast: () => {},
  };
  const { listener } = input.platform;
  const handle = (request: ServedRequest) => answerHttp(serving, request);
  const http = input.listenOn ? await listener.listen(input.listenOn, handle) : null;
  if (http && !http.ok) return http;
  const tried = Promise.withResolvers<void>();
  const loop = keepConnected(serving, tried.resolve).finally(tried.resolve);
  await tried.promise;
  const first = broadcastNow(serving);
  return ok({
    port: http?.ok ? http.value.port : 0,
    async close() {
      serving.stopping.abort();
      serving.cancelBroadcast();
      await serving.connection?.end();
      await Promise.all([loop, first, http?.ok ? http.value.close() : null]);
      input.registry?.close();
    },
  });
}

async function keepConnected(serving: Serving, tried: () => void): Promise<void> {
  const { input, stopping } = serving;
  const { clock, random, log } = input.platform;
  const fleet = input.fleet();
  if (!fleet.ok || !fleet.value.config.mqtt) return;
  const waits = backoff({ baseMs: RECONNECT_BASE_MS, capMs: RECONNECT_CAP_MS, random });
  while (!stopping.signal.aborted) {
    const ended = await session(serving, () => {
      waits.reset();
      tried();
    });
    tried();
    if (stopping.signal.aborted) return;
    const { code, message } = ended.ok ? fault('link.down', { peer: 'the broker' }) : ended.fault;
    log.write('warn', 'time.disconnected', { code, message });
    await clock.sleep(waits.next(), stopping.signal);
  }
}

/** From its start to its end. */
async function session(serving: Serving, up: () => void): Promise<Result<void>> {
  const { input } = serving;
  const fleet = input.fleet();
  if (!fleet.ok) return fleet;
  const root = topicRootOf(fleet.value);
  if (!root.ok) return root;
  const gone = Promise.withResolvers<Result<void>>();
  const id = Buffer.from(input.platform.random.bytes(8)).toString('hex');
  const opened = await connectBroker(input.platform, fleet.value, {
    clientId: `holdfast-time-${id}`,
    onMessage: (topic, payload) => void answerMqtt(serving, root.value, topic, payload),
    onClosed: (why) => gone.resolve(why),
  });
  if (!opened.ok) return opened;
  serving.connection = opened.value;
  const subscribed = await opened.value.subscribe([`${root.value}/d/+/time/ask`]);
  if (!subscribed.ok) await opened.value.end();
  else {
    up();
    input.platform.log.write('info', 'time.serving', { topic: `${root.value}/d/+/time/ask` });
  }
  const ended = await gone.promise;
  serving.connection = null;
  return subscribed.ok ? ended : subscribed;
}

/** The topic says who asks: the same that the request must say, so nobody asks for somebody else. */
async function answerMqtt(
  serving: Serving,
  root: string,
  topic: string,
  payload: Uint8Array,
): Promise<void> {
  const name = parseTopic(root, topic);
  if (name?.kind !== 'device-time-ask') return;
  const request = readTimeRequest(payload);
  if (!request.ok || request.value.deviceId !== name.device) return;
  const answer = await answerOne(serving, request.value);
  const to = topicOf(root, { kind: 'device-time', device: name.device });
  if (!answer?.ok || !to.ok) return;
  await serving.connection?.publish(to.value, writeEnvelopeMessage(answer.value), false);
}

async function answerHttp(serving: Serving, request: ServedRequest): Promise<ServedResponse> {
  if (request.method !== 'POST') return { status: 405, headers: { allow: 'POST' } };
  if (request.headers['content-type'] !== MEDIA.timeRequest) return { status: 415 };
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.length;
    if (size > REQUEST_BYTES) return { status: 413 };
    chunks.push(chunk);
  }
  const read = readTimeRequest(Buffer.concat(chunks));
  if (!read.ok) return { status: 400, body: `${read.fault.code}: ${read.fault.message}\n` };
  const answer = await answerOne(serving, read.value);
  if (!answer) return { status: 503, headers: { 'retry-after': '5' } };
  if (!answer.ok) return { status: 500, body: `${answer.fault.code}\n` };
  const headers = { 'content-type': MEDIA.time, 'cache-control': 'no-store' };
  return { status: 200, headers, body: writeEnvelope(answer.value) };
}

/** Null: too much is under way. */
async function answerOne(serving: Serving, request: TimeRequest) {
  const { authority, platform } = serving.input;
  if (serving.underway >= AT_ONCE_MAX) return null;
  serving.underway += 1;
  try {
    const answer = await authority.answer(request);
    if (!answer.ok) {
      const { code, message } = answer.fault;
      platform.log.write('error', 'time.unanswered', { code, message });
    }
    return answer;
  } finally {
    serving.underway -= 1;
  }
}

async function broadcastNow(serving: Serving): Promise<void> {
  const { input, stopping } = serving;
  const { clock, log } = input.platform;
  const sent = await broadcast(input);
  if (stopping.signal.aborted) return;
  if (!sent.ok) {
    log.write('warn', 'time.unsent', { code: sent.fault.code, message: sent.fault.message });
  }
  const waitMs = sent.ok ? input.everyMs : Math.min(BROADCAST_RETRY_MS, input.everyMs);
  serving.cancelBroadcast = clock.after(waitMs, () => void broadcastNow(serving));
}

async function broadcast({ platform, authority, fleet, registry }: ServeTimeInput) {
  const statement = await authority.broadcast();
  if (!statement.ok) return statement;
  const pushed = registry ? await pushTime(registry.registry, statement.value) : ok();
  const opened = fleet();
  if (!opened.ok) return opened;
  const { mqtt } = opened.value.config;
  const sent = mqtt ? await sendTime(platform, opened.value, statement.value) : ok();
  return pushed.ok ? sent : pushed;
}
