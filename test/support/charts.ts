/** Packed charts for tests: one ConfigMap and one Deployment, and whatever else a test puts in. */
import { gzipSync } from 'node:zlib';
import { sha256 } from '#state/digest.ts';
import { writeTar } from '#wire/tar.ts';

export interface ChartText {
  readonly name: string;
  readonly version?: string;
  /** of the ConfigMap, before any values */
  readonly says?: string;
  readonly files?: Readonly<Record<string, string>>;
}

const TEMPLATE = `apiVersion: v1
kind: ConfigMap
metadata: { name: "{{ .Release.Name }}-conf" }
data:
  says: {{ .Values.says | quote }}
  values: {{ .Values | toJson | quote }}
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: "{{ .Release.Name }}" }
spec:
  replicas: {{ .Values.replicas }}
  selector: { matchLabels: { app: "{{ .Release.Name }}" } }
  template:
    metadata: { labels: { app: "{{ .Release.Name }}" } }
    spec: { containers: [{ name: web, image: "registry.example/web:{{ .Values.says }}" }] }
`;

export function packChart({
  name,
  version = '1.0.0',
  says = 'none',
  files = {},
}: ChartText): Buffer {
  const all = {
    'Chart.yaml': `apiVersion: v2\nname: ${name}\nversion: ${version}\n`,
    'values.yaml': `says: ${says}\nreplicas: 1\n`,
    'templates/all.yaml': TEMPLATE,
    ...files,
  };
  const entries = Object.entries(all).map(([path, text]) => ({
    ...{ path: `${name}/${path}`, mode: 0o644, kind: 'file' as const },
    bytes: Buffer.from(text),
  }));
  return gzipSync(writeTar(entries));
}

const CONFIG = 'application/vnd.cncf.helm.config.v1+json';
const LAYER = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip';

/**
 * As `helm push` does.
 * @param repository  http://host:port/v2/NAME
 */
export async function pushChart(repository: string, tag: string, chart: Buffer): Promise<void> {
  const done = async (answer: Promise<Response>): Promise<Response> => {
    const got = await answer;
    if (!got.ok) throw new Error(`${got.status} from ${got.url}`);
    return got;
  };
  const upload = async (bytes: Uint8Array) => {
    const begun = await done(fetch(`${repository}/blobs/uploads/`, { method: 'POST' }));
    const place = new URL(begun.headers.get('location') ?? '', repository);
    place.searchParams.set('digest', sha256(bytes));
    await done(fetch(place, { method: 'PUT', body: bytes }));
    return { digest: sha256(bytes), size: bytes.length };
  };
  const config = await upload(Buffer.from(JSON.stringify({ name: 'web', version: tag })));
  const layer = await upload(chart);
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = {
    ...{ schemaVersion: 2, mediaType, config: { mediaType: CONFIG, ...config } },
    layers: [{ mediaType: LAYER, ...layer }],
  };
  const put = { method: 'PUT', headers: { 'content-type': mediaType } };
  await done(fetch(`${repository}/manifests/${tag}`, { ...put, body: JSON.stringify(manifest) }));
}
