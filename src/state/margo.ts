/** What a Margo manager and its devices tell each other, decoded (1.0.0-rc.3 and the older dialects). */
import type { BlobRef } from './desired-state.ts';
import type { Digest } from './digest.ts';

/** The newest first. */
export const MARGO_DIALECTS = ['rc3', 'rc2', 'pr1'] as const;
export type MargoDialect = (typeof MARGO_DIALECTS)[number];

export const MARGO_MEDIA = {
  manifest: 'application/vnd.margo.manifest.v1+json',
  bundle: 'application/vnd.margo.bundle.v1+tar+gzip',
  document: 'application/yaml',
  problem: 'application/problem+json',
} as const;

export interface MargoManifest {
  /** 1 … 2^64 - 1, one line for each client */
  readonly version: bigint;
  /** null: nothing is deployed, or (against the text) the documents are fetched one by one */
  readonly bundle: Digest | null;
  readonly deployments: readonly MargoRef[];
  /** `x-holdfast-extensions.blobs`: what documents of our own profiles name; other managers send none */
  readonly blobs: readonly BlobRef[];
  /** what a strict sender would not send */
  readonly warnings: readonly string[];
}

export interface MargoRef {
  readonly id: string;
  /** of the document's bytes */
  readonly digest: Digest;
  /** `sizeBytes`, a hint: 0 where there is none */
  readonly sizeHint: number;
}

/** By severity, the most severe first (MARGO.md section 7). */
export const MARGO_STATES = [
  'failed',
  'removing',
  'installing',
  'pending',
  'removed',
  'installed',
] as const;
export type MargoState = (typeof MARGO_STATES)[number];

export interface MargoError {
  readonly code: string;
  readonly source: string;
  readonly message: string;
}

export interface MargoComponentStatus {
  readonly name: string;
  readonly state: MargoState;
  readonly error: MargoError | null;
}

export interface MargoStatus {
  readonly deploymentId: string;
  /** of a gateway's child, else null */
  readonly deviceId: string | null;
  /** null: the dialect has none (rc2, pr1) */
  readonly adoptedVersion: bigint | null;
  readonly state: MargoState;
  readonly error: MargoError | null;
  readonly components: readonly MargoComponentStatus[];
}

/** The most severe of them; none: installed. */
export function severest(states: readonly MargoState[]): MargoState {
  return MARGO_STATES.find((state) => states.includes(state)) ?? 'installed';
}

/** What a device offers: plain JSON, checked by wire/margo-capabilities.ts. */
export interface MargoCapabilities {
  readonly properties: MargoProperties;
  readonly labels?: Readonly<Record<string, MargoLabel>> | undefined;
}

export type MargoLabel = string | number | boolean | readonly string[] | readonly number[];

export interface MargoProperties {
  readonly id: string;
  readonly vendor: string;
  readonly modelNumber: string;
  readonly serialNumber: string;
  readonly cpus?:
    | readonly { readonly cores: number; readonly architecture?: string | undefined }[]
    | undefined;
  readonly memory?: string | undefined;
  readonly storage?: string | undefined;
  readonly peripherals?: readonly Readonly<Record<string, unknown>>[] | undefined;
  readonly interfaces?: readonly Readonly<Record<string, unknown>>[] | undefined;
  readonly otelCollector?: boolean | undefined;
  readonly supportedRuntimes?: readonly string[] | undefined;
  readonly supportedDeploymentTypes?: readonly string[] | undefined;
}

/** Both selectors must hold; every expression of a selector must (MARGO.md section 5). */
export interface MargoRule {
  readonly properties: readonly MargoExpression[];
  readonly labels: readonly MargoExpression[];
}

export interface MargoExpression {
  /** of properties: an RFC 6901 pointer; of labels: the exact key */
  readonly key: string;
  readonly operator:
    | 'In'
    | 'NotIn'
    | 'Exists'
    | 'DoesNotExist'
    | 'Gt'
    | 'Lt'
    | 'ContainsAll'
    | 'ContainsAny';
  readonly values: readonly unknown[];
  /** of ContainsAll and ContainsAny: about an element of the list */
  readonly items: readonly MargoExpression[];
}

/** The manifest whose ETag the manager is shown: that of the accepted state, so that a 304 hides nothing. */
export interface MargoLinkRow {
  /** verbatim; empty: none */
  readonly etag: string;
  /** state digest of the accepted manifest that it came with */
  readonly state: Digest | null;
  /** of the capabilities that the manager took last */
  readonly capabilities: Digest | null;
  /** full ids of children that it was told of */
  readonly children: readonly string[];
}

/** The last status of one deployment that the manager took. */
export interface MargoReportRow {
  readonly deployment: string;
  /** full id of the child that it is for; empty: for this device */
  readonly device: string;
  /** `metadata.name` */
  readonly name: string;
  readonly components: readonly string[];
  /** of the document */
  readonly digest: Digest;
  /** adopted manifestVersion */
  readonly version: bigint;
  readonly state: MargoState;
  /** empty: no error */
  readonly code: string;
  readonly message: string;
}
