/**
 * One connection to an MQTT broker: from the configuration to a session, with no reconnect of its
 * own (mqtt.ts decides when). Credentials and certificates are files of the owner and are read again
 * at each connection, so that renewing them needs no restart. Plain MQTT needs a loopback host or
 * `insecure: true`. TLS with a dead clock is judged by peer.ts. A broker that acknowledges nothing is
 * left: a half-open connection looks just like that.
 */
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { TlsOptions } from '#platform/http.ts';
import type { MqttConnection, MqttOptions } from '#platform/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import type { Socket } from '#platform/tls.ts';
import type { WebSocketTarget } from '#platform/tunnel.ts';
import { LIMITS } from '#state/limits.ts';
import type { TlsTrust } from '#state/root.ts';
import { isLoopback, readTls, type TlsFiles } from './endpoint.ts';
import { type PeerTime, peerCheck } from './peer.ts';
import { printable } from './printable.ts';
import { connectThrough, type ProxyFiles, readProxyUrl } from './proxy.ts';
import { ownAnchors, stillVouchedFor, withRootAnchors } from './root-anchors.ts';

const KINDS: Readonly<
  Record<string, { readonly secure: boolean; readonly webSocket: boolean; readonly port: number }>
> = {
  'mqtts:': { secure: true, webSocket: false, port: 8883 },
  'mqtt:': { secure: false, webSocket: false, port: 1883 },
  'wss:': { secure: true, webSocket: true, port: 443 },
  'ws:': { secure: false, webSocket: true, port: 80 },
};
/** ms for each of: TCP, the proxy's answer, TLS, the WebSocket, CONNACK */
const STEP_MS = 20_000;
/** ms for the broker to acknowledge what was sent */
const ANSWER_MS = 30_000;
const USERNAME_BYTES = 4 * 1024;
/** one label or address, as a URL shows it; brackets of IPv6 are taken off before */
const HOST = /^[A-Za-z0-9._:-]{1,253}$/;

export type BrokerPlatform = Pick<
  Platform,
  'files' | 'sockets' | 'tunnels' | 'certificates' | 'mqtt' | 'clock'
>;

/** As agent.yaml and fleet.yaml have it. */
export interface BrokerConfig {
  /** mqtts://host[:8883], wss://host[:443]/path; mqtt://host[:1883], ws://host[:80]/path */
  readonly url: string;
  readonly protocol: 'auto' | '5' | '3.1.1';
  readonly auth:
    | { readonly usernameFile: string; readonly passwordFile: string }
    | { readonly username: string; readonly password: string }
    | null;
  readonly tls: TlsFiles | null;
  /** http://[user:password@]host:port, passed with CONNECT */
  readonly proxy: string | null;
  readonly proxyAuth?: ProxyFiles | null;
  readonly insecure: boolean;
}

/** What differs from connection to connection. */
export interface Session {
  readonly clientId: string;
  readonly version: 5 | 4;
  readonly keepaliveSeconds: number;
  readonly sessionExpirySeconds: number;
  readonly will?: NonNullable<MqttOptions['will']>;
  /** TLS anchors of the newest held root; default: what the configuration names counts alone */
  readonly trust?: TlsTrust | null;
  onMessage(topic: string, payload: Uint8Array, retained: boolean): void;
  onClosed(why: Result<void>): void;
}

export interface BrokerConnection extends MqttConnection {
  /** Ends it where the peer's chain leads to no anchor of now: nothing that is in order is cut. */
  rejudge(time: PeerTime, trust: TlsTrust | null): void;
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** MQTT in a WebSocket; null: straight */
  readonly webSocket: WebSocketTarget | null;
}

/** For messages: no credentials can stand in it, because none are allowed in the URL. */
export function brokerName(config: Pick<BrokerConfig, 'url'>): string {
  const address = parseAddress(config.url, true);
  return address.ok ? `${address.value.host}:${address.value.port}` : 'the broker';
}

