/** DER, as much as keys and certificates need. @see ITU-T X.690 */

/** One value: its tag, where its content lies, and where the next one starts. */
export interface Der {
  readonly tag: number;
  readonly content: Uint8Array;
  /** the value with tag and length */
  readonly whole: Uint8Array;
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  sequence: 0x30,
} as const;

export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents);
  return new Uint8Array(Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content]));
}

export function derSequence(...items: readonly Uint8Array[]): Uint8Array {
  return der(TAG.sequence, ...items);
}

/** @param dotted  as `1.2.840.113549.1.5.13` */
export function derOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(TAG.oid, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** of a whole number >= 0 */
export function derInteger(value: number): Uint8Array {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return der(
    TAG.integer,
    (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes,
  );
}

/** The values one after the other in `bytes`; null when they are not DER to the last byte. */
export function readDer(bytes: Uint8Array): readonly Der[] | null {
  const found: Der[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const tag = bytes[offset] ?? 0;
    // Tags above 30 take more bytes; certificates have none.
    if ((tag & 0x1f) === 0x1f) return null;
    const length = readLength(bytes, offset + 1);
    if (length === null) return null;
    const end = length.start + length.count;
    if (end > bytes.length) return null;
    found.push({
      tag,
      content: bytes.subarray(length.start, end),
      whole: bytes.subarray(offset, end),
    });
    offset = end;
  }
  return found;
}

export function oidText(content: Uint8Array): string {
  const numbers: number[] = [];
  let value = 0;
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f);
    if ((byte & 0x80) !== 0) continue;
    if (numbers.length === 0) {
      const first = Math.min(2, Math.floor(value / 40));
      numbers.push(first, value - first * 40);
    } else {
      numbers.push(value);
    }
    value = 0;
  }
  return numbers.join('.');
}

function lengthOf(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
}

function readLength(
  bytes: Uint8Array,
  offset: number,
): { readonly start: number; readonly count: number } | null {
  const first = bytes[offset];
  if (first === undefined) return null;
  if (first < 0x80) return { start: offset + 1, count: first };
  const size = first & 0x7f;
  // Indefinite lengths are not DER; four bytes are more than any certificate.
  if (size === 0 || size > 4 || offset + size >= bytes.length) return null;
  let count = 0;
  for (let index = 1; index <= size; index++) count = count * 256 + (bytes[offset + index] ?? 0);
  return { start: offset + 1 + size, count };
}

function base128(value: number): readonly number[] {
  const groups = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    groups.unshift((rest % 128) | 0x80);
  }
  return groups;
}
