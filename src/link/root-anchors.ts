/**
 * The TLS anchors of the newest held root, put to those of the configuration, anew for each
 * connection: a root that has just been taken counts for the next one. One that has ended by the time
 * floor, or that the runtime cannot read, is passed over, so that it ends no connection but those
 * that only it would vouch for.
 *
 * Beside `tls.ca` where there is one, else beside the system's anchors; in place of either where the
 * root says so. Then nothing that is configured is fallen back to: a CA that was stolen is one that
 * the root no longer names.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { TlsOptions } from '#platform/http.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import type { TlsTrust } from '#state/root.ts';
import type { PeerTime } from './peer.ts';
import { checkPeer } from './peer.ts';

/** What the newest held root says of TLS; read at each connection. */
export type RootAnchors = () => TlsTrust | null;

/** `Platform.certificates` */
type Certificates = (pem: string) => Result<readonly PeerCertificate[]>;

export interface Anchoring {
  readonly trust: TlsTrust | null;
  readonly floorMs: number;
  /** for messages */
  readonly peer: string;
}

/** @returns `link.no-anchors` where the root replaces what is configured by what has ended */
export function withRootAnchors(
  certificates: Certificates,
  tls: TlsOptions,
  { trust, floorMs, peer }: Anchoring,
): Result<TlsOptions> {
  if (trust === null) return ok(tls);
  const pem = anchorsInForce(certificates, trust, floorMs);
  const { ca, ...rest } = tls;
  if (trust.replacesConfigured) {
    return pem === '' ? refuse('link.no-anchors', { peer }) : ok({ ...rest, ca: pem });
  }
  if (pem === '') return ok(tls);
  return ok(ca === undefined ? { ...tls, addCa: pem } : { ...rest, ca: `${ca.trimEnd()}\n${pem}` });
}

/** Those that this side can check a chain against by itself: never the system's. */
export function ownAnchors(
  certificates: Certificates,
  { ca, addCa }: TlsOptions,
): Result<readonly PeerCertificate[]> {
  const pem = ca ?? addCa;
  return pem === undefined ? ok([]) : certificates(pem);
}

/** PEM texts are made once for each root that is held. */
const known = new WeakMap<
  TlsTrust,
  readonly { readonly notAfter: number; readonly pem: string }[]
>();

function anchorsInForce(certificates: Certificates, trust: TlsTrust, floorMs: number): string {
  let readable = known.get(trust);
  if (readable === undefined) {
    readable = trust.anchors
      .map(({ certificate, notAfter }) => ({ notAfter, pem: pemOf(certificate) }))
      .filter(({ pem }) => certificates(pem).ok);
    known.set(trust, readable);
  }
  return readable
    .filter(({ notAfter }) => notAfter === 0 || notAfter >= floorMs)
    .map(({ pem }) => pem)
    .join('');
}

export function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

export interface Standing {
  readonly chain: readonly PeerCertificate[];
  readonly name: string;
  readonly time: PeerTime;
  /** what the connection was made with, and what one would be made with now */
  readonly made: TlsOptions;
  readonly now: TlsOptions;
}

/**
 * Whether a connection that stands would be made again. What only the system's anchors vouch for
 * stands as long as they count at all.
 */
export function stillVouchedFor(certificates: Certificates, standing: Standing): Result<undefined> {
  const { chain, name, time, made, now } = standing;
  const judge = (tls: TlsOptions): Result<undefined> => {
    const anchors = ownAnchors(certificates, tls);
    if (!anchors.ok) return anchors;
    return checkPeer(chain, { anchors: anchors.value, name, floorMs: time.floorMs });
  };
  const systemCounts = now.ca === undefined && time.wallPlausible;
  if (systemCounts && !judge(made).ok) return ok();
  return judge(now);
}
