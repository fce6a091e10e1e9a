/**
 * A little Margo manager that shares no code with the hub: TLS with a required client certificate, and
 * whatever a test puts behind a path. It writes down every request.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { writeTar } from '#wire/tar.ts';
import type { CertificateFiles } from './certificates.ts';
import { type MargoTraffic, margoTraffic } from './margo-traffic.ts';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface LittleManager {
  readonly url: string;
  readonly seen: Seen[];
  /** what agents sent, and what was answered where no test wanted it wrong */
  readonly traffic: MargoTraffic;
  /** answers of exact paths, before everything else; null: as without */
  readonly faults: Map<string, Answer>;
  /** the manifest's exact bytes */
  serve(manifest: string, etag?: string | null): void;
  /** content of bundles and documents, by digest */
  keep(bytes: Uint8Array | string): string;
  /** a manifest of these documents, with their bundle, all kept */
  deploy(version: bigint | number, documents: Readonly<Record<string, string>>): string;
  statuses(id: string): readonly { readonly state: string; readonly version: number }[];
  /** every connection, so that the next request makes one */
  drop(): void;
  close(): Promise<void>;
}

const NOT_FOUND: Answer = {
  status: 404,
  headers: { 'content-type': 'application/problem+json' },
  body: '{"type":"about:blank","title":"Not Found","status":404}',
};

export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export async function littleManager(
  identity: CertificateFiles,
  ca: CertificateFiles,
): Promise<LittleManager> {
  const seen: Seen[] = [];
  const faults = new Map<string, Answer>();
  const content = new Map<string, Uint8Array>();
  const traffic = margoTraffic();
  let manifest = { text: '{"manifestVersion":1,"bundle":null,"deployments":[]}', etag: '' };
  let sound = true;
  const answer = (method: string, path: string, match: string | undefined): Answer => {
    const fault = faults.get(path);
    if (fault) return fault;
    if (method === 'PUT') return { status: 201 };
    if (method === 'POST') return { status: 200 };
    if (path === '/api/v1/deployments') {
      if (manifest.etag !== '' && match === manifest.etag) return { status: 304 };
      const type = { 'content-type': 'application/vnd.margo.manifest.v1+json' };
      const etag = manifest.etag === '' ? {} : { etag: manifest.etag };
      return { status: 200, headers: { ...type, ...etag }, body: manifest.text };
    }
    const bytes = content.get(path.slice(path.lastIndexOf('/') + 1));
    if (!bytes) return NOT_FOUND;
    const type = path.includes('/bundles/') ? 'vnd.margo.bundle.v1+tar+gzip' : 'yaml';
    return { status: 200, headers: { 'content-type': `application/${type}` }, body: bytes };
  };
  const pem = (file: string): string => readFileSync(file, 'utf8');
  const server: Server = createServer(
    {
      ...{ cert: pem(identity.cert), key: pem(identity.key), ca: pem(ca.cert) },
      ...{ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
    },
    (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const asked = { method, headers, body: Buffer.concat(chunks).toString() };
        seen.push({ ...asked, path: url });
        traffic.request({ ...asked, target: url });
        const { status, headers: more = {}, body } = answer(method, url, headers['if-none-match']);
        if (!faults.has(url) && (sound || !url.endsWith('/deployments'))) {
          const text = typeof body === 'string' ? body : Buffer.from(body ?? []).toString();
          traffic.answer({ ...asked, target: url }, { status, headers: more, body: text });
        }
        response.writeHead(status, more);
        response.end(body);
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const keep = (bytes: Uint8Array | string): string => {
    const digest = digestOf(bytes);
    content.set(digest, typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
    return digest;
  };
  const serve = (text: string, etag: string | null = `"${digestOf(text)}"`): void => {
    manifest = { text, etag: etag ?? '' };
    sound = false;
  };
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ seen, traffic, faults, keep, serve },
    deploy(version, documents) {
      const entries = Object.entries(documents);
      for (const [, text] of entries) keep(text);
      const archive = gzipSync(
        writeTar(
          entries.map(([id, text]) => ({
            ...{ path: `${id}.yaml`, mode: 0o644, kind: 'file' as const },
            bytes: Buffer.from(text),
          })),
        ),
      );
      const bundle = keep(archive);
      const text = `{"manifestVersion":${version},"bundle":${
        entries.length === 0
          ? 'null'
          : JSON.stringify({
              mediaType: 'application/vnd.margo.bundle.v1+tar+gzip',
              ...{ digest: bundle, sizeBytes: archive.length, url: `/api/v1/bundles/${bundle}` },
            })
      },"deployments":${JSON.stringify(
        entries.map(([id, document]) => ({
          deploymentId: id,
          digest: digestOf(document),
          url: `/api/v1/deployments/${id}/${digestOf(document)}`,
        })),
      )}}`;
      serve(text);
      sound = true;
      return text;
    },
    statuses: (id) =>
      seen
        .filter(({ method, path }) => method === 'POST' && path.includes(`/${id}/status`))
        .map(({ body }) => {
          const { status, adoptedManifestVersion: version } = JSON.parse(body);
          return { state: status.state as string, version: version as number };
        }),
    drop: () => server.closeAllConnections(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
