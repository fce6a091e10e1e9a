/**
 * Protobuf that means one thing to every reader (check 11). The library merges a singular field
 * that stands twice, truncates integers, takes any wire type for a scalar and allocates before it
 * judges; so the bytes are walked against the schema first, in time linear in them and without
 * allocation by length. Refused: a singular field or a oneof twice, a map key twice, a tail that is
 * no whole field, wrong wire types, groups, varints of more than 64 bits or beyond their field,
 * lengths past the end, bad UTF-8, NUL in strings, and floods (LIMITS.protobuf*).
 * Unknown fields are skipped unread. Attack rows P01–P04, P06, P08, P12.
 */
import {
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageShape,
  ScalarType,
} from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { decodeText } from './text.ts';

/**
 * @param what  names the bytes in the message: "statement", "nudge"
 * @param cap   bytes
 */
export function readMessage<Schema extends DescMessage>(
  schema: Schema,
  bytes: Uint8Array,
  what: string,
  cap: number,
): Result<MessageShape<Schema>> {
  if (bytes.length > cap) {
    return refuse('format.protobuf', { what, reason: `${bytes.length} bytes; at most ${cap}` });
  }
  const scan: Scan = { bytes, at: 0, unknown: 0 };
  const reason = scanMessage(scan, schema, { end: bytes.length, depth: 1 });
  if (reason !== null) return refuse('format.protobuf', { what, reason });
  try {
    return ok(fromBinary(schema, bytes, { readUnknownFields: false }));
  } catch {
    return refuse('format.protobuf', { what, reason: 'it cannot be decoded' });
  }
}

interface Scan {
  readonly bytes: Uint8Array;
  at: number;
  unknown: number;
}

/** The message whose fields are read. */
interface Frame {
  readonly end: number;
  /** 1: outermost */
  readonly depth: number;
}

/** Null, or why it is refused. */
type Reason = string | null;

/** What a tag announced, inside its frame. */
interface Tagged extends Frame {
  readonly wireType: number;
}

function tagged(frame: Frame, wireType: number): Tagged {
  return { end: frame.end, depth: frame.depth, wireType };
}

/** keys seen, by the number of the map field */
type Keys = Map<number, Set<string>>;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

function scanMessage(scan: Scan, schema: DescMessage, frame: Frame): Reason {
  const { end } = frame;
  if (frame.depth > LIMITS.protobufDepth)
    return `nested deeper than ${LIMITS.protobufDepth} levels`;
  const counts = new Map<string, number>();
  const fields = fieldsOf(schema);
  const keys: Keys = new Map();
  while (scan.at < end) {
    const start = scan.at;
    const tag = readVarint(scan, end);
    if (tag === null || tag > 0xffff_ffffn) return `a broken tag at byte ${start}`;
    const number = Number(tag >> 3n);
    const wireType = Number(tag & 7n);
    if (number === 0) return `field number 0 at byte ${start}`;
    const field = fields.get(number);
    if (field === undefined) {
      scan.unknown += 1;
      if (scan.unknown > LIMITS.protobufUnknownMax) return 'a flood of unknown fields';
      if (!skip(scan, wireType, end)) return `an unknown field is no whole field at byte ${start}`;
      continue;
    }
    const count = countOf(counts, field);
    if (count > maxOf(field)) return tooOften(field);
    const reason =
      field.fieldKind === 'map'
        ? scanMapEntry(scan, field, tagged(frame, wireType), keys)
        : scanField(scan, field, tagged(frame, wireType));
    if (reason !== null) return reason;
  }
  return null;
}

const fieldsBySchema = new WeakMap<DescMessage, ReadonlyMap<number, DescField>>();

function fieldsOf(schema: DescMessage): ReadonlyMap<number, DescField> {
  const known = fieldsBySchema.get(schema);
  if (known !== undefined) return known;
  const fields = new Map(schema.fields.map((field) => [field.number, field]));
  fieldsBySchema.set(schema, fields);
  return fields;
}

/** The members of a oneof count together: two of them are the same thing twice. */
function countOf(counts: Map<string, number>, field: DescField): number {
  const name = field.oneof === undefined ? field.name : `oneof ${field.oneof.name}`;
  const count = (counts.get(name) ?? 0) + 1;
  counts.set(name, count);
  return count;
}

function maxOf(field: DescField): number {
  return field.fieldKind === 'list' || field.fieldKind === 'map' ? LIMITS.protobufListMax : 1;
}

function tooOften(field: DescField): string {
  return maxOf(field) === 1
    ? `${field.oneof?.name ?? field.name} stands twice`
    : `${field.name} has more than ${LIMITS.protobufListMax} elements`;
}

function scanField(scan: Scan, field: Exclude<DescField, MapField>, tag: Tagged): Reason {
  switch (field.fieldKind) {
    case 'scalar':
      return scanScalar(scan, field.scalar, field.name, tag);
    case 'enum':
      return scanScalar(scan, ScalarType.INT32, field.name, tag);
    case 'message':
      return within(scan, field.name, tag, (inner) => scanMessage(scan, field.message, inner));
    case 'list':
      return scanList(scan, field, tag);
  }
}

/** A length-delimited field, which `read` must use up. */
function within(scan: Scan, name: string, tag: Tagged, read: (inner: Frame) => Reason): Reason {
  if (tag.wireType !== LENGTH) return `${name} has the wrong wire type`;
  const length = readLength(scan, tag.end);
  if (length === null) return `${name} is longer than what holds it`;
  return read({ end: scan.at + length, depth: tag.depth + 1 });
}

