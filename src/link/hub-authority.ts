/**
 * Who a hub is, before anything is told to it: the certificate of its authority, which it sends
 * behind its own. A token or a person names that certificate by its digest; whoever stands between
 * can show it, but not a server certificate that it vouches for, and is asked for one by every later
 * connection (http.ts, with this anchor alone).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { readUrl } from './endpoint.ts';
import { connectThrough } from './proxy.ts';

export interface HubAuthority {
  readonly digest: Digest;
  /** of the CA certificate alone */
  readonly pem: string;
}

type Parts = Pick<Platform, 'sockets' | 'tunnels' | 'files'>;

const STEP_MS = 20_000;
const PORT_TLS = 443;

/**
 * @param pinned  the digest that must be among what it shows; null: whatever it shows, for a person
 *                to compare
 */
export async function showAuthority(
  platform: Parts,
  hub: { readonly url: string; readonly proxy: string | null },
  pinned: Digest | null,
): Promise<Result<HubAuthority>> {
  const url = readUrl(hub.url, false);
  if (!url.ok) return url;
  if (url.value.protocol !== 'https:') {
    return refuse('link.scheme-refused', {
      url: url.value.origin,
      reason: 'a hub speaks https://',
    });
  }
  const plain = await connect(platform, url.value, hub.proxy);
  if (!plain.ok) return plain;
  const name = url.value.hostname.replace(/^\[|\]$/g, '');
  let shown: HubAuthority | null = null;
  const look = (chain: readonly PeerCertificate[]): Result<void> => {
    shown = authorityOf(chain, pinned);
    return ok();
  };
  const secured = await platform.sockets.secure(plain.value, { serverName: name }, look, STEP_MS);
  if (!secured.ok) return secured;
  // Nothing was said on it: it served to see the chain.
  secured.value.close();
  const found = shown as HubAuthority | null;
  if (found !== null && (pinned === null || found.digest === pinned)) return ok(found);
  return refuse('enroll.hub-untrusted', {
    hub: url.value.origin,
    expected: pinned ?? 'an authority of its own',
    found: found?.digest ?? 'none',
  });
}

function connect(platform: Parts, url: URL, proxy: string | null) {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return connectThrough(platform, { proxy }, { host, port: Number(url.port || PORT_TLS) }, STEP_MS);
}

/** The pinned one; else the last CA, which is what the rest is to hang from. */
function authorityOf(
  chain: readonly PeerCertificate[],
  pinned: Digest | null,
): HubAuthority | null {
  const authorities = chain
    .filter(({ ca }) => ca)
    .map(({ raw }) => ({ digest: sha256(raw), pem: pemOf(raw) }));
  return authorities.find(({ digest }) => digest === pinned) ?? authorities.at(-1) ?? null;
}

function pemOf(raw: Uint8Array): string {
  const lines =
    Buffer.from(raw)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
