/** The section `margo` of agent.yaml: the one manager (WFM) whose channel `margo` this device follows. */
import * as v from 'valibot';
import { hoursEntries, hoursOf, type MargoHours } from './margo-hours.ts';
import { type MargoRefreshConfig, refreshEntries, refreshOf } from './margo-refresh.ts';

export interface MargoConfig {
  readonly url: string;
  /** configured, never fallen back from (a downgrade is an attack) */
  readonly dialect: 'rc3';
  /** the manager speaks for the channel by its TLS identity */
  readonly authority: 'tls';
  /** what the manager calls this device; null: the client of the SVID */
  readonly deviceId: string | null;
  /** absolute paths: the SVID with its intermediates, its key, the trust bundle (a JWK set) */
  readonly identity: {
    readonly cert: string;
    readonly key: string;
    readonly trustBundle: string;
    /** whether and where the bundle is fetched again */
    readonly refresh: MargoRefreshConfig;
  };
  readonly proxy: string | null;
  /** when the manager is asked, and when changes begin */
  readonly hours: MargoHours;
  /** in place of what the machine says of itself */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly labels: Readonly<Record<string, string | number | boolean>>;
}

const path = v.pipe(v.string(), v.nonEmpty('a path'));
const text = v.pipe(v.string(), v.nonEmpty('text'), v.maxLength(255, 'at most 255 characters'));
const type = v.strictObject({ type: text });

export const margoSchema = v.strictObject({
  url: v.pipe(
    v.string(),
    v.regex(/^https:\/\/[^/\s@?#]+(?:\/[^\s@?#]*)?$/, 'https://host/path, without credentials'),
  ),
  dialect: v.optional(v.literal('rc3', 'rc3 (rc2 and pr1 are not spoken by this version)'), 'rc3'),
  authority: v.literal('tls', 'tls: the manager is believed by its certificate alone'),
  deviceId: v.optional(
    v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,255}$/, 'a device id of Margo, no gateway')),
  ),
  identity: v.strictObject({ cert: path, key: path, trustBundle: path, ...refreshEntries }),
  proxy: v.optional(v.pipe(v.string(), v.regex(/^http:\/\//, 'http://host:port'))),
  ...hoursEntries,
  properties: v.optional(
    v.strictObject({
      vendor: v.optional(text),
      modelNumber: v.optional(text),
      serialNumber: v.optional(text),
      memory: v.optional(text),
      storage: v.optional(text),
      cpus: v.optional(
        v.array(v.strictObject({ cores: v.number(), architecture: v.optional(text) })),
      ),
      interfaces: v.optional(v.array(type)),
      peripherals: v.optional(
        v.array(
          v.strictObject({ type: text, manufacturer: v.optional(text), model: v.optional(text) }),
        ),
      ),
    }),
    {},
  ),
  labels: v.optional(v.record(v.string(), v.union([v.string(), v.number(), v.boolean()])), {}),
});

export function margoOf(
  read: v.InferOutput<typeof margoSchema> | undefined,
  at: (name: string) => string,
): MargoConfig | null {
  if (!read) return null;
  const { cert, key, trustBundle } = read.identity;
  return {
    url: read.url,
    dialect: read.dialect,
    authority: read.authority,
    deviceId: read.deviceId ?? null,
    identity: {
      ...{ cert: at(cert), key: at(key), trustBundle: at(trustBundle) },
      refresh: refreshOf(read.identity, at),
    },
    proxy: read.proxy ?? null,
    hours: hoursOf(read),
    properties: read.properties,
    labels: read.labels,
  };
}