/** What is wrong with a configuration before anything is tried. */
export function checkBroker(config: BrokerConfig): Result<undefined> {
  const address = parseAddress(config.url, config.insecure);
  if (!address.ok) return address;
  return checkProxy(config);
}

function checkProxy({ proxy }: BrokerConfig): Result<undefined> {
  if (proxy === null || readProxyUrl(proxy) !== null) return ok();
  const reason = 'a proxy is http://[user:password@]host:port';
  return refuse('link.mqtt-url', { url: 'mqtt.proxy', reason });
}

/** @param time  decides whether the runtime's certificate check means anything */
export async function openBroker(
  platform: BrokerPlatform,
  config: BrokerConfig,
  time: PeerTime,
  session: Session,
): Promise<Result<BrokerConnection>> {
  const address = parseAddress(config.url, config.insecure);
  if (!address.ok) return address;
  const auth = readAuth(platform, config);
  if (!auth.ok) return auth;
  const usable = checkProxy(config);
  if (!usable.ok) return usable;
  const tcp = await connectThrough(platform, config, address.value, STEP_MS);
  if (!tcp.ok) return tcp;
  const socket = address.value.secure
    ? await secureSocket(platform, config, {
        address: address.value,
        time,
        trust: session.trust ?? null,
        socket: tcp.value,
      })
    : ok({ socket: tcp.value, tls: null });
  if (!socket.ok) return socket;
  const { webSocket } = address.value;
  const spoken = webSocket
    ? await platform.tunnels.webSocket(socket.value.socket, webSocket, STEP_MS)
    : ok(socket.value.socket);
  if (!spoken.ok) return spoken;
  let ended: Fault | null = null;
  const connection = await platform.mqtt.connect(
    {
      ...session,
      ...auth.value,
      messageCap: LIMITS.mqttMessageBytes,
      connectTimeoutMs: STEP_MS,
      onMessage: (topic, payload, retained) => session.onMessage(topic, payload, retained),
      onClosed: (why) => session.onClosed(ended ? refused(ended) : why),
    },
    spoken.value,
  );
  if (!connection.ok) {
    spoken.value.close();
    return connection;
  }
  const { value } = connection;
  async function answered(answer: Promise<Result<void>>): Promise<Result<void>> {
    const late = Promise.withResolvers<Result<void>>();
    const cancel = platform.clock.after(ANSWER_MS, () => {
      ended = fault('link.timeout', { peer: brokerName(config), ms: ANSWER_MS });
      late.resolve(refused(ended));
      value.destroy();
    });
    const result = await Promise.race([answer, late.promise]);
    cancel();
    return result;
  }
  return ok({
    ...value,
    subscribe: (topics) => answered(value.subscribe(topics)),
    publish: (topic, payload, retain) => {
      const cap = LIMITS.mqttMessageBytes;
      return payload.length > cap
        ? Promise.resolve(tooLarge(topic, payload.length, cap))
        : answered(value.publish(topic, payload, retain));
    },
    rejudge(now, trust) {
      const judged = judgeStanding(platform, config, { ...socket.value, time: now, trust });
      if (judged.ok) return;
      ended = judged.fault;
      value.destroy();
    },
  });
}

/** A file that cannot be read now is no reason to end what stands. */
function judgeStanding(
  platform: BrokerPlatform,
  config: BrokerConfig,
  { socket, tls: made, time, trust }: Secured & Pick<Over, 'time' | 'trust'>,
): Result<undefined> {
  const chain = socket.peerChain?.() ?? null;
  const pem = readTls(platform.files, config.tls);
  if (made === null || chain === null || !pem.ok) return ok();
  const { certificates } = platform;
  const { serverName: name } = made;
  const { floorMs } = time;
  const now = withRootAnchors(certificates, pem.value, { trust, floorMs, peer: name });
  if (!now.ok) return now;
  if (now.value.ca === made.ca && now.value.addCa === made.addCa) return ok();
  return stillVouchedFor(certificates, { chain, name, time, made, now: now.value });
}

