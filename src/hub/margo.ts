/**
 * The hub as Margo manager: a port of its own with TLS 1.3 and client certificates, beside registry and
 * broker, serving what the registry holds. Its identity (an X.509-SVID), its key and the trust bundle
 * are files of the operator; issuing them is out of band, as Margo has it. The older dialects are
 * served beside rc3, or alone, where the operator says so (margo-dialects.ts).
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Listening, ServedRequest, ServerTls } from '#platform/listener.ts';
import type { Platform } from '#platform/platform.ts';
import { readSvid } from '#platform/svid.ts';
import { clientName, type MargoName } from '#state/spiffe.ts';
import { readTrustBundle, TRUST_BUNDLE_BYTES } from '#wire/trust-bundle.ts';
import type { Disk } from './disk.ts';
import { openMargoClients } from './margo-clients.ts';
import { type MargoDialects, servingDialects } from './margo-dialects.ts';
import { publishedReader } from './margo-published.ts';
import { openServedFloor } from './margo-served.ts';
import { servedTrust, TRUST_BUNDLE_PATH } from './margo-trust.ts';

export interface MargoOptions extends MargoDialects {
  readonly port: number;
  /** https://host:port, for discovery; the listening address alone knows no name */
  readonly url: string | null;
  /** paths of PEM files: the SVID with its intermediates (older dialects: any server's), its key */
  readonly cert: string;
  readonly key: string;
  /** path of the trust bundle: a JWK set; not read where rc3 is not served */
  readonly bundle: string;
  /** path of the accepted clients, a SPIFFE ID a line, read at each request; null: all of this manager */
  readonly clients: string | null;
  readonly repository: string;
  readonly channel: string;
  /** the owner's root file */
  readonly root: Uint8Array;
}

export interface MargoParts {
  readonly platform: Pick<
    Platform,
    'certificates' | 'clock' | 'files' | 'inflate' | 'listener' | 'log' | 'x509'
  >;
  readonly disk: Pick<Disk, 'tag' | 'manifest' | 'openBlob'>;
  /** of the hub */
  readonly folder: string;
  readonly host: string;
}

const PEM_MAX = 64 * 1024;
const CLIENTS_BYTES = 1024 * 1024;

export async function startMargo(
  parts: MargoParts,
  options: MargoOptions,
): Promise<Result<Listening>> {
  const { platform, disk, host } = parts;
  const identity = readIdentity(platform, options);
  if (!identity.ok) return identity;
  const { repository, channel, root } = options;
  const { clock, inflate, log, files } = platform;
  const folder = `${parts.folder}/margo`;
  const published = publishedReader({
    ...{ disk, clock, inflate, repository, channel, root },
    floor: (fleet) => openServedFloor(files, folder, { repository, channel, fleet }),
  });
  if (!published.ok) return published;
  const clients = openMargoClients(files, folder);
  if (!clients.ok) {
    published.value.close();
    return clients;
  }
  const { name, tls, bundle } = identity.value;
  let port = options.port;
  const own = host.includes(':') ? `[${host}]` : host;
  const address = () => options.url ?? `https://${own}:${port}`;
  const serving = servingDialects(
    {
      ...{ platform, log, inflate, clients: clients.value, published: published.value },
      ...{ folder, url: options.url, anchor: tls.ca ?? tls.cert },
    },
    options,
    name && {
      caller: (request) => callerOf({ platform, options, name }, request),
      trust: servedTrust({
        ...{ files, log, file: options.bundle, first: bundle },
        discovery: () => discoveryOf(name, address()),
      }),
    },
  );
  const close = (): void => {
    published.value.close();
    clients.value.close();
    if (serving.ok) serving.value.close();
  };
  if (!serving.ok) {
    close();
    return serving;
  }
  const on = { kind: 'tcp', host, port: options.port, tls } as const;
  const listening = await platform.listener.listen(on, serving.value.handle);
  if (!listening.ok) {
    close();
    return listening;
  }
  port = listening.value.port;
  return ok(closing(listening.value, close));
}

