/**
 * A little manager of the older dialects that shares no code with agent or hub: server TLS, onboarding of
 * whom a test lets in, and RFC 9421 checked by hand over node:crypto. Its clock is a test's to set.
 */
import { createHash, verify, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { CertificateFiles } from './certificates.ts';
import { type Answer, digestOf } from './margo-server.ts';
import { type MargoTraffic, margoTraffic } from './margo-traffic.ts';

export interface OlderSeen {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** why this is not what the client sent; null: it is */
  readonly unsigned: string | null;
  /** what it was answered */
  readonly status: number;
  /** ms, monotonic */
  readonly at: number;
}

type Asked = Omit<OlderSeen, 'unsigned' | 'status' | 'at'>;

export interface OlderManager {
  readonly url: string;
  readonly seen: OlderSeen[];
  readonly traffic: MargoTraffic;
  /** answers by what a path ends in, before everything else */
  readonly faults: Map<string, Answer>;
  /** a certificate may onboard; default: nobody */
  letIn: boolean;
  /** ms that its clock is ahead of the machine's */
  aheadMs: number;
  /** clients it has onboarded; emptied: it has forgotten them */
  readonly clients: Map<string, X509Certificate>;
  /** a manifest's exact bytes */
  serve(text: (client: string) => string): void;
  /** a manifest of these documents, one by one */
  deploy(version: number, documents: Readonly<Record<string, string>>): void;
  states(id: string): readonly string[];
  close(): Promise<void>;
}

const API = '/api/v1/';

export async function olderManager(identity: CertificateFiles): Promise<OlderManager> {
  const seen: OlderSeen[] = [];
  const traffic = margoTraffic();
  const content = new Map<string, string>();
  let manifest: (client: string) => string = () =>
    '{"manifestVersion":1,"bundle":null,"deployments":[]}';
  const pem = (file: string): string => readFileSync(file, 'utf8');
  const answer = (asked: Asked): readonly [Answer, string | null] => {
    const { method, path, body } = asked;
    const fault = [...manager.faults].find(([end]) => path.endsWith(end))?.[1];
    if (path === `${API}onboarding/certificate`) {
      const certificate = Buffer.from(pem(identity.cert)).toString('base64');
      return [fault ?? json(200, { certificate }), null];
    }
    const [, client = ''] = /\/clients\/([^/]+)\//.exec(path) ?? [];
    const onboards = path === `${API}onboarding`;
    const certificate = onboards ? certificateIn(body) : manager.clients.get(client);
    if (!certificate) return [json(404, { error: 'unknown client' }), null];
    const unsigned = unsignedBecause(asked, certificate, Date.now() + manager.aheadMs);
    if (unsigned !== null) return [json(401, { error: unsigned }), unsigned];
    if (fault) return [fault, null];
    if (onboards) {
      if (!manager.letIn) return [json(403, { error: 'Client rejected' }), null];
      const clientId = `c-${digestOf(certificate.raw).slice(7, 19)}`;
      manager.clients.set(clientId, certificate);
      return [json(201, { clientId }), null];
    }
    if (method !== 'GET') return [{ status: path.includes('/capabilities') ? 201 : 200 }, null];
    if (path.endsWith('/deployments')) {
      const text = manifest(client);
      const etag = `"${digestOf(text)}"`;
      if (asked.headers['if-none-match'] === etag) return [{ status: 304 }, null];
      const type = 'application/vnd.margo.manifest.v1+json';
      return [
        {
          status: 200,
          headers: { 'content-type': type, etag, 'cache-control': 'private' },
          body: text,
        },
        null,
      ];
    }
    const document = content.get(path.slice(path.lastIndexOf('/') + 1));
    const headers = { 'content-type': 'application/yaml' };
    return [
      document ? { status: 200, headers, body: document } : json(404, { error: 'none' }),
      null,
    ];
  };
  const server = createServer(
    { cert: pem(identity.cert), key: pem(identity.key) },
    (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const asked = { method, path: url, headers, body: Buffer.concat(chunks).toString() };
        const [{ status, headers: more = {}, body }, unsigned] = answer(asked);
        seen.push({ ...asked, unsigned, status, at: performance.now() });
        traffic.request({ ...asked, target: url });
        const date = new Date(Date.now() + manager.aheadMs).toUTCString();
        response.writeHead(status, { date, ...more });
        response.end(body);
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const manager: OlderManager = {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ seen, traffic, faults: new Map(), letIn: false, aheadMs: 0, clients: new Map() },
    serve(text) {
      manifest = text;
    },
    deploy(version, documents) {
      for (const text of Object.values(documents)) content.set(digestOf(text), text);
      manifest = (client) =>
        JSON.stringify({
          ...{ manifestVersion: version, bundle: null },
          deployments: Object.entries(documents).map(([deploymentId, text]) => ({
            ...{ deploymentId, digest: digestOf(text) },
            url: `${API}clients/${client}/deployments/${deploymentId}/${digestOf(text)}`,
          })),
        });
    },
    states: (id) =>
      seen
        .filter(({ path, unsigned }) => path.endsWith(`/${id}/status`) && unsigned === null)
        .map(({ body }) => JSON.parse(body).status.state as string),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return manager;
}

function json(status: number, value: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

function certificateIn(body: string): X509Certificate | undefined {
  const { certificate } = JSON.parse(body) as { certificate: string };
  return new X509Certificate(Buffer.from(certificate, 'base64'));
}

/** MARGO.md section 10, with nothing left out: null when the request is proven. */
function unsignedBecause(
  { method, path, body, headers }: Asked,
  certificate: X509Certificate,
  nowMs: number,
): string | null {
  const of = (name: string): string => `${headers[name] ?? ''}`;
  const [, params = '', list = '', created = ''] =
    /^sig1=(\(([^)]*)\);created=(\d+);keyid="[0-9a-f]{64}";alg="ecdsa-p256-sha256")$/.exec(
      of('signature-input'),
    ) ?? [];
  const names = [...list.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name);
  const wanted = [
    '@method',
    '@target-uri',
    '@authority',
    ...(body === '' ? [] : ['content-digest']),
  ];
  if (names.join() !== wanted.join()) return `covers ${names}`;
  const ago = Math.floor(nowMs / 1_000) - Number(created);
  if (ago < 0 || ago > 300) return `created ${ago} s ago`;
  const digest = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
  if (body !== '' && of('content-digest') !== digest) return 'content-digest';
  const values: Record<string, string> = {
    ...{
      '@method': method,
      '@target-uri': `https://${of('host')}${path}`,
      '@authority': of('host'),
    },
    'content-digest': of('content-digest'),
  };
  const lines = names.map((name) => `"${name}": ${values[name]}`);
  const base = Buffer.from([...lines, `"@signature-params": ${params}`].join('\n'));
  const signature = Buffer.from(/^sig1=:(.*):$/.exec(of('signature'))?.[1] ?? '', 'base64');
  const key = { key: certificate.publicKey, dsaEncoding: 'ieee-p1363' } as const;
  return signature.length === 64 && verify('sha256', base, key, signature) ? null : 'signature';
}