function tooLarge(topic: string, bytes: number, cap: number): Result<void> {
  return refuse('link.mqtt-outgoing-too-large', { topic, bytes, cap });
}

function parseAddress(text: string, insecure: boolean): Result<Address> {
  const no = (reason: string, url: string) => refuse('link.mqtt-url', { url, reason });
  if (!URL.canParse(text)) return no('it is no URL', 'mqtt.url');
  const url = new URL(text);
  // Check 1. The URL is shown without what may be a password (attack row N07).
  const shown = printable(`${url.protocol}//${url.host}`);
  const kind = KINDS[url.protocol];
  if (kind === undefined) return no('the scheme is none of mqtts: wss: mqtt: ws:', shown);
  if (url.username !== '' || url.password !== '') return no('credentials stand in it', shown);
  const behind = kind.webSocket ? '' : url.pathname.replace(/^\/$/, '');
  if (url.search !== '' || url.hash !== '' || behind !== '') {
    return no('something stands behind host and port', shown);
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (!HOST.test(host)) return no('the host is no name and no address', shown);
  const { secure } = kind;
  if (!secure && !insecure && !isLoopback(url.hostname)) {
    return no('it is not encrypted and its host is not this one', shown);
  }
  const port = url.port === '' ? kind.port : Number(url.port);
  const webSocket = kind.webSocket ? { authority: url.host, path: url.pathname } : null;
  return port === 0 ? no('its port is 0', shown) : ok({ host, port, secure, webSocket });
}

interface Over {
  readonly address: Address;
  readonly time: PeerTime;
  readonly trust: TlsTrust | null;
  readonly socket: Socket;
}

interface Secured {
  readonly socket: Socket;
  /** what it was made with; null: it is not TLS */
  readonly tls: (TlsOptions & { readonly serverName: string }) | null;
}

async function secureSocket(
  platform: BrokerPlatform,
  config: BrokerConfig,
  over: Over,
): Promise<Result<Secured>> {
  const { socket } = over;
  const secured = await secureWith(platform, config, over);
  if (!secured.ok) socket.close();
  return secured;
}

async function secureWith(
  platform: BrokerPlatform,
  config: BrokerConfig,
  { address, time, trust, socket }: Over,
): Promise<Result<Secured>> {
  const pem = readTls(platform.files, config.tls);
  if (!pem.ok) return pem;
  const name = address.host;
  const { certificates, sockets } = platform;
  const { floorMs } = time;
  const anchored = withRootAnchors(certificates, pem.value, { trust, floorMs, peer: name });
  if (!anchored.ok) return anchored;
  const tls = { ...anchored.value, serverName: name };
  const anchors = time.wallPlausible ? ok([]) : ownAnchors(certificates, tls);
  if (!anchors.ok) return anchors;
  const verify = time.wallPlausible
    ? 'system'
    : peerCheck({ anchors: anchors.value, name, floorMs });
  const secured = await sockets.secure(socket, tls, verify, STEP_MS);
  return secured.ok ? ok({ socket: secured.value, tls }) : secured;
}

function readAuth(
  platform: BrokerPlatform,
  config: BrokerConfig,
): Result<{ username?: string; password?: string }> {
  const { auth } = config;
  if (auth === null) return ok({});
  if ('username' in auth) return ok({ username: auth.username, password: auth.password });
  const username = readText(platform, auth.usernameFile, USERNAME_BYTES);
  if (!username.ok) return username;
  const password = readText(platform, auth.passwordFile, LIMITS.tokenBytes);
  if (!password.ok) return password;
  return ok({ username: withoutNewline(username.value), password: withoutNewline(password.value) });
}

function readText(platform: BrokerPlatform, path: string, cap: number): Result<string> {
  const bytes = platform.files.readFile(path, cap);
  return bytes.ok ? ok(new TextDecoder().decode(bytes.value)) : bytes;
}

/** Editors end a file with one; a secret made with `printf` has none. */
function withoutNewline(text: string): string {
  return text.replace(/\r?\n$/, '');
}
