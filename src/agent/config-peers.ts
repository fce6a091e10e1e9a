/**
 * Whom the agent speaks to, as agent.yaml names them: registries, broker, time authority, each with
 * its credentials, TLS files and proxy. Paths become absolute; what the values mean is link/'s.
 */
import * as v from 'valibot';
import { duration } from '#wire/yaml.ts';

/** Files, read again at each use: a rotated secret needs no restart. */
export type AuthSettings = Account | { readonly tokenFile: string } | null;

export interface Account {
  readonly usernameFile: string;
  readonly passwordFile: string;
}

export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export const pathSchema = v.pipe(v.string(), v.nonEmpty('a path'));
export const authSchema = v.union(
  [
    v.strictObject({ usernameFile: pathSchema, passwordFile: pathSchema }),
    v.strictObject({ tokenFile: pathSchema }),
  ],
  'auth with usernameFile and passwordFile, or with tokenFile',
);
const account = v.strictObject({ usernameFile: pathSchema, passwordFile: pathSchema });
export const tlsSchema = v.pipe(
  v.strictObject({
    ca: v.optional(pathSchema),
    cert: v.optional(pathSchema),
    key: v.optional(pathSchema),
  }),
  v.check(({ cert, key }) => (cert === undefined) === (key === undefined), 'cert and key together'),
);
export const proxied = {
  proxy: v.optional(v.pipe(v.string(), v.regex(/^http:\/\//, 'http://host:port'))),
  proxyAuth: v.optional(account),
};
/** A login that is never shown to anybody is a mistake of whoever wrote it. */
const LOGIN = 'proxyAuth only beside the proxy that it is for';
const loginHasProxy = (from: { readonly proxy?: unknown; readonly proxyAuth?: unknown }) =>
  from.proxyAuth === undefined || from.proxy !== undefined;
const registryUrl = v.pipe(
  v.string(),
  v.regex(/^https?:\/\/[^/\s@?#]+\/[^\s@?#]+$/, 'https://host/repository, without credentials'),
);
const mqttUrl = v.pipe(
  v.string(),
  v.regex(
    /^(?:mqtts?:\/\/[^/\s@?#]+\/?|wss?:\/\/[^/\s@?#]+(?:\/[^\s@?#]*)?)$/,
    'mqtts://host:port or wss://host/path, without credentials',
  ),
);

const timeUrl = v.pipe(
  v.string(),
  v.regex(/^https?:\/\/[^/\s@?#]+(?:\/[^\s@?#]*)?$/, 'https://host/path, without credentials'),
);

export const timeSchema = v.optional(
  v.pipe(
    v.strictObject({
      url: v.optional(timeUrl),
      interval: v.optional(duration(), '1d'),
      tls: v.optional(tlsSchema),
      ...proxied,
      insecure: v.optional(v.boolean('true or false'), false),
    }),
    v.check((from) => loginHasProxy(from), LOGIN),
  ),
  {},
);
export const registrySchema = v.pipe(
  v.strictObject({
    url: registryUrl,
    auth: v.optional(authSchema),
    tls: v.optional(tlsSchema),
    ...proxied,
    insecure: v.optional(v.boolean('true or false'), false),
  }),
  v.check((from) => loginHasProxy(from), LOGIN),
);
export const registriesSchema = v.optional(v.array(registrySchema), []);
export const mqttSchema = v.optional(
  v.pipe(
    v.strictObject({
      url: mqttUrl,
      topicRoot: v.optional(
        v.pipe(v.string(), v.regex(/^[^/#+\0][^#+\0]{0,200}$/, 'a topic without wildcards')),
      ),
      protocol: v.optional(v.picklist(['auto', '5', '3.1.1'], 'auto, "5" or "3.1.1"'), 'auto'),
      auth: v.optional(account),
      tls: v.optional(tlsSchema),
      ...proxied,
      insecure: v.optional(v.boolean('true or false'), false),
    }),
    v.check((from) => loginHasProxy(from), LOGIN),
  ),
);

type At = (name: string) => string;
type Item<S extends v.GenericSchema<unknown, readonly unknown[]>> = v.InferOutput<S>[number];

export function registryOf(registry: Item<typeof registriesSchema>, at: At) {
  return {
    url: registry.url,
    auth: authOf(registry.auth, at),
    tls: tlsOf(registry.tls, at),
    ...proxyOf(registry, at),
    insecure: registry.insecure,
  };
}

export function mqttOf(mqtt: NonNullable<v.InferOutput<typeof mqttSchema>>, at: At) {
  return {
    url: mqtt.url,
    topicRoot: mqtt.topicRoot ?? null,
    protocol: mqtt.protocol,
    auth: mqtt.auth ? accountOf(mqtt.auth, at) : null,
    tls: tlsOf(mqtt.tls, at),
    ...proxyOf(mqtt, at),
    insecure: mqtt.insecure,
  };
}

export function authOf(read: v.InferOutput<typeof authSchema> | undefined, at: At): AuthSettings {
  if (!read) return null;
  if ('tokenFile' in read) return { tokenFile: at(read.tokenFile) };
  return accountOf(read, at);
}

export function timeEndpointOf(
  { url, tls: files, insecure, ...rest }: v.InferOutput<typeof timeSchema>,
  at: At,
) {
  return url === undefined ? null : { url, tls: tlsOf(files, at), ...proxyOf(rest, at), insecure };
}

export function proxyOf(
  {
    proxy,
    proxyAuth,
  }: { readonly proxy?: string | undefined; readonly proxyAuth?: Account | undefined },
  at: At,
) {
  return { proxy: proxy ?? null, proxyAuth: proxyAuth ? accountOf(proxyAuth, at) : null };
}

function accountOf({ usernameFile, passwordFile }: Account, at: At): Account {
  return { usernameFile: at(usernameFile), passwordFile: at(passwordFile) };
}

export function tlsOf(
  read: v.InferOutput<typeof tlsSchema> | undefined,
  at: At,
): TlsSettings | null {
  if (!read) return null;
  return {
    ...(read.ca === undefined ? {} : { ca: at(read.ca) }),
    ...(read.cert === undefined ? {} : { cert: at(read.cert) }),
    ...(read.key === undefined ? {} : { key: at(read.key) }),
  };
}
