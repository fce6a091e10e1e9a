/**
 * What a disk was asked to do, in order: writes with their bytes, flushes, and marks of those who
 * watched from outside. An entry is a kind byte, a flag byte, a length (u32) and an offset (u64),
 * then its bytes.
 */
export type DiskEntry =
  | { readonly kind: 'write'; readonly at: number; readonly bytes: Buffer; durable: boolean }
  | { readonly kind: 'flush' }
  | { readonly kind: 'mark'; readonly text: string };

const HEAD_BYTES = 14;
const KIND = { write: 1, flush: 2, mark: 3 } as const;

function entry(kind: number, bytes: Buffer, { at = 0, flag = 0 } = {}): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(kind);
  head.writeUInt8(flag, 1);
  head.writeUInt32LE(bytes.length, 2);
  head.writeBigUInt64LE(BigInt(at), 6);
  return Buffer.concat([head, bytes]);
}

export function writeEntry(at: number, bytes: Buffer, durable: boolean): Buffer {
  return entry(KIND.write, bytes, { at, flag: durable ? 1 : 0 });
}

export function flushEntry(): Buffer {
  return entry(KIND.flush, Buffer.alloc(0));
}

export function markEntry(text: string): Buffer {
  return entry(KIND.mark, Buffer.from(text));
}

/** A last entry that is not whole is left out. */
export function readLog(log: Buffer): readonly DiskEntry[] {
  const entries: DiskEntry[] = [];
  for (let from = 0; from + HEAD_BYTES <= log.length; ) {
    const kind = log.readUInt8(from);
    const length = log.readUInt32LE(from + 2);
    const at = Number(log.readBigUInt64LE(from + 6));
    const bytes = log.subarray(from + HEAD_BYTES, from + HEAD_BYTES + length);
    if (bytes.length < length) break;
    if (kind === KIND.write) {
      entries.push({ kind: 'write', at, bytes, durable: log.readUInt8(from + 1) === 1 });
    } else if (kind === KIND.flush) entries.push({ kind: 'flush' });
    else entries.push({ kind: 'mark', text: bytes.toString() });
    from += HEAD_BYTES + length;
  }
  return entries;
}
