/**
 * The encoding inside of OpenSSH's keys and signatures: bytes, 32-bit numbers, counted strings.
 * Reading never goes past the end, and a value is whole only when nothing is left behind it.
 * @see RFC 4251 section 5
 */
import { decodeText, encodeText } from '#wire/text.ts';

/** Null: there is less than that, or more than the reader was told to expect. */
export interface SshReader {
  byte(): number | null;
  uint32(): number | null;
  /** The next `count` bytes, uncounted. */
  raw(count: number): Uint8Array | null;
  string(bytesMax: number): Uint8Array | null;
  text(bytesMax: number): string | null;
  atEnd(): boolean;
}

export function sshReader(bytes: Uint8Array): SshReader {
  let at = 0;
  const raw = (count: number): Uint8Array | null => {
    if (count > bytes.length - at) return null;
    at += count;
    return bytes.slice(at - count, at);
  };
  const uint32 = (): number | null => {
    const four = raw(4);
    return four && new DataView(four.buffer).getUint32(0);
  };
  const string = (bytesMax: number): Uint8Array | null => {
    const length = uint32();
    return length === null || length > bytesMax ? null : raw(length);
  };
  return {
    byte: () => raw(1)?.[0] ?? null,
    uint32,
    raw,
    string,
    text(bytesMax) {
      const found = string(bytesMax);
      return found && decodeText(found);
    },
    atEnd: () => at === bytes.length,
  };
}

/** A counted string. */
export function sshString(value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === 'string' ? encodeText(value) : value;
  const counted = new Uint8Array(4 + bytes.length);
  new DataView(counted.buffer).setUint32(0, bytes.length);
  counted.set(bytes, 4);
  return counted;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
