/**
 * Credentials for one repository of one registry: none, basic, a token of a token service, or a
 * token of the owner's. What is asked of a token service is always exactly this repository and what
 * is to be done there, whatever scope the registry's challenge names (C15).
 *
 * Where the user name and password may go: to the registry, and to a token service that is on the
 * registry's own host (both on the loopback counts as one), or that the configuration names
 * (`tokenServices`). Any other token service is asked without them, over https alone. There is no
 * rule by parent domain: without a list of public suffixes it would be a guess.
 *
 * A 401 leads to one new token or header and one more request, never to a loop: registry.ts asks
 * `renew` once. Secret files are read again then, so that rotated secrets need no restart.
 * @see distribution-spec, "Token Authentication Specification" (distribution/distribution docs)
 */
import { type Fault, fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { LIMITS } from '#state/limits.ts';
import { isJsonObject, readStrictJson } from '#wire/strict-json.ts';
import { type Challenge, readChallenges } from './challenge.ts';
import { isLoopback, isNearAddress, type RegistryEndpoint, readUrl } from './endpoint.ts';
import { type HttpLink, readBody } from './http.ts';
import { readSecret } from './secret.ts';
import { statusFault } from './status-fault.ts';

/** What is to be done in the repository, as the token specification spells it. */
export type Actions = 'pull' | 'pull,push';

export interface RegistryAuth {
  /** Value of Authorization for the next request; null: none is known to be needed. */
  current(actions: Actions): Result<string | null>;
  /**
   * After a 401: another value to try once.
   * @returns `link.unauthorized` when there is nothing else to try
   */
  renew(refusal: Refusal401): Promise<Result<string>>;
}

export interface Refusal401 {
  readonly actions: Actions;
  /** WWW-Authenticate */
  readonly challenge: string | undefined;
  /** what was sent and refused */
  readonly sent: string | null;
  readonly signal?: AbortSignal | undefined;
}

interface Token {
  readonly header: string;
  /** monotonic ms */
  readonly until: number;
}

interface Service {
  readonly http: HttpLink;
  readonly endpoint: RegistryEndpoint;
}

/** s: a token that does not say how long it lives; the most that is believed */
const TOKEN_SECONDS = 60;
const TOKEN_SECONDS_MAX = 3_600;
/** s before its end that a token is no longer used */
const TOKEN_MARGIN_SECONDS = 10;
/** characters: what fits into one header of every server we know */
const TOKEN_LENGTH_MAX = 16 * 1024;

export function registryAuth(service: Service): RegistryAuth {
  const { endpoint } = service;
  const { platform } = service.http;
  const tokens = new Map<Actions, Token>();
  const underWay = new Map<Actions, Promise<Result<Token>>>();
  let basic: string | null = null;

  const fetchOnce = (actions: Actions, challenge: Challenge, signal?: AbortSignal) => {
    const running = underWay.get(actions);
    if (running !== undefined) return running;
    const token = fetchToken(service, actions, challenge, signal).finally(() =>
      underWay.delete(actions),
    );
    underWay.set(actions, token);
    return token;
  };

  return {
    current: (actions) => {
      if (endpoint.auth !== null && 'tokenFile' in endpoint.auth) {
        const token = readSecret(platform.files, endpoint.auth.tokenFile);
        return token.ok ? ok(`Bearer ${token.value}`) : token;
      }
      const token = tokens.get(actions);
      if (token !== undefined && token.until > platform.clock.monotonicMs()) {
        return ok(token.header);
      }
      return ok(basic);
    },
    renew: async ({ actions, challenge, sent, signal }) => {
      const challenges = readChallenges(challenge ?? '', endpoint.name);
      if (!challenges.ok) return challenges;
      const { auth } = endpoint;
      if (auth !== null && 'tokenFile' in auth) {
        const token = readSecret(platform.files, auth.tokenFile);
        if (!token.ok) return token;
        const next = `Bearer ${token.value}`;
        return next === sent
          ? unauthorized(endpoint, 'it refuses the token of tokenFile')
          : ok(next);
      }
      const bearer = challenges.value.find(({ scheme }) => scheme === 'bearer');
      if (bearer !== undefined) {
        tokens.delete(actions);
        const token = await fetchOnce(actions, bearer, signal);
        if (!token.ok) return token;
        tokens.set(actions, token.value);
        return ok(token.value.header);
      }
      if (!challenges.value.some(({ scheme }) => scheme === 'basic')) {
        return unauthorized(endpoint, 'it offers no way to authenticate that is known here');
      }
      const next = basicHeader(service);
      if (!next.ok) return next;
      if (next.value === null)
        return unauthorized(endpoint, 'no user name and password is configured');
      if (next.value === sent)
        return unauthorized(endpoint, 'it refuses the user name or password');
      basic = next.value;
      return ok(next.value);
    },
  };
}

function unauthorized(endpoint: RegistryEndpoint, reason: string): Result<never> {
  return refuse('link.unauthorized', { peer: endpoint.name, reason });
}

/** @see RFC 7617: UTF-8, no colon in the user name */
function basicHeader(service: Service): Result<string | null> {
  const { auth } = service.endpoint;
  if (auth === null || 'tokenFile' in auth) return ok(null);
  const inline = 'username' in auth;
  const { files } = service.http.platform;
  const username = inline ? ok(auth.username) : readSecret(files, auth.usernameFile);
  if (!username.ok) return username;
  const password = inline ? ok(auth.password) : readSecret(files, auth.passwordFile);
  if (!password.ok) return password;
  if (username.value.includes(':')) {
    return unauthorized(service.endpoint, 'the user name has a colon');
  }
  const pair = Buffer.from(`${username.value}:${password.value}`).toString('base64');
  return ok(`Basic ${pair}`);
}

async function fetchToken(
  service: Service,
  actions: Actions,
  challenge: Challenge,
  signal?: AbortSignal,
): Promise<Result<Token>> {
  const { endpoint, http } = service;
  const realm = judgeRealm(endpoint, challenge.parameters.get('realm') ?? '');
  if (!realm.ok) return realm;
  const { url, trusted } = realm.value;
  url.searchParams.set('scope', `repository:${endpoint.repository}:${actions}`);
  const named = challenge.parameters.get('service');
  if (named !== undefined) url.searchParams.set('service', named);
  const secrets = trusted ? basicHeader(service) : ok(null);
  if (!secrets.ok) return secrets;
  const { ca } = endpoint.access.tls ?? {};
  const anchors = ca === undefined ? null : { ca };
  const response = await http.send({
    method: 'GET',
    url: url.href,
    access: {
      ...endpoint.access,
      origin: url.origin,
      tls: trusted ? endpoint.access.tls : anchors,
    },
    ...(secrets.value === null ? {} : { authorization: secrets.value }),
    redirects: 'same-origin',
    cap: LIMITS.tokenBytes,
    what: `the token of ${url.host}`,
    signal,
  });
  if (!response.ok) return response;
  if (response.value.status !== 200) {
    const why = await statusFault(http.platform.clock, response.value);
    return { ok: false, fault: trusted ? why : withoutSecrets(endpoint, url, why) };
  }
  const body = await readBody(response.value);
  return body.ok ? readToken(http.platform, url, body.value) : body;
}

function withoutSecrets(endpoint: RegistryEndpoint, url: URL, why: Fault): Fault {
  if (
    endpoint.auth === null ||
    (why.code !== 'link.unauthorized' && why.code !== 'link.forbidden')
  ) {
    return why;
  }
  const reason = `${url.origin} is not among tokenServices, so it was asked without them`;
  return fault('link.unauthorized', { peer: endpoint.name, reason });
}

/** C15: a realm is an address that the registry chose. */
function judgeRealm(
  endpoint: RegistryEndpoint,
  text: string,
): Result<{ url: URL; trusted: boolean }> {
  const { access, tokenServices } = endpoint;
  const home = new URL(access.origin);
  const realm = readUrl(text, access.insecure);
  if (!realm.ok) return realm;
  const url = realm.value;
  const refuseFor = (reason: string): Result<{ url: URL; trusted: boolean }> =>
    refuse('link.redirect-refused', { from: access.origin, to: url.origin, reason });
  if (tokenServices.includes(url.origin)) return ok({ url, trusted: true });
  if (url.protocol === 'http:' && home.protocol === 'https:') return refuseFor('down to http');
  const bothHere = isLoopback(url.hostname) && isLoopback(home.hostname);
  if (bothHere || url.hostname === home.hostname) return ok({ url, trusted: true });
  if (isNearAddress(url.hostname) && !isNearAddress(home.hostname)) {
    return refuseFor('the token service has an address inside this network');
  }
  if (url.protocol === 'http:') return refuseFor('a token service on another host without https');
  return ok({ url, trusted: false });
}

function readToken(platform: Pick<Platform, 'clock'>, url: URL, body: Uint8Array): Result<Token> {
  const bad = (reason: string): Result<Token> =>
    refuse('link.bad-response', { peer: url.host, reason });
  const json = readStrictJson(body, `the token of ${url.host}`);
  if (!json.ok || !isJsonObject(json.value)) return bad('its token is not strict JSON');
  const token = json.value.token ?? json.value.access_token;
  const fits = typeof token === 'string' && token.length <= TOKEN_LENGTH_MAX;
  if (!fits || !/^[A-Za-z0-9._~+/-]+=*$/.test(token)) return bad('it gave no token');
  const claimed = json.value.expires_in;
  const lives = typeof claimed === 'number' && claimed > 0 ? claimed : TOKEN_SECONDS;
  const seconds = Math.min(lives, TOKEN_SECONDS_MAX) - TOKEN_MARGIN_SECONDS;
  const until = platform.clock.monotonicMs() + Math.max(0, seconds) * 1000;
  return ok({ header: `Bearer ${token}`, until });
}
