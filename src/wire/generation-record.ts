/** A generation inside of a state row (records.ts): message and value, both ways. */
import type { GenerationRow } from '#state/channel-row.ts';
import { digestToBytes } from '#state/digest.ts';
import type { Generation as WireGeneration } from './generated/store_pb.ts';
import { digestField, digestOrNull, numberField, wholeNumber } from './record-parts.ts';

export function generationToWire(generation: GenerationRow) {
  return {
    ...generation,
    digest: digestToBytes(generation.digest),
    documentDigest: digestToBytes(generation.documentDigest),
    blobs: generation.blobs.map((blob) => ({
      ...blob,
      digest: digestToBytes(blob.digest),
      size: wholeNumber(blob.size, 'size'),
      unpackedSize: wholeNumber(blob.unpackedSize, 'unpacked_size'),
    })),
    values: generation.values.map(({ name, value }) => ({ name, value })),
    secrets: (generation.secrets ?? []).map(({ statement, ...secret }) => ({
      ...secret,
      statement: digestToBytes(statement),
    })),
    statement: generation.statement ? digestToBytes(generation.statement) : new Uint8Array(),
  };
}

export function generationFromWire(wire: WireGeneration): GenerationRow {
  const secrets = wire.secrets.map(({ parameter, statement, name, tag }) => {
    return { parameter, name, tag, statement: digestField(statement, 'statement') };
  });
  const inStatement = digestOrNull(wire.statement, 'statement');
  return {
    id: wire.id,
    digest: digestField(wire.digest, 'digest'),
    documentDigest: digestField(wire.documentDigest, 'document_digest'),
    documentMediaType: wire.documentMediaType,
    blobs: wire.blobs.map((blob) => ({
      name: blob.name,
      digest: digestField(blob.digest, 'digest'),
      size: numberField(blob.size, 'size'),
      unpackedSize: numberField(blob.unpackedSize, 'unpacked_size'),
      tree: blob.tree,
    })),
    values: wire.values.map(({ name, value }) => ({ name, value })),
    ...(secrets.length > 0 && { secrets }),
    ...(inStatement && { statement: inStatement }),
  };
}
