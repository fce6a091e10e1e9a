/**
 * Where a registry is and how it may be reached: the owner's configuration, checked once. Addresses
 * come from here alone, never from signed or fetched content (check 1; N06, N07, C18).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { TlsOptions } from '#platform/http.ts';
import { type ProxyFiles, readProxyUrl } from './proxy.ts';

/** `registries[]` of agent.yaml, `registry` of fleet.yaml. */
export interface RegistryConfig {
  /** scheme, host and repository: https://registry.example/plant/state */
  readonly url: string;
  readonly auth: RegistryCredentials | null;
  readonly tls: TlsFiles | null;
  /** http://[user:password@]host:port */
  readonly proxy: string | null;
  /** what the proxy is told, instead of what stands in its address */
  readonly proxyAuth?: ProxyFiles | null;
  /** plain http:// also beyond the loopback */
  readonly insecure: boolean;
  /**
   * Origins (https://auth.example) of token services that may be given the credentials although
   * they are on another host than the registry. Default: none.
   */
  readonly tokenServices?: readonly string[];
}

export type RegistryCredentials =
  | { readonly usernameFile: string; readonly passwordFile: string }
  /** a bearer token, sent as it is */
  | { readonly tokenFile: string }
  | { readonly username: string; readonly password: string };

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** What a connection needs to know, besides the URL. */
export interface Access {
  /** the one origin that may be asked, and given credentials: "https://registry.example" */
  readonly origin: string;
  readonly insecure: boolean;
  readonly tls: TlsFiles | null;
  readonly proxy: string | null;
  readonly proxyAuth?: ProxyFiles | null;
}

export interface RegistryEndpoint {
  readonly access: Access;
  /** "plant/state" */
  readonly repository: string;
  /** for messages: "registry.example/plant/state" */
  readonly name: string;
  readonly auth: RegistryCredentials | null;
  readonly tokenServices: readonly string[];
}

/** bytes of one PEM file: a bundle of anchors may be long */
const PEM_BYTES_MAX = 1024 * 1024;
const URL_LENGTH_MAX = 2048;
const REPOSITORY_LENGTH_MAX = 255;
/** @see OCI distribution-spec 1.1, "name" */
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** @returns `config.registry` for a bad repository, `link.scheme-refused` for a bad address */
export function readEndpoint(config: RegistryConfig): Result<RegistryEndpoint> {
  const url = readUrl(config.url, config.insecure);
  if (!url.ok) return url;
  const repository = url.value.pathname.slice(1).replace(/\/$/, '');
  if (url.value.search !== '' || !isRepository(repository)) {
    const reason = 'its path must name one repository, such as /plant/state';
    return refuse('config.registry', { url: nameOf(url.value), reason });
  }
  const proxy = config.proxy === null ? ok(null) : checkProxy(config.proxy);
  if (!proxy.ok) return proxy;
  const tokenServices: string[] = [];
  for (const text of config.tokenServices ?? []) {
    const service = readUrl(text, config.insecure);
    if (!service.ok) return service;
    tokenServices.push(service.value.origin);
  }
  return ok({
    access: {
      origin: url.value.origin,
      insecure: config.insecure,
      tls: config.tls,
      proxy: proxy.value,
      proxyAuth: config.proxyAuth ?? null,
    },
    repository,
    name: `${url.value.host}/${repository}`,
    auth: config.auth,
    tokenServices,
  });
}

/** http(s) without user information or fragment; plain http only on the loopback or `insecure`. */
export function readUrl(text: string, insecure: boolean): Result<URL> {
  const url = text.length <= URL_LENGTH_MAX && URL.canParse(text) ? new URL(text) : null;
  if (url === null) {
    return refuse('link.scheme-refused', { url: 'the address', reason: 'it is not a URL' });
  }
  const reason = refusalOf(url, insecure);
  return reason === null ? ok(url) : refuse('link.scheme-refused', { url: nameOf(url), reason });
}

function refusalOf(url: URL, insecure: boolean): string | null {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'only https:// is spoken here';
  // N07: what looks like a host before the @ is not.
  if (url.username !== '' || url.password !== '') return 'it carries user information';
  if (url.hash !== '') return 'it has a fragment';
  if (url.protocol === 'http:' && !insecure && !isLoopback(url.hostname)) {
    return 'plain http:// beyond the loopback';
  }
  return null;
}

/** A URL for messages: without user information, query and fragment. */
export function nameOf(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

function checkProxy(text: string): Result<string> {
  if (readProxyUrl(text) !== null) return ok(text);
  const reason = 'a proxy is http://[user:password@]host:port';
  const url = URL.canParse(text) ? nameOf(new URL(text)) : 'proxy';
  return refuse('config.registry', { url, reason });
}

/** C18: nothing that is not in the grammar ever reaches a request line. */
export function isRepository(text: string): boolean {
  return text.length <= REPOSITORY_LENGTH_MAX && REPOSITORY.test(text);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** A host of this machine, as `URL.hostname` spells it. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/**
 * An address that only means something near this machine: loopback, link local (cloud metadata
 * services), private, or IPv4 written as IPv6. Names are not resolved.
 */
export function isNearAddress(hostname: string): boolean {
  if (isLoopback(hostname) || hostname.endsWith('.localhost')) return true;
  if (/^(?:0|10|127)\.|^169\.254\.|^192\.168\.|^172\.(?:1[6-9]|2\d|3[01])\./.test(hostname)) {
    return /^[\d.]+$/.test(hostname);
  }
  return /^\[(?:::|f[cd]|fe[89ab]|64:ff9b:)/.test(hostname);
}

/** The PEM texts, read again at each use: a renewed certificate needs no restart. */
export function readTls(files: Pick<Files, 'readFile'>, tls: TlsFiles | null): Result<TlsOptions> {
  const options: { ca?: string; cert?: string; key?: string } = {};
  // One file for two parts is read once: between two reads it may be replaced by another pair.
  const read = new Map<string, string>();
  for (const part of ['ca', 'cert', 'key'] as const) {
    const path = tls?.[part];
    if (path === undefined) continue;
    const known = read.get(path);
    const bytes = known === undefined ? files.readFile(path, PEM_BYTES_MAX) : null;
    if (bytes && !bytes.ok) return bytes;
    const text = bytes ? Buffer.from(bytes.value).toString('latin1') : (known ?? '');
    read.set(path, text);
    options[part] = text;
  }
  return ok(options);
}
