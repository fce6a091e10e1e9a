/** Packed charts for tests: one ConfigMap and one Deployment, and whatever else a test puts in. */
import { gzipSync } from 'node:zlib';
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
