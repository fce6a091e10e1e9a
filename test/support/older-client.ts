/**
 * A client of the older dialects of Margo that shares no code with the agent: RFC 9421 by hand over
 * node:crypto. What it signs, and when, a test may bend.
 */
import { createHash, createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { CertificateFiles } from './certificates.ts';

export interface OlderClient {
  /** sha256:HEX of its certificate */
  readonly fingerprint: string;
  /** base64 of PEM, or of DER */
  certificate(form?: 'pem' | 'der'): string;
  ask(path: string, how?: OlderAsked): Promise<Response>;
  /** its id */
  onboard(): Promise<string>;
}

export interface OlderAsked {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** seconds after now */
  readonly created?: number;
  readonly covered?: readonly string[];
  /** what is signed in place of what is sent */
  readonly as?: { readonly method?: string; readonly url?: string; readonly body?: string };
  /** whose key signs; null: none */
  readonly key?: KeyObject | null;
  readonly keyid?: string;
  readonly der?: boolean;
}

export function olderClient(url: string, of: CertificateFiles, ca: string): OlderClient {
  const pem = readFileSync(of.cert, 'utf8');
  const parsed = new X509Certificate(pem);
  const own = createPrivateKey(readFileSync(of.key, 'utf8'));
  const spki = parsed.publicKey.export({ type: 'spki', format: 'der' });
  const ownId = createHash('sha256').update(spki).digest('hex');
  const client: OlderClient = {
    fingerprint: `sha256:${createHash('sha256').update(parsed.raw).digest('hex')}`,
    certificate: (form = 'pem') =>
      (form === 'pem' ? Buffer.from(pem) : Buffer.from(parsed.raw)).toString('base64'),
    ask(path, how = {}) {
      const { method = how.body === undefined ? 'GET' : 'POST', body, key = own } = how;
      const headers: Record<string, string> = {};
      if (body !== undefined) headers['content-type'] = 'application/json';
      if (key) Object.assign(headers, signed(`${url}${path}`, { ...how, method }, key, ownId));
      const tls = { ca };
      const init = { method, headers: { ...headers, ...how.headers }, tls, redirect: 'manual' };
      return fetch(`${url}${path}`, {
        ...init,
        ...(body !== undefined && { body }),
      } as RequestInit);
    },
    async onboard() {
      const body = onboarding(client.certificate());
      const answer = await client.ask('/api/v1/onboarding', { body });
      if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
      return ((await answer.json()) as { clientId: string }).clientId;
    },
  };
  return client;
}

export function onboarding(certificate: string): string {
  const apiVersion = 'onboarding.margo.org/v1alpha1';
  return JSON.stringify({ apiVersion, kind: 'OnboardingRequest', certificate });
}

export function digestField(body: string): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

function signed(
  url: string,
  { body, created = 0, as = {}, covered, method = 'GET', keyid, der }: OlderAsked,
  key: KeyObject,
  ownId: string,
): Record<string, string> {
  const text = as.body ?? body;
  const digest = text === undefined ? undefined : digestField(text);
  const values: Record<string, string | undefined> = {
    ...{ '@method': as.method ?? method, '@target-uri': as.url ?? url },
    ...{ '@authority': new URL(url).host, 'content-digest': digest },
  };
  const names = covered ?? Object.keys(values).filter((name) => values[name] !== undefined);
  const at = Math.floor(Date.now() / 1_000) + created;
  const params = `(${names.map((name) => `"${name}"`).join(' ')});created=${at};keyid="${keyid ?? ownId}";alg="ecdsa-p256-sha256"`;
  const lines = names.map((name) => `"${name}": ${values[name]}`);
  const base = Buffer.from([...lines, `"@signature-params": ${params}`].join('\n'));
  const dsaEncoding = der ? 'der' : 'ieee-p1363';
  const value = sign('sha256', base, { key, dsaEncoding }).toString('base64');
  return {
    ...(digest !== undefined && { 'content-digest': digest }),
    ...{ 'signature-input': `sig1=${params}`, signature: `sig1=:${value}:` },
  };
}