type ListField = DescField & { readonly fieldKind: 'list' };
type MapField = DescField & { readonly fieldKind: 'map' };

function scanList(scan: Scan, field: ListField, tag: Tagged): Reason {
  if (field.listKind === 'message') {
    return within(scan, field.name, tag, (inner) => scanMessage(scan, field.message, inner));
  }
  const scalar = field.listKind === 'enum' ? ScalarType.INT32 : field.scalar;
  if (tag.wireType !== LENGTH || isLengthDelimited(scalar)) {
    return scanScalar(scan, scalar, field.name, tag);
  }
  return within(scan, field.name, tag, (inner) => {
    for (let elements = 0; scan.at < inner.end; elements += 1) {
      if (elements === LIMITS.protobufListMax) return tooOften(field);
      const reason = scanScalar(scan, scalar, field.name, tagged(inner, wireTypeOf(scalar)));
      if (reason !== null) return reason;
    }
    return null;
  });
}

/** An entry is a message of key (1) and value (2), each at most once; a key once in the map. */
function scanMapEntry(scan: Scan, field: MapField, tag: Tagged, keys: Keys): Reason {
  return within(scan, field.name, tag, (inner) => {
    let key = '';
    let seen = 0;
    while (scan.at < inner.end) {
      const part = readVarint(scan, inner.end) ?? 0n;
      const number = Number(part >> 3n);
      if ((number !== 1 && number !== 2) || (seen & number) !== 0) {
        return `${field.name} has a broken entry`;
      }
      seen |= number;
      const from = scan.at;
      const entry = tagged(inner, Number(part & 7n));
      const reason =
        number === 1
          ? scanScalar(scan, field.mapKey, field.name, entry)
          : scanMapValue(scan, field, entry);
      if (reason !== null) return reason;
      if (number === 1) key = Buffer.from(scan.bytes.subarray(from, scan.at)).toString('latin1');
    }
    const known = keys.get(field.number) ?? new Set<string>();
    if (known.has(key)) return `${field.name} has one key twice`;
    keys.set(field.number, known.add(key));
    return null;
  });
}

function scanMapValue(scan: Scan, field: MapField, tag: Tagged): Reason {
  if (field.mapKind === 'message') {
    return within(scan, field.name, tag, (inner) => scanMessage(scan, field.message, inner));
  }
  const scalar = field.mapKind === 'enum' ? ScalarType.INT32 : field.scalar;
  return scanScalar(scan, scalar, field.name, tag);
}

function scanScalar(scan: Scan, type: ScalarType, name: string, tag: Tagged): Reason {
  const { end, wireType } = tag;
  if (wireType !== wireTypeOf(type)) return `${name} has the wrong wire type`;
  if (wireType === FIXED64 || wireType === FIXED32) {
    return skip(scan, wireType, end) ? null : `${name} is cut`;
  }
  if (wireType === VARINT) {
    const value = readVarint(scan, end);
    if (value === null) return `${name} is no whole varint of 64 bits`;
    return value <= varintMax(type) ? null : `${name} is beyond its range`;
  }
  const length = readLength(scan, end);
  if (length === null) return `${name} is longer than what holds it`;
  const bytes = scan.bytes.subarray(scan.at, scan.at + length);
  scan.at += length;
  if (type !== ScalarType.STRING) return null;
  const text = decodeText(bytes);
  if (text === null) return `${name} is not UTF-8`;
  return text.includes('\0') ? `${name} has NUL in it` : null;
}

function isLengthDelimited(type: ScalarType): boolean {
  return type === ScalarType.STRING || type === ScalarType.BYTES;
}

function wireTypeOf(type: ScalarType): number {
  switch (type) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return LENGTH;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return FIXED64;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return FIXED32;
    default:
      return VARINT;
  }
}

/** Enums and int32 of these formats are never negative, so ten-byte forms are refused with the rest. */
function varintMax(type: ScalarType): bigint {
  switch (type) {
    case ScalarType.BOOL:
      return 1n;
    case ScalarType.INT32:
      return 0x7fff_ffffn;
    case ScalarType.UINT32:
    case ScalarType.SINT32:
      return 0xffff_ffffn;
    default:
      return 0xffff_ffff_ffff_ffffn;
  }
}

function skip(scan: Scan, wireType: number, end: number): boolean {
  switch (wireType) {
    case VARINT:
      return readVarint(scan, end) !== null;
    case FIXED64:
      return advance(scan, 8, end);
    case FIXED32:
      return advance(scan, 4, end);
    case LENGTH: {
      const length = readLength(scan, end);
      return length !== null && advance(scan, length, end);
    }
    default:
      return false;
  }
}

function advance(scan: Scan, count: number, end: number): boolean {
  if (scan.at + count > end) return false;
  scan.at += count;
  return true;
}

/** A length that fits into what holds it; `scan` then stands at its first byte. */
function readLength(scan: Scan, end: number): number | null {
  const length = readVarint(scan, end);
  if (length === null || length > BigInt(end - scan.at)) return null;
  return Number(length);
}

/** At most ten bytes, at most 64 bits. */
function readVarint(scan: Scan, end: number): bigint | null {
  const first = scan.bytes[scan.at];
  if (first === undefined || scan.at >= end) return null;
  if (first < 0x80) {
    scan.at += 1;
    return BigInt(first);
  }
  let value = 0n;
  for (let index = 0; index < 10; index += 1) {
    const byte = scan.at < end ? scan.bytes[scan.at] : undefined;
    if (byte === undefined) return null;
    scan.at += 1;
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return value <= 0xffff_ffff_ffff_ffffn ? value : null;
  }
  return null;
}
