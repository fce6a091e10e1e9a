/**
 * The leaf of an X.509-SVID as Margo asks for it (MARGO.md section 9; M03): exactly one URI name, no CA,
 * a key that signs no certificates. Whose chain it is, and when it counts, is judged where the
 * connection is made.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type MargoName, readMargoName } from '#state/spiffe.ts';
import type { PeerCertificate } from './tls.ts';

/** @param who  for messages: whose certificate it is */
export function readSvid(leaf: PeerCertificate, who: string): Result<MargoName> {
  const no = (reason: string): Result<MargoName> => refuse('margo.identity', { who, reason });
  const { uris = [], signsLists = false, saysCa = false } = leaf.svid ?? {};
  if (leaf.ca || saysCa) return no('it is a CA');
  if (leaf.keyUsage?.keyCertSign === true || signsLists) {
    return no('its key may sign certificates (key usage)');
  }
  if (leaf.keyUsage?.digitalSignature === false) return no('its key may not sign (key usage)');
  const [uri, ...others] = uris;
  if (uri === undefined) return no('it has no URI name');
  if (others.length > 0) return no('it has more than one URI name');
  const name = readMargoName(uri);
  return name === null ? no('its URI name is none of Margo') : ok(name);
}
