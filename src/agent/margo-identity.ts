/**
 * Who this device is to its Margo manager, and whom it takes for that manager (MARGO.md section 9). The
 * files are read again at each connection: a renewed SVID and another trust bundle need no restart. A
 * new bundle takes the place of the old one, anchor for anchor; one that cannot be used, or is older,
 * changes nothing.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { JudgePeer } from '#link/dead-clock.ts';
import { checkMargoPeer } from '#link/margo-peer.ts';
import { pemOf } from '#link/root-anchors.ts';
import type { Log } from '#platform/log.ts';
import type { Platform } from '#platform/platform.ts';
import { readSvid } from '#platform/svid.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import { type MargoName, wfmName } from '#state/spiffe.ts';
import { readTrustBundle, TRUST_BUNDLE_BYTES } from '#wire/trust-bundle.ts';
import type { MargoConfig } from './margo-config.ts';
import type { AgentTime } from './time.ts';

export interface MargoIdentityInput {
  readonly platform: Pick<Platform, 'certificates' | 'clock' | 'files'> & { readonly log: Log };
  readonly config: Pick<MargoConfig, 'identity'>;
  readonly time: Pick<AgentTime, 'view'>;
}

export interface MargoIdentity {
  /** client of a manager; a file that cannot be read is no reason not to start what runs */
  name(): Result<ClientName>;
  readonly judge: JudgePeer;
}

export type ClientName = MargoName & { readonly client: string };

interface Anchors {
  readonly certificates: readonly PeerCertificate[];
  readonly sequence: number;
}

const PEM_MAX = 64 * 1024;

export function margoIdentity(input: MargoIdentityInput): MargoIdentity {
  let held: Anchors | null = null;
  const anchors = (): Result<Anchors> => {
    const read = readAnchors(input);
    const newer = read.ok && (held === null || read.value.sequence >= held.sequence);
    if (read.ok && newer) held = read.value;
    else if (!read.ok) input.platform.log.write('warn', 'margo.bundle', { code: read.fault.code });
    return held ? ok(held) : read;
  };
  return {
    name: () => ownName(input),
    judge(chain) {
      const name = ownName(input);
      if (!name.ok) return name;
      const trusted = anchors();
      if (!trusted.ok) return trusted;
      return checkMargoPeer(chain, {
        anchors: trusted.value.certificates,
        expected: wfmName(name.value),
        time: input.time.view(),
        wallMs: input.platform.clock.wallMs(),
      });
    },
  };
}

/** The name of the manager is derived from it, and from nothing else. */
function ownName({ platform, config }: MargoIdentityInput): Result<ClientName> {
  const { cert } = config.identity;
  const bytes = platform.files.readFile(cert, PEM_MAX);
  if (!bytes.ok) return refuse('margo.identity', { who: cert, reason: bytes.fault.message });
  const parsed = platform.certificates(Buffer.from(bytes.value).toString('latin1'));
  const [leaf] = parsed.ok ? parsed.value : [];
  if (!leaf) return refuse('margo.identity', { who: cert, reason: 'it holds no certificate' });
  const name = readSvid(leaf, cert);
  if (!name.ok) return name;
  const { client } = name.value;
  if (client === null) {
    return refuse('margo.identity', { who: cert, reason: 'it is a manager’s, not a client’s' });
  }
  return ok({ ...name.value, client });
}

function readAnchors({ platform, config }: MargoIdentityInput): Result<Anchors> {
  const file = config.identity.trustBundle;
  const bytes = platform.files.readFile(file, TRUST_BUNDLE_BYTES);
  if (!bytes.ok) return refuse('margo.trust-bundle', { file, reason: bytes.fault.message });
  const bundle = readTrustBundle(bytes.value, file);
  if (!bundle.ok) return bundle;
  const certificates = platform.certificates(bundle.value.anchors.map(pemOf).join(''));
  if (!certificates.ok) {
    return refuse('margo.trust-bundle', { file, reason: certificates.fault.message });
  }
  return ok({ certificates: certificates.value, sequence: bundle.value.sequence ?? 0 });
}