function closing(listening: Listening, close: () => void): Listening {
  return {
    port: listening.port,
    async close() {
      await listening.close();
      close();
    },
  };
}

function discoveryOf({ domain }: MargoName, address: string): string {
  const trustBundleUri = `${address}${TRUST_BUNDLE_PATH}`;
  return JSON.stringify({ trustDomain: domain, trustBundleUri });
}

interface ManagerIdentity {
  /** null: rc3 is not served, so the certificate is any server's */
  readonly name: MargoName | null;
  readonly tls: ServerTls;
  /** of the trust bundle's file */
  readonly bundle: Uint8Array;
}

function readIdentity(
  { files, certificates }: Pick<Platform, 'files' | 'certificates'>,
  { cert, key, bundle, dialects = ['rc3'] }: MargoOptions,
): Result<ManagerIdentity> {
  const read = (path: string, cap: number) => files.readFile(path, cap);
  const certificate = read(cert, PEM_MAX);
  if (!certificate.ok) return certificate;
  const pem = Buffer.from(certificate.value).toString('latin1');
  const chain = certificates(pem);
  if (!chain.ok) return chain;
  const secret = read(key, PEM_MAX);
  if (!secret.ok) return secret;
  const pair = { cert: pem, key: Buffer.from(secret.value).toString('latin1') };
  const connections = { clients: 'optional', minVersion: 'TLSv1.3' } as const;
  if (!dialects.includes('rc3')) {
    return ok({ name: null, tls: { ...pair, ...connections }, bundle: new Uint8Array() });
  }
  const [leaf] = chain.value;
  const name = leaf
    ? readSvid(leaf, cert)
    : refuse('margo.identity', { who: cert, reason: 'empty' });
  if (!name.ok) return refused(name.fault);
  if (name.value.client !== null) {
    return refuse('margo.identity', { who: cert, reason: 'it is a client’s, not a manager’s' });
  }
  const document = read(bundle, TRUST_BUNDLE_BYTES);
  if (!document.ok) return document;
  const trust = readTrustBundle(document.value, bundle);
  if (!trust.ok) return trust;
  const ca = trust.value.anchors.map(pemOf).join('');
  const anchors = certificates(ca);
  if (!anchors.ok)
    return refuse('margo.trust-bundle', { file: bundle, reason: anchors.fault.message });
  return ok({ name: name.value, tls: { ...pair, ...connections, ca }, bundle: document.value });
}

function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** The accepted-client policy (M09): its chain was judged by the connection, its name is here. */
function callerOf(
  {
    platform,
    options,
    name,
  }: {
    readonly platform: Pick<Platform, 'certificates' | 'files'>;
    readonly options: MargoOptions;
    readonly name: MargoName;
  },
  { peer }: ServedRequest,
): { readonly name: string } | { readonly refused: string } {
  if (!peer?.certificate) return { refused: 'a client certificate of this trust domain is needed' };
  const parsed = platform.certificates(pemOf(peer.certificate));
  const [leaf] = parsed.ok ? parsed.value : [];
  const shown = leaf ? readSvid(leaf, 'the client certificate') : null;
  if (!shown?.ok) return { refused: shown?.fault.message ?? 'the client certificate is damaged' };
  const { domain, wfm, client } = shown.value;
  if (client === null || domain !== name.domain || wfm !== name.wfm) {
    return { refused: 'the certificate names no client of this manager' };
  }
  const id = clientName({ domain, wfm, client });
  if (options.clients === null) return { name: id };
  const list = platform.files.readFile(options.clients, CLIENTS_BYTES);
  // A list that cannot be read lets nobody in.
  const lines = list.ok ? Buffer.from(list.value).toString('utf8').split(/\r?\n/) : [];
  return lines.some((line) => line.trim() === id)
    ? { name: id }
    : { refused: 'not an accepted client' };
}
