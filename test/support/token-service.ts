/** A token service of the distribution project's kind: ES256 tokens for whoever may have them. */
import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';

export interface TokenService {
  readonly realm: string;
  /** query and Authorization of each request */
  readonly asked: { readonly scope: string; readonly authorization: string | null }[];
  stop(): void;
}

export interface TokenServiceOptions {
  /** PEM texts: the registry trusts this certificate */
  readonly cert: string;
  readonly key: string;
  /** the Authorization that gets push; everyone gets pull */
  readonly pusher: string;
  readonly seconds?: number;
}

export function startTokenService(options: TokenServiceOptions): TokenService {
  const asked: TokenService['asked'] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const query = new URL(request.url).searchParams;
      const scope = query.get('scope') ?? '';
      const authorization = request.headers.get('authorization');
      asked.push({ scope, authorization });
      const [type, name, actions = ''] = scope.split(':');
      const granted = actions
        .split(',')
        .filter((action) => action === 'pull' || authorization === options.pusher);
      const access = [{ type, name, actions: granted }];
      const seconds = options.seconds ?? 300;
      const token = tokenOf(options, access, query.get('service') ?? '', seconds);
      return Response.json({ token, expires_in: seconds });
    },
  });
  return {
    realm: `http://127.0.0.1:${server.port}/token`,
    asked,
    stop: () => void server.stop(true),
  };
}

/** @see RFC 7515: x5c names the certificate, the signature is r and s side by side */
function tokenOf(
  { cert, key }: TokenServiceOptions,
  access: unknown,
  service: string,
  seconds: number,
): string {
  const now = Math.floor(Date.now() / 1000);
  const x5c = [new X509Certificate(cert).raw.toString('base64')];
  const claims = {
    iss: 'holdfast-tests',
    sub: '',
    aud: service,
    exp: now + seconds,
    nbf: now - 10,
    iat: now,
    jti: randomUUID(),
    access,
  };
  const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${encode({ typ: 'JWT', alg: 'ES256', x5c })}.${encode(claims)}`;
  const dsaEncoding = 'ieee-p1363' as const;
  const signature = sign('sha256', Buffer.from(signed), {
    key: createPrivateKey(key),
    dsaEncoding,
  });
  return `${signed}.${signature.toString('base64url')}`;
}
