/**
 * Generations from what the disk holds: the state row names them, the statement file has their
 * documents (another's file has those of what is left in force of it: parts.ts). No network (I5). Documents are found by digest, so a damaged file is seen here. The
 * same row (store/known-rows.ts gives the same value for the same bytes) is loaded once.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { GenerationRow, StateRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { withTargets } from '#state/targets.ts';
import type { ContentStore } from '#store/content.ts';
import { readDocuments } from '#wire/documents.ts';
import { readKnownDeployment } from '#wire/known-deployment.ts';

const loaded = new WeakMap<StateRow, readonly Generation[]>();

export function loadState(content: ContentStore, row: StateRow): Result<readonly Generation[]> {
  const before = loaded.get(row);
  if (before) return ok(before);
  const generations = load(content, row);
  if (generations.ok) loaded.set(row, generations.value);
  return generations;
}

function load(content: ContentStore, row: StateRow): Result<readonly Generation[]> {
  if (row.generations.length === 0) return ok([]);
  const layers = new Map<Digest, ReadonlyMap<Digest, Uint8Array>>();
  const generations: Generation[] = [];
  for (const generation of row.generations) {
    const { statement = row.stateDigest } = generation;
    const known = layers.get(statement);
    const documents = known ? ok(known) : documentsOf(content, statement);
    if (!documents.ok) return documents;
    layers.set(statement, documents.value);
    const one = loadGeneration(generation, documents.value);
    if (!one.ok) return one;
    generations.push(one.value);
  }
  return ok(generations);
}

function documentsOf(
  content: ContentStore,
  statement: Digest,
): Result<ReadonlyMap<Digest, Uint8Array>> {
  const file = content.readStatement(statement);
  return file.ok ? readDocuments(file.value.documents ?? new Uint8Array()) : file;
}

function loadGeneration(
  row: GenerationRow,
  documents: ReadonlyMap<Digest, Uint8Array>,
): Result<Generation> {
  const bytes = documents.get(row.documentDigest);
  if (!bytes) {
    return refuse('plan.document-missing', { deployment: row.id, digest: row.documentDigest });
  }
  const where = { id: row.id, file: `${row.id}.yaml` };
  const document = { digest: row.documentDigest, bytes, mediaType: row.documentMediaType };
  const deployment = readKnownDeployment(document, where);
  if (!deployment.ok) return deployment;
  const values = new Map(row.values.map(({ name, value }) => [name, value]));
  const secrets = new Map(
    (row.secrets ?? []).map(({ parameter, ...secret }) => [parameter, secret] as const),
  );
  const placed = withTargets(deployment.value, values);
  if (!placed.ok) return placed;
  return ok({
    id: row.id,
    digest: row.digest,
    documentDigest: row.documentDigest,
    deployment: placed.value,
    blobs: new Map(row.blobs.map(({ name, ...blob }) => [name, blob])),
    values,
    ...(secrets.size > 0 && { secrets }),
    ...(row.statement && { statement: row.statement }),
  });
}

/** The row that `loadState` reads back. */
export function stateRowOf(
  stateDigest: Digest,
  generations: readonly Generation[],
  mediaTypeOf: (id: string) => string,
): StateRow {
  return {
    stateDigest,
    generations: generations.map((generation) => rowOf(generation, mediaTypeOf(generation.id))),
  };
}

function rowOf(generation: Generation, documentMediaType: string): GenerationRow {
  const secrets = [...(generation.secrets ?? [])].map(([parameter, secret]) => {
    return { parameter, ...secret };
  });
  return {
    id: generation.id,
    digest: generation.digest,
    documentDigest: generation.documentDigest,
    documentMediaType,
    blobs: [...generation.blobs].map(([name, blob]) => ({ name, ...blob })),
    values: [...generation.values].map(([name, value]) => ({ name, value })),
    ...(secrets.length > 0 && { secrets }),
    ...(generation.statement && { statement: generation.statement }),
  };
}
