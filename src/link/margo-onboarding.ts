/**
 * Onboarding with a manager of the older dialects (MARGO.md section 10): the root CA that it tells is for
 * people alone (what counts is the one that the owner configured), and the certificate is handed in
 * for an id. The request is signed like every other one.
 */
import { fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { readClientId, readRootCa, writeOnboarding } from '#wire/margo-onboarding.ts';
import { readProblem } from '#wire/margo-problem.ts';
import type { Access } from './endpoint.ts';
import { type HttpLink, type LinkRequest, type LinkResponse, readBody } from './http.ts';
import type { SignedHttp } from './http-signature.ts';
import { margoApiUrl } from './margo.ts';
import { printable } from './printable.ts';
import { readHttpDate, readRetryAfter } from './retry-after.ts';

export interface MargoOnboarding {
  /** DER of what the manager calls its root CA; null: it tells none */
  rootCa(): Promise<Uint8Array | null>;
  /**
   * @param certificate  PEM, and how people name it
   * @returns the id; `margo.client-refused` (403), `margo.onboarding` (400 and what is no answer)
   */
  onboard(certificate: {
    readonly pem: string;
    readonly fingerprint: string;
  }): Promise<Result<string>>;
}

export function margoOnboarding(
  http: SignedHttp,
  { url, access }: { readonly url: string; readonly access: Omit<Access, 'origin'> },
): Result<MargoOnboarding> {
  const api = margoApiUrl(url, access.insecure);
  if (!api.ok) return api;
  const { origin, href } = api.value;
  const to: Access = { ...access, origin };
  const cap = LIMITS.errorBodyBytes;
  return ok({
    async rootCa() {
      const at = `${href}onboarding/certificate`;
      const what = 'the root CA of the Margo manager';
      const response = await http.plain({
        ...{ method: 'GET', url: at, access: to, redirects: 'refuse', cap, what },
      });
      if (!response.ok) return null;
      const body = await readBody(response.value);
      return body.ok && response.value.status === 200 ? readRootCa(body.value) : null;
    },
    async onboard({ pem, fingerprint }) {
      const request: LinkRequest = {
        ...{ method: 'POST', url: `${href}onboarding`, access: to, redirects: 'refuse', cap },
        what: 'the onboarding',
        body: writeOnboarding(pem),
        headers: { 'content-type': 'application/json', accept: 'application/json' },
      };
      const response = await http.send(request);
      return response.ok ? idOf(http, response.value, fingerprint) : response;
    },
  });
}

/** Where the time of the server is asked for, before anything is signed. */
export function dateUrlOf(url: string): string {
  return `${url.replace(/\/+$/, '')}/api/v1/onboarding/certificate`;
}

async function idOf(
  http: HttpLink,
  response: LinkResponse,
  certificate: string,
): Promise<Result<string>> {
  const { status, headers } = response;
  const body = await readBody(response);
  if (!body.ok) return body;
  if (status >= 200 && status < 300) {
    const id = readClientId(body.value);
    const reason = 'it holds no clientId that could stand in a path';
    return id === null ? refuse('margo.onboarding', { status, reason }) : ok(id);
  }
  const said = readProblem(body.value).title;
  const title = printable(said === '' ? 'no reason given' : said);
  if (status === 403) return refuse('margo.client-refused', { certificate, title });
  const passes = status === 408 || status === 429 || status >= 500;
  if (!passes) return refuse('margo.onboarding', { status, reason: title });
  const now = readHttpDate(headers.date) ?? http.platform.clock.wallMs();
  const asked = readRetryAfter(headers['retry-after'], now);
  const what = 'the onboarding';
  return refused(
    fault('margo.answer', { what, status, title }, asked === null ? {} : { retryAfterMs: asked }),
  );
}
