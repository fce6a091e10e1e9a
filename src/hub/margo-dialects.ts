/**
 * Which dialects a Margo manager serves on its port, and what the older ones need beside rc3: the list of
 * certificates that may onboard, those that have, and the root CA that clients may look at.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { MargoDialect } from '#state/margo.ts';
import type { OlderDialect } from '#wire/margo-capabilities-older.ts';
import { type MargoApiInput, type MargoHandler, margoApi } from './margo-api.ts';
import { margoOlder } from './margo-older.ts';
import { olderError } from './margo-older-answers.ts';
import { isAcceptedCertificate, openMargoOnboarded } from './margo-onboarded.ts';

export interface MargoDialects {
  /** default: rc3 alone */
  readonly dialects?: readonly MargoDialect[];
  /** with an older one: path of the accepted certificates, a SHA-256 fingerprint a line */
  readonly accepted?: string | null;
  /** path of the root CA that is told, PEM; null: the last certificate of `tls.cert` or bundle */
  readonly ca?: string | null;
}

export interface MargoServing
  extends Pick<MargoApiInput, 'log' | 'inflate' | 'clients' | 'published'> {
  readonly platform: Pick<Platform, 'clock' | 'files' | 'x509'>;
  /** of the hub's Margo side */
  readonly folder: string;
  /** how clients reach it; null: by any name */
  readonly url: string | null;
  /** PEM: what stands in for `ca` */
  readonly anchor: string;
}

const PEM_MAX = 64 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** @param rc3  null: it is not served */
export function servingDialects(
  serving: MargoServing,
  { dialects = ['rc3'], accepted = null, ca = null }: MargoDialects,
  rc3: Pick<MargoApiInput, 'caller' | 'trust'> | null,
): Result<{ readonly handle: MargoHandler; close(): void }> {
  const { platform, log, inflate, clients, published, url } = serving;
  const newest = rc3 && margoApi({ ...rc3, log, inflate, clients, published });
  const nothing: MargoHandler = async () => olderError(404, 'Not Found');
  const spoken = dialects.filter((one): one is OlderDialect => one !== 'rc3');
  if (spoken.length === 0 || accepted === null) {
    return ok({ handle: newest ?? nothing, close: () => undefined });
  }
  const { files, clock, x509 } = platform;
  const told = ca === null ? ok(Buffer.from(serving.anchor)) : files.readFile(ca, PEM_MAX);
  if (!told.ok) return told;
  const rootCa = Buffer.from(told.value).toString('latin1').match(CERTIFICATE)?.at(-1);
  if (!rootCa) return refuse('config.certificate', { reason: `${ca} holds none in PEM` });
  const onboarded = openMargoOnboarded(files, serving.folder);
  if (!onboarded.ok) return onboarded;
  const older = margoOlder({
    ...{ log, inflate, clients, published, dialects: spoken, clock, url },
    ...{ onboarded: onboarded.value, keys: x509.messageKeys, rootCa: `${rootCa}\n` },
    accepts: (certificate) => isAcceptedCertificate(files, accepted, certificate),
  });
  return ok({
    handle: async (request) => (await older(request)) ?? (newest ?? nothing)(request),
    close: () => onboarded.value.close(),
  });
}
