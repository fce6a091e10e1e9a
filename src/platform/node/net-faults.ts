/** Errors of sockets, TLS and HTTP clients as `link.*` faults. */
import { type Fault, fault } from '#errors/fault.ts';
import { errnoOf } from './errno.ts';

const UNREACHABLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  ConnectionRefused: 'nobody listens there',
  FailedToOpenSocket: 'the connection could not be opened',
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name cannot be resolved now',
  EAI_FAIL: 'its name cannot be resolved',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no network',
  ENETDOWN: 'the network is down',
  EADDRNOTAVAIL: 'there is no address to connect from',
  ETIMEDOUT: 'it does not answer',
  ENOENT: 'there is no such socket',
  EACCES: 'permission denied',
};

/** Of a proxy, as the reason of `link.proxy`. */
export const PROXY_LOGIN = 'it answered 407: it wants credentials';

/** OpenSSL's and node's names for a certificate that does not convince. */
const UNTRUSTED =
  /CERT|SELF_SIGNED|ISSUER|VERIFY_LEAF|ALTNAME|HOSTNAME_MISMATCH|PATH_LENGTH|INVALID_CA|INVALID_PURPOSE/;

/** @param connected  whether the connection stood already: then everything else is a cut */
export function netFault(error: unknown, peer: string, connected: boolean): Fault {
  const code = errnoOf(error);
  const why = UNREACHABLE[code];
  if (why !== undefined && !connected) {
    return fault('link.unreachable', { peer, reason: `${why} (${code})` });
  }
  if (UNTRUSTED.test(code)) {
    return fault('link.tls-untrusted', { peer, reason: reasonOf(error, code) });
  }
  if (/^ERR_(SSL|TLS|OSSL|CRYPTO)|^EPROTO$|SSL/.test(code)) {
    return fault('link.tls', { peer, reason: reasonOf(error, code) });
  }
  return fault('link.cut', { peer, reason: code === 'EIO' ? 'no reason given' : code });
}

/** One line of the error's own text: TLS errors name the certificate's fault, never a secret. */
function reasonOf(error: unknown, code: string): string {
  if (code.includes('ALTNAME')) return `it is not for this host (${code})`;
  const text = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : '';
  const line = text.replace(/[^\x20-\x7e]/g, '?').slice(0, 160);
  return line === '' || line.includes(code) ? line || code : `${line} (${code})`;
}
