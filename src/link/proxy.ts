/**
 * HTTP proxies on the way out: where one stands and what it is told. Everything that leaves passes
 * them alike: HTTP by the runtime's client, TLS with a dead clock and MQTT by CONNECT, in here. A
 * proxy is only what the configuration names; variables of the environment are not read. It is given
 * its own credentials and nothing else: what goes through it is TLS to the far end, or signed.
 *
 * Credentials come from files, read again at each connection, or stand in the address.
 * @see RFC 9110 sections 9.3.6 (CONNECT) and 11.7 (Proxy-Authorization), RFC 7617 (Basic)
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import type { Socket } from '#platform/tls.ts';
import { readSecret } from './secret.ts';

export interface ProxyFiles {
  readonly usernameFile: string;
  readonly passwordFile: string;
}

/** As every part of the configuration has it that speaks to somebody. */
export interface Proxied {
  /** http://[user:password@]host:port; null: straight */
  readonly proxy: string | null;
  /** instead of what stands in `proxy` */
  readonly proxyAuth?: ProxyFiles | null;
}

export interface ProxyWay {
  readonly host: string;
  readonly port: number;
  /** value of Proxy-Authorization; null: it is told nothing */
  readonly authorization: string | null;
  /** with the credentials, for the runtime's HTTP client */
  readonly url: string;
}

const HOST = /^[A-Za-z0-9._:-]{1,253}$/;
const URL_LENGTH_MAX = 2048;
const PORT = 80;

/** The address in a configuration: http://[user:password@]host[:port], nothing behind it. */
export function readProxyUrl(text: string): URL | null {
  const url = text.length <= URL_LENGTH_MAX && URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== 'http:' || url.pathname !== '/') return null;
  if (url.search !== '' || url.hash !== '') return null;
  return HOST.test(hostOf(url)) ? url : null;
}

/** @returns null where none is configured; `config.registry`, `config.secret`, or why a file cannot be read */
export function readProxy(
  files: Pick<Files, 'readFile'>,
  { proxy, proxyAuth = null }: Proxied,
): Result<ProxyWay | null> {
  if (proxy === null) return ok(null);
  const url = readProxyUrl(proxy);
  if (url === null) return badProxy();
  const read = proxyAuth ? readAccount(files, proxyAuth) : accountIn(url);
  if (!read.ok) return read;
  const account = read.value;
  const port = url.port === '' ? PORT : Number(url.port);
  const user = account === null ? '' : `${account.map(encodeURIComponent).join(':')}@`;
  const authorization =
    account === null ? null : `Basic ${Buffer.from(account.join(':')).toString('base64')}`;
  return ok({ host: hostOf(url), port, authorization, url: `http://${user}${url.host}` });
}

function badProxy(): Result<never> {
  const reason = 'a proxy is http://[user:password@]host:port';
  return refuse('config.registry', { url: 'proxy', reason });
}

function readAccount(
  files: Pick<Files, 'readFile'>,
  { usernameFile, passwordFile }: ProxyFiles,
): Result<readonly [string, string]> {
  const username = readSecret(files, usernameFile);
  if (!username.ok) return username;
  // RFC 7617 section 2: the first colon ends the name.
  if (username.value.includes(':')) {
    return refuse('config.secret', { file: usernameFile, reason: 'has a colon in the name' });
  }
  const password = readSecret(files, passwordFile);
  return password.ok ? ok([username.value, password.value]) : password;
}

function accountIn(url: URL): Result<readonly [string, string] | null> {
  if (url.username === '' && url.password === '') return ok(null);
  return ok([decoded(url.username), decoded(url.password)]);
}

/** A percent sign that begins no escape stands for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

export interface Peer {
  /** without brackets */
  readonly host: string;
  readonly port: number;
}

/**
 * TCP to the peer: straight, or by CONNECT through the proxy.
 * @param timeoutMs  for each of: TCP, the proxy's answer
 */
export async function connectThrough(
  platform: Pick<Platform, 'files' | 'sockets' | 'tunnels'>,
  proxied: Proxied,
  { host, port }: Peer,
  timeoutMs: number,
): Promise<Result<Socket>> {
  const { sockets, tunnels } = platform;
  const read = readProxy(platform.files, proxied);
  if (!read.ok) return read;
  const proxy = read.value;
  if (proxy === null) return sockets.connect({ kind: 'tcp', host, port }, timeoutMs);
  const at = { kind: 'tcp', host: proxy.host, port: proxy.port } as const;
  const socket = await sockets.connect(at, timeoutMs);
  const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  if (socket.ok) {
    return tunnels.throughProxy(socket.value, authority, proxy.authorization, timeoutMs);
  }
  const named = { peer: authority, proxy: `${proxy.host}:${proxy.port}` };
  return refuse('link.proxy', { ...named, reason: socket.fault.message });
}
