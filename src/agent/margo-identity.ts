/**
 * Who this device is to its Margo manager, and whom it takes for that manager (MARGO.md section 9). The
 * files are read again at each connection: a renewed SVID and another trust bundle (margo-anchors.ts)
 * need no restart.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { JudgePeer } from '#link/dead-clock.ts';
import { checkMargoPeer } from '#link/margo-peer.ts';
import type { Log } from '#platform/log.ts';
import type { Platform } from '#platform/platform.ts';
import { readSvid } from '#platform/svid.ts';
import { type MargoName, wfmName } from '#state/spiffe.ts';
import type { MargoAnchors } from './margo-anchors.ts';
import type { MargoSvid } from './margo-config.ts';
import type { AgentTime } from './time.ts';

export interface MargoIdentityInput {
  readonly platform: Pick<Platform, 'certificates' | 'clock' | 'files'> & { readonly log: Log };
  readonly config: { readonly identity: Pick<MargoSvid, 'cert'> };
  readonly time: Pick<AgentTime, 'view'>;
  readonly anchors: Pick<MargoAnchors, 'current'>;
}

export interface MargoIdentity {
  /** client of a manager; a file that cannot be read is no reason not to start what runs */
  name(): Result<ClientName>;
  readonly judge: JudgePeer;
}

export type ClientName = MargoName & { readonly client: string };

const PEM_MAX = 64 * 1024;

export function margoIdentity(input: MargoIdentityInput): MargoIdentity {
  return {
    name: () => ownName(input),
    judge(chain) {
      const name = ownName(input);
      if (!name.ok) return name;
      const trusted = input.anchors.current();
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
