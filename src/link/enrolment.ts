/**
 * What a device says to a hub about its credential: a nonce, a signed request, and the proof that a
 * credential opens the hub. The hub's own words are told on only with codes that both know.
 */
import { type Code, FAULTS, type Fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { EnrolmentAnswer } from '#state/enrolment.ts';
import { ANSWER_BYTES, NONCE_BYTES, readEnrolmentAnswer } from '#wire/enrolment.ts';
import { isJsonObject, type JsonObject, readStrictJson } from '#wire/strict-json.ts';
import { readUrl, type TlsFiles } from './endpoint.ts';
import { type HttpLink, type LinkRequest, type LinkResponse, readBody } from './http.ts';
import { printable } from './printable.ts';
import { readSecret } from './secret.ts';
import { statusFault } from './status-fault.ts';

/** Paths: read at each use. */
export interface ShownCredential {
  readonly tls: TlsFiles;
  readonly account: { readonly usernameFile: string; readonly passwordFile: string } | null;
}

export interface HubLink {
  nonce(): Promise<Result<Uint8Array>>;
  /** @param shown  the credential in use, if there is one */
  ask(request: Uint8Array, shown: ShownCredential): Promise<Result<EnrolmentAnswer>>;
  /** @returns `link.unauthorized` when this credential does not open the hub */
  prove(shown: ShownCredential): Promise<Result<Proof>>;
}

export interface Proof {
  readonly device: string;
  /** hex SHA-256 of what was shown */
  readonly fingerprint: string;
  /** the hub wants it renewed: by its clock two thirds of its life are over */
  readonly renew: boolean;
}

const PROOF_BYTES = 4 * 1024;

export interface HubAddress {
  /** https://host:port */
  readonly url: string;
  readonly proxy: string | null;
  /** path of the authorities that count */
  readonly ca: string;
}

export function hubLink(http: HttpLink, { url, proxy, ca }: HubAddress): HubLink {
  const send = async (
    path: string,
    shown: ShownCredential,
    more: Pick<LinkRequest, 'method' | 'cap' | 'what'> & { readonly body?: Uint8Array },
  ): Promise<Result<LinkResponse>> => {
    const base = readUrl(url, false);
    if (!base.ok) return base;
    const authorization = authorizationOf(http, shown);
    if (!authorization.ok) return authorization;
    const access = { origin: base.value.origin, insecure: false, tls: shown.tls, proxy };
    const response = await http.send({
      ...more,
      url: `${base.value.origin}${path}`,
      access,
      redirects: 'refuse',
      ...(authorization.value === null ? {} : { authorization: authorization.value }),
    });
    if (!response.ok || response.value.status === 200) return response;
    return refused(await faultOf(http, response.value));
  };
  return {
    async nonce() {
      const shown: ShownCredential = { tls: { ca }, account: null };
      return nonceOf(await send('/v1/enrolment', shown, { ...GET, what: 'the nonce' }));
    },
    async ask(request, shown) {
      const more = {
        method: 'POST',
        cap: ANSWER_BYTES,
        what: 'the answer',
        body: request,
      } as const;
      const response = await send('/v1/enrolment', shown, more);
      if (!response.ok) return response;
      const body = await readBody(response.value);
      if (!body.ok) return body;
      const answer = readEnrolmentAnswer(body.value);
      return answer.ok ? answer : refuse('enroll.answer', { reason: answer.fault.message });
    },
    async prove(shown) {
      const response = await send('/v1/credential', shown, { ...GET, what: 'the proof' });
      if (!response.ok) return response;
      const body = await readBody(response.value);
      return body.ok ? proofOf(body.value) : body;
    },
  };
}

const GET = { method: 'GET', cap: PROOF_BYTES } as const;

async function nonceOf(response: Result<LinkResponse>): Promise<Result<Uint8Array>> {
  if (!response.ok) return response;
  const body = await readBody(response.value);
  if (!body.ok || body.value.length === NONCE_BYTES) return body;
  return refuse('enroll.answer', { reason: `a nonce of ${body.value.length} bytes` });
}

function authorizationOf(http: HttpLink, { account }: ShownCredential): Result<string | null> {
  if (account === null) return ok(null);
  const { files } = http.platform;
  const user = readSecret(files, account.usernameFile);
  if (!user.ok) return user;
  const secret = readSecret(files, account.passwordFile);
  if (!secret.ok) return secret;
  return ok(`Basic ${Buffer.from(`${user.value}:${secret.value}`).toString('base64')}`);
}

/** `{"code","message"}` of an enrolment, where the code is one of ours; else what the status says. */
async function faultOf({ platform }: HttpLink, response: LinkResponse): Promise<Fault> {
  const body = await readBody(response);
  const json = body.ok ? readStrictJson(body.value, 'the answer') : body;
  const told = json.ok && isJsonObject(json.value) ? json.value : null;
  const known = told && knownFault(told);
  return known ?? statusFault(platform.clock, { ...response, body: again(body) });
}

/** For a second reader. */
async function* again(body: Result<Uint8Array>): AsyncGenerator<Result<Uint8Array>> {
  yield body;
}

function knownFault({ code, message }: JsonObject): Fault | null {
  if (typeof code !== 'string' || typeof message !== 'string') return null;
  const name = (Object.keys(FAULTS) as Code[]).find((known) => known === code);
  if (name === undefined || !/^(?:enroll\.|hub\.enrolment)/.test(name)) return null;
  const { remedy, retry } = FAULTS[name];
  return { code: name, message: printable(message), remedy, retry };
}

function proofOf(body: Uint8Array): Result<Proof> {
  const json = readStrictJson(body, 'the proof');
  const from = json.ok && isJsonObject(json.value) ? json.value : null;
  const { device, fingerprint, renew } = from ?? {};
  if (typeof device === 'string' && typeof fingerprint === 'string') {
    return ok({ device, fingerprint, renew: renew === true });
  }
  return refuse('enroll.answer', { reason: 'it does not say whose credential this is' });
}
