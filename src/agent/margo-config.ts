/** The section `margo` of agent.yaml: the one manager (WFM) whose channel `margo` this device follows. */
import * as v from 'valibot';
import { MARGO_DIALECTS, type MargoDialect } from '#state/margo.ts';
import { childrenEntries, childrenOf, type MargoChild } from './margo-children-config.ts';
import { hoursEntries, hoursOf, type MargoHours } from './margo-hours.ts';
import { type MargoRefreshConfig, refreshEntries, refreshOf } from './margo-refresh.ts';
import { type MargoSource, sourceEntries, sourceFits, sourceOf } from './margo-source.ts';

export interface MargoConfig {
  readonly url: string;
  /** configured, never fallen back from (a downgrade is an attack) */
  readonly dialect: MargoDialect;
  /** tls: the manager speaks for the channel by its TLS identity; signature: only keys of the root do */
  readonly authority: 'tls' | 'signature';
  /** what the manager calls this device; null: the client of the SVID */
  readonly deviceId: string | null;
  readonly identity: MargoSvid | MargoSigning;
  readonly proxy: string | null;
  /** where the desired state is looked for; capabilities and status go to `url` in any case */
  readonly source: MargoSource;
  /** when the manager is asked, and when changes begin */
  readonly hours: MargoHours;
  /** devices that this one speaks for */
  readonly children: readonly MargoChild[];
  /** it hosts nothing itself */
  readonly relay: boolean;
  /** in place of what the machine says of itself */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly labels: Readonly<Record<string, string | number | boolean>>;
}

/** rc3. Absolute paths: the SVID with its intermediates, its key, the trust bundle (a JWK set). */
export interface MargoSvid {
  readonly kind: 'svid';
  readonly cert: string;
  readonly key: string;
  readonly trustBundle: string;
  /** whether and where the bundle is fetched again */
  readonly refresh: MargoRefreshConfig;
}

/** rc2 and pr1. Absolute paths. */
export interface MargoSigning {
  readonly kind: 'signing';
  /** the root CA of the manager, PEM: nothing else counts, neither what it tells nor the system's */
  readonly ca: string;
  /** whose key signs requests; null: the device makes them */
  readonly files: { readonly cert: string; readonly key: string } | null;
}

const path = v.pipe(v.string(), v.nonEmpty('a path'));
const text = v.pipe(v.string(), v.nonEmpty('text'), v.maxLength(255, 'at most 255 characters'));
const type = v.strictObject({ type: text });

const sectionSchema = v.strictObject({
  url: v.pipe(
    v.string(),
    v.regex(/^https:\/\/[^/\s@?#]+(?:\/[^\s@?#]*)?$/, 'https://host/path, without credentials'),
  ),
  dialect: v.optional(v.picklist(MARGO_DIALECTS, 'rc3, rc2 or pr1'), 'rc3'),
  authority: v.optional(
    v.picklist(['tls', 'signature'], 'tls (the manager is believed) or signature (only keys are)'),
    'signature',
  ),
  deviceId: v.optional(
    v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,255}$/, 'a device id of Margo, no gateway')),
  ),
  identity: v.strictObject({
    ...{ cert: v.optional(path), key: v.optional(path), trustBundle: v.optional(path) },
    ca: v.optional(path),
    ...refreshEntries,
  }),
  proxy: v.optional(v.pipe(v.string(), v.regex(/^http:\/\//, 'http://host:port'))),
  ...hoursEntries,
  ...childrenEntries,
  ...sourceEntries,
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

export const margoSchema = v.pipe(
  sectionSchema,
  v.check(
    ({ dialect, identity: { cert, key, trustBundle, ca } }) =>
      dialect !== 'rc3' || (!!cert && !!key && !!trustBundle && !ca),
    'of rc3: identity with cert, key and trustBundle, and no ca',
  ),
  v.check(
    ({ dialect, identity: { cert, key, trustBundle, ca, trustBundleUri, discover } }) =>
      dialect === 'rc3' ||
      (!!ca && !trustBundle && !trustBundleUri && !discover && (cert === undefined) === !key),
    'of rc2 and pr1: identity with ca (the root CA of the manager), and cert with key or neither',
  ),
  v.check(
    ({ dialect, children }) => dialect !== 'pr1' || children.length === 0,
    'of pr1: no children, since it tells of clients alone',
  ),
  v.check((read) => sourceFits(read), 'source: oci together with oci: { url }'),
  v.check(
    ({ source, authority }) => source === 'api' || authority === 'tls',
    'of source: oci: authority: tls, since nobody signs that form',
  ),
);

type Section = v.InferOutput<typeof margoSchema>;

export function margoOf(
  read: Section | undefined,
  at: (name: string) => string,
): MargoConfig | null {
  if (!read) return null;
  return {
    url: read.url,
    dialect: read.dialect,
    authority: read.authority,
    deviceId: read.deviceId ?? null,
    identity: identityOf(read, at),
    proxy: read.proxy ?? null,
    source: sourceOf(read, at),
    hours: hoursOf(read),
    children: childrenOf(read),
    relay: read.relay,
    properties: read.properties,
    labels: read.labels,
  };
}

/** The schema has checked which of them stand together. */
function identityOf(
  { dialect, identity }: Section,
  at: (name: string) => string,
): MargoSvid | MargoSigning {
  const { cert, key, trustBundle = '', ca = '' } = identity;
  const files = cert && key ? { cert: at(cert), key: at(key) } : null;
  if (dialect !== 'rc3') return { kind: 'signing', ca: at(ca), files };
  return {
    ...{ kind: 'svid', cert: files?.cert ?? '', key: files?.key ?? '' },
    ...{ trustBundle: at(trustBundle), refresh: refreshOf(identity, at) },
  };
}
