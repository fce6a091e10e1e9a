/**
 * What of a statement is not in force, inside of a state row and a channel row (records.ts): messages
 * and values, both ways.
 */
import type { OpenParts, Partly, PartRow } from '#state/channel-row.ts';
import { digestToBytes } from '#state/digest.ts';
import type {
  OpenParts as WireOpenParts,
  Part as WirePart,
  Partly as WirePartly,
} from './generated/store_pb.ts';
import { codeFromText, digestOrNull, pointFromWire, pointToWire } from './record-parts.ts';

export function partlyToWire({ whole }: Partly) {
  return whole ? { whole: pointToWire(whole) } : {};
}

export function partlyFromWire({ whole }: Pick<WirePartly, 'whole'>): Partly {
  return { whole: whole ? pointFromWire(whole) : null };
}

export function openToWire(open: OpenParts) {
  return { ...partlyToWire(open), parts: open.parts.map(partToWire) };
}

export function openFromWire({ whole, parts }: WireOpenParts): OpenParts {
  return { whole: whole ? pointFromWire(whole) : null, parts: parts.map(partFromWire) };
}

function partToWire({ id, digest, documentDigest, tries, ended, failure }: PartRow) {
  return {
    ...{ id, tries, ended },
    digest: digest ? digestToBytes(digest) : new Uint8Array(),
    documentDigest: documentDigest ? digestToBytes(documentDigest) : new Uint8Array(),
    ...(failure && { failure: { ...failure, deployment: '' } }),
  };
}

function partFromWire(wire: WirePart): PartRow {
  const { id, tries, ended, failure } = wire;
  return {
    ...{ id, tries, ended },
    digest: digestOrNull(wire.digest, 'part.digest'),
    documentDigest: digestOrNull(wire.documentDigest, 'part.document_digest'),
    failure: failure ? { code: codeFromText(failure.code), message: failure.message } : null,
  };
}
