/**
 * TLS with a dead clock (DESIGN section 5): the peer's chain is judged here, before any application
 * byte, against the configured anchors and the time floor. The runtime's own check cannot be used
 * then: at 1970 it fails with "not yet valid", which hides an untrusted CA.
 *
 * Pure. `notBefore` is not judged: the floor is a lower bound of the time, so a certificate that is
 * valid from later on may well be in force. Name constraints and every other critical extension that
 * is not understood refuse. Only anchors of the configuration and of the held root count,
 * never the system's.
 * HTTP, MQTT and CONNECT share it.
 * @see RFC 5280 section 6.1, RFC 6125
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import { printable } from './printable.ts';

/** What trust/time.ts knows of the time, as far as a connection needs it. */
export interface PeerTime {
  /** Unix ms that are certainly past */
  readonly floorMs: number;
  /** false: the runtime's certificate check means nothing, this one is used */
  readonly wallPlausible: boolean;
}

export interface PeerRules {
  readonly anchors: readonly PeerCertificate[];
  /** DNS name or IP address that the certificate must carry */
  readonly name: string;
  readonly floorMs: number;
}

/** certificates in a path, anchor and leaf included */
const PATH_MAX = 4;
/** certificates of the peer's chain that are looked at; the rest is ignored */
const CHAIN_MAX = 10;
/** signature verifications for one chain */
const VERIFICATIONS_MAX = 32;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** The function for `Sockets.secure`. */
export function peerCheck(
  rules: PeerRules,
): (chain: readonly PeerCertificate[]) => Result<undefined> {
  return (chain) => checkPeer(chain, rules);
}

/** @returns `link.tls-untrusted` with the reason, for anything but a proven chain to an anchor */
export function checkPeer(chain: readonly PeerCertificate[], rules: PeerRules): Result<undefined> {
  const untrusted = (reason: string): Result<undefined> =>
    refuse('link.tls-untrusted', { peer: rules.name, reason: printable(reason) });
  const [leaf, ...others] = chain.slice(0, CHAIN_MAX);
  if (leaf === undefined) return untrusted('it showed no certificate');
  if (rules.anchors.length === 0) {
    return untrusted(
      'the clock is not set, and without it only the CAs of tls.ca and of the root count',
    );
  }
  if (!leaf.matches(rules.name)) return untrusted('the certificate is for another name');
  const unfit = unfitLeaf(leaf) ?? unfitAnywhere(leaf, rules.floorMs);
  if (unfit !== null) return untrusted(unfit);
  // The owner named exactly this certificate: nobody else has to vouch for it.
  if (rules.anchors.some((anchor) => sameBytes(anchor.raw, leaf.raw))) return ok();
  const search: Search = { rules, others, verificationsLeft: VERIFICATIONS_MAX, why: '' };
  if (reachesAnchor(leaf, [leaf], search)) return ok();
  return untrusted(
    search.why === '' ? 'no anchor of tls.ca or of the root vouches for it' : search.why,
  );
}

interface Search {
  readonly rules: PeerRules;
  readonly others: readonly PeerCertificate[];
  verificationsLeft: number;
  /** the most telling reason so far: an issuer that signed, but may not */
  why: string;
}

/** Depth first; anchors before what the peer sent, so that the shortest path is found first. */
function reachesAnchor(
  certificate: PeerCertificate,
  path: readonly PeerCertificate[],
  search: Search,
): boolean {
  if (path.length >= PATH_MAX) {
    search.why = `the path is longer than ${PATH_MAX} certificates`;
    return false;
  }
  const { anchors } = search.rules;
  if (anchors.some((anchor) => vouches(anchor, certificate, path, search))) return true;
  return search.others.some(
    (other) =>
      !path.includes(other) &&
      vouches(other, certificate, path, search) &&
      reachesAnchor(other, [...path, other], search),
  );
}

/** Whether `issuer` signed the last certificate of `path` and was allowed to. */
function vouches(
  issuer: PeerCertificate,
  certificate: PeerCertificate,
  path: readonly PeerCertificate[],
  search: Search,
): boolean {
  if (issuer.subject !== certificate.issuer || search.verificationsLeft === 0) return false;
  search.verificationsLeft -= 1;
  if (!certificate.signedBy(issuer)) return false;
  // Below the issuer stand the leaf, which does not count, and path.length - 1 CA certificates.
  const unfit = unfitIssuer(issuer, path.length - 1) ?? unfitAnywhere(issuer, search.rules.floorMs);
  if (unfit !== null) search.why = unfit;
  return unfit === null;
}

function unfitLeaf(leaf: PeerCertificate): string | null {
  if (leaf.extendedKeyUsage !== null && !leaf.extendedKeyUsage.includes(SERVER_AUTH)) {
    return 'the certificate is not for servers (extended key usage)';
  }
  if (leaf.keyUsage !== null && !leaf.keyUsage.digitalSignature) {
    return 'the key of the certificate may not sign (key usage)';
  }
  return null;
}

function unfitIssuer(issuer: PeerCertificate, below: number): string | null {
  if (!issuer.ca) return `${issuer.subject} signed it but is no CA`;
  if (issuer.keyUsage !== null && !issuer.keyUsage.keyCertSign) {
    return `${issuer.subject} signed it but its key may not sign certificates (key usage)`;
  }
  if (issuer.extendedKeyUsage !== null && !issuer.extendedKeyUsage.includes(SERVER_AUTH)) {
    return `${issuer.subject} may not vouch for servers (extended key usage)`;
  }
  if (issuer.pathLength !== null && below > issuer.pathLength) {
    return `${issuer.subject} allows only ${issuer.pathLength} CA certificates below it`;
  }
  return null;
}

function unfitAnywhere(certificate: PeerCertificate, floorMs: number): string | null {
  if (!(certificate.notAfter >= floorMs)) {
    const end = new Date(certificate.notAfter);
    const when = Number.isNaN(end.getTime()) ? 'at an unreadable time' : end.toISOString();
    return `the certificate of ${certificate.subject} ended ${when}`;
  }
  const critical = certificate.unknownCritical[0];
  return critical === undefined
    ? null
    : `the certificate of ${certificate.subject} has the unknown critical extension ${critical}`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
