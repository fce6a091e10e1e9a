/**
 * Is the other end the manager of this device? (MARGO.md section 9; M03–M06.) Its leaf is an X.509-SVID
 * whose name is exactly the one that this device's own SVID implies; its path ends at an anchor of the
 * trust bundle; names of DNS are not compared. Time: the floor always, both ends of its validity where
 * the wall clock counts.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { readSvid } from '#platform/svid.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import { wfmName } from '#state/spiffe.ts';
import { checkPeer, type PeerTime } from './peer.ts';

export interface MargoPeerRules {
  readonly anchors: readonly PeerCertificate[];
  /** spiffe://DOMAIN/margo/wfm/ID */
  readonly expected: string;
  readonly time: PeerTime;
  readonly wallMs: number;
}

export function checkMargoPeer(
  chain: readonly PeerCertificate[],
  { anchors, expected, time, wallMs }: MargoPeerRules,
): Result<void> {
  const [leaf, ...others] = chain;
  const no = (reason: string): Result<void> =>
    refuse('link.tls-untrusted', { peer: expected, reason });
  if (leaf === undefined) return no('it showed no certificate');
  const name = readSvid(leaf, 'the certificate of the manager');
  if (!name.ok) return no(name.fault.message);
  // Compared byte for byte: no manager of the same domain speaks for another.
  if (name.value.client !== null || wfmName(name.value) !== expected) {
    return no('the certificate names another one');
  }
  if (time.wallPlausible && leaf.notBefore > wallMs) return no('its certificate is not yet valid');
  const floorMs = time.wallPlausible ? Math.max(time.floorMs, wallMs) : time.floorMs;
  // The name is judged; the path is judged as everywhere.
  const nameless = { ...leaf, matches: () => true };
  const path = checkPeer([nameless, ...others], { anchors, name: expected, floorMs });
  return path.ok ? ok() : path;
}
