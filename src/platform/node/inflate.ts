/**
 * gzip by the runtime's zlib, pulled: no input is decoded before the caller asks for its output,
 * and no more than CHUNK bytes of it lie in memory (attack rows B01, B02, D15). node:zlib offers
 * streams only asynchronously, so this drives the handle below them, which Node and Bun share: one
 * `writeSync` per chunk, state in `_writeState`. The gzip frame is read here, so that what follows
 * the first member is seen.
 * @see RFC 1952
 */
import { constants, crc32, createInflateRaw, gzipSync } from 'node:zlib';
import { type Fault, fault, ok, type Result, refused } from '#errors/fault.ts';
import type { Inflate } from '#platform/inflate.ts';

const CHUNK = 64 * 1024;
/** bytes of a header with its optional fields: a name, a comment, an extra field */
const HEADER_MAX = 4 * 1024;
const TRAILER = 8;

export function systemInflate(): Inflate {
  return { gunzip, gzip };
}

function gzip(bytes: Uint8Array): Uint8Array {
  const packed = new Uint8Array(gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }));
  packed.fill(0, 4, 8); // no time
  packed[9] = 0xff; // no operating system
  return packed;
}

function* gunzip(packed: Iterable<Result<Uint8Array>>, cap: number): Iterable<Result<Uint8Array>> {
  const input = inputOf(packed);
  try {
    yield* inflated(input, cap);
  } finally {
    // Whoever stops early leaves the input in its middle: it has a file open.
    input.close();
  }
}

function* inflated(input: Input, cap: number): Iterable<Result<Uint8Array>> {
  const headerFault = skipHeader(input);
  if (headerFault !== null) return yield refused(headerFault);
  const raw = rawInflate();
  let size = 0;
  let crc = 0;
  try {
    for (;;) {
      const chunk = input.peek();
      if (chunk === null) return yield refused(input.fault ?? bad('it ends in the middle'));
      const step = raw.write(chunk);
      if (step.error !== null) return yield refused(bad(step.error));
      input.skip(step.consumed);
      size += step.output.length;
      if (size > cap)
        return yield refused(fault('source.too-large', { what: 'unpacked data', cap }));
      crc = crc32(step.output, crc);
      if (step.output.length > 0) yield ok(step.output);
      if (step.ended) break;
    }
  } finally {
    raw.close();
  }
  const trailerFault = readTrailer(input, crc, size);
  if (trailerFault !== null) yield refused(trailerFault);
}

function bad(reason: string): Fault {
  return fault('format.gzip', { reason });
}

/** The pulled chunks as one run of bytes. */
interface Input {
  fault: Fault | null;
  /** bytes not yet skipped, at most CHUNK; null at the end or at a fault */
  peek(): Uint8Array | null;
  skip(count: number): void;
  /** exactly `count` bytes, or null */
  take(count: number): Uint8Array | null;
  close(): void;
}

function inputOf(packed: Iterable<Result<Uint8Array>>): Input {
  const source = packed[Symbol.iterator]();
  let current = new Uint8Array(0);
  const input: Input = {
    fault: null,
    peek() {
      while (current.length === 0) {
        const next = source.next();
        if (next.done) return null;
        if (!next.value.ok) {
          input.fault = next.value.fault;
          return null;
        }
        current = new Uint8Array(next.value.value);
      }
      return current.subarray(0, CHUNK);
    },
    skip(count) {
      current = current.subarray(count);
    },
    close: () => void source.return?.(),
    take(count) {
      const bytes = new Uint8Array(count);
      for (let got = 0; got < count; ) {
        const chunk = input.peek()?.subarray(0, count - got);
        if (chunk === undefined) return null;
        bytes.set(chunk, got);
        got += chunk.length;
        input.skip(chunk.length);
      }
      return bytes;
    },
  };
  return input;
}

/** RFC 1952 section 2.3. FHCRC is skipped like the rest: what counts is the digest of the whole. */
function skipHeader(input: Input): Fault | null {
  const cut = (): Fault => input.fault ?? bad('its header is cut');
  const fixed = input.take(10);
  if (fixed === null) return cut();
  const [first, second, method, flags = 0] = fixed;
  if (first !== 0x1f || second !== 0x8b) return bad('it does not start with 1f 8b');
  if (method !== 8) return bad(`method ${method} is not deflate`);
  if ((flags & 0xe0) !== 0) return bad('a reserved flag is set');
  if ((flags & 4) !== 0) {
    const [low = 0, high = 0] = input.take(2) ?? [];
    const length = low + high * 256;
    if (length > HEADER_MAX) return bad('its extra field is too long');
    if (input.take(length) === null) return cut();
  }
  // FNAME, FCOMMENT: up to a zero byte each
  for (const flag of [8, 16]) {
    if ((flags & flag) === 0) continue;
    const reason = skipText(input);
    if (reason !== null) return input.fault ?? bad(reason);
  }
  if ((flags & 2) !== 0 && input.take(2) === null) return cut();
  return null;
}

function skipText(input: Input): string | null {
  for (let length = 0; length <= HEADER_MAX; length++) {
    const byte = input.take(1);
    if (byte === null) return 'its header is cut';
    if (byte[0] === 0) return null;
  }
  return 'a text in its header is too long';
}

function readTrailer(input: Input, crc: number, size: number): Fault | null {
  const trailer = input.take(TRAILER);
  if (trailer === null) return input.fault ?? bad('its trailer is cut');
  const view = new DataView(trailer.buffer);
  if (view.getUint32(0, true) !== crc >>> 0) return bad('the checksum does not match');
  if (view.getUint32(4, true) !== size % 2 ** 32) return bad('the length does not match');
  if (input.peek() !== null) return bad('bytes follow its end');
  return input.fault;
}

interface RawInflate {
  write(chunk: Uint8Array): {
    readonly output: Uint8Array;
    readonly consumed: number;
    readonly ended: boolean;
    readonly error: string | null;
  };
  close(): void;
}

/** The members of node:zlib's streams that this file uses, as Node and Bun both have them. */
interface ZlibStream {
  readonly _handle: {
    onerror: (message: string, errno: number, code: string) => void;
    writeSync(
      flush: number,
      input: Uint8Array,
      inputOffset: number,
      inputLength: number,
      output: Uint8Array,
      outputOffset: number,
      outputLength: number,
    ): void;
  };
  /** [room left in the output, bytes left in the input] after each call */
  readonly _writeState: Uint32Array;
  close(): void;
}

function rawInflate(): RawInflate {
  const stream = createInflateRaw() as unknown as ZlibStream;
  const { _handle: handle, _writeState: state } = stream;
  let error: string | null = null;
  handle.onerror = (message) => {
    error = message;
  };
  return {
    write(chunk) {
      const output = new Uint8Array(CHUNK);
      handle.writeSync(constants.Z_NO_FLUSH, chunk, 0, chunk.length, output, 0, CHUNK);
      const [room = 0, left = 0] = state;
      return {
        output: output.subarray(0, CHUNK - room),
        consumed: chunk.length - left,
        // Room and input both left: zlib stops so only at the end of the deflate stream. Eight
        // bytes of trailer follow it, so the end is always seen.
        ended: room > 0 && left > 0,
        error,
      };
    },
    close: () => stream.close(),
  };
}
