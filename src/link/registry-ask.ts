/**
 * A request to one repository, with the credentials that it turns out to want: at most one more
 * request after a 401, never a loop (C15).
 */
import { type Refused, type Result, refused } from '#errors/fault.ts';
import type { RegistryEndpoint } from './endpoint.ts';
import { discardBody, type HttpLink, type LinkRequest, type LinkResponse } from './http.ts';
import type { Actions, RegistryAuth } from './registry-auth.ts';
import { statusFault } from './status-fault.ts';

export interface Ask {
  readonly name: string;
  readonly origin: string;
  /** path of the repository: "/v2/plant/state/" */
  readonly base: string;
  send(request: AskRequest): Promise<Result<LinkResponse>>;
  /** What an unexpected status means; drains the body. */
  refuseStatus(response: LinkResponse): Promise<Refused>;
}

export type AskRequest = Omit<LinkRequest, 'url' | 'access' | 'authorization'> & {
  /** below `base`, or a whole URL of the same origin */
  readonly path: string;
  readonly actions: Actions;
};

interface Parts {
  readonly http: HttpLink;
  readonly endpoint: RegistryEndpoint;
  readonly auth: RegistryAuth;
}

export function registryAsk({ http, endpoint, auth }: Parts): Ask {
  const { access } = endpoint;
  const base = `/v2/${endpoint.repository}/`;

  const send = async (request: AskRequest): Promise<Result<LinkResponse>> => {
    const { path, actions, ...rest } = request;
    const url = new URL(path, `${access.origin}${base}`).href;
    const sendWith = (authorization: string | null): Promise<Result<LinkResponse>> => {
      const secrets = authorization === null ? {} : { authorization };
      return http.send({ ...rest, ...secrets, url, access });
    };
    const current = auth.current(actions);
    if (!current.ok) return current;
    const first = await sendWith(current.value);
    // A 401 from where a redirect led is not the registry asking for its credentials.
    const asksHere = first.ok && first.value.url.origin === access.origin;
    if (!first.ok || first.value.status !== 401 || !asksHere) return first;
    await discardBody(first.value);
    const challenge = first.value.headers['www-authenticate'];
    const renewed = await auth.renew({
      actions,
      challenge,
      sent: current.value,
      signal: rest.signal,
    });
    return renewed.ok ? sendWith(renewed.value) : renewed;
  };

  return {
    name: endpoint.name,
    origin: access.origin,
    base,
    send,
    refuseStatus: async (response) => refused(await statusFault(http.platform.clock, response)),
  };
}

/** An address that the registry named, on its own origin; null for every other (N01, C09). */
export function ownAddress(ask: Ask, address: string | undefined, from: URL): URL | null {
  if (address === undefined || !URL.canParse(address, from.href)) return null;
  const to = new URL(address, from.href);
  to.hash = '';
  return to.origin === ask.origin && to.username === '' && to.password === '' ? to : null;
}
