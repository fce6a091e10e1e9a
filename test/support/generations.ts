/** Generations for tests of plans and transactions: small, complete, no I/O. */
import type { Deployment, HealthCheck } from '#state/deployment.ts';
import { sha256 } from '#state/digest.ts';
import { type Generation, generationDigest } from '#state/generation.ts';

export interface GenerationInput {
  readonly id: string;
  /** stands for document and blobs: another version, another digest */
  readonly version?: string;
  readonly dependsOn?: readonly string[];
  readonly target?: string;
  readonly health?: readonly HealthCheck[];
  readonly user?: string;
  readonly kind?: 'files' | 'process' | 'other';
}

export function generation(input: GenerationInput): Generation {
  const { id, version = '1' } = input;
  const blob = {
    digest: sha256(Buffer.from(`${id} ${version}`)),
    size: 3,
    unpackedSize: 3,
    tree: false,
  };
  const blobs = new Map([['blob', blob]]);
  const documentDigest = sha256(Buffer.from(`document ${id} ${version}`));
  return {
    id,
    digest: generationDigest(documentDigest, blobs, new Map()),
    documentDigest,
    deployment: deployment(input),
    blobs,
    values: new Map(),
  };
}

function deployment(input: GenerationInput): Deployment {
  const { id, dependsOn = [], health = [] } = input;
  const base = {
    id,
    name: id,
    dependsOn,
    parameters: [],
    health,
    drift: 'repair',
    data: [],
  } as const;
  if (input.kind === 'other')
    return { ...base, profile: { kind: 'other', type: 'wasm', components: [] } };
  if (input.kind === 'process') {
    return { ...base, profile: { kind: 'process', components: [program(input)] } };
  }
  const target = input.target ?? `/opt/${id}`;
  const file = { name: 'file', blob: 'blob', target, mode: 0o644, owner: null };
  return {
    ...base,
    profile: { kind: 'files', components: [{ ...file, adopt: false, once: false }], reload: null },
  };
}

function program({ user }: GenerationInput) {
  return {
    name: 'program',
    blob: 'blob',
    command: ['blob'],
    env: {},
    user: user ?? null,
    workingDirectory: null,
    restart: { backoffMs: 1_000, backoffMaxMs: 60_000 },
    stop: { signal: 'SIGTERM', timeoutMs: 10_000 },
    aliveForMs: 1_000,
    logs: { maxBytes: 1024, files: 1 },
  } as const;
}
