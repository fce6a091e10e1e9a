/**
 * Watches the frames of an incoming MQTT stream; mqtt-stream.ts hands on what passes. mqtt.js collects a packet of up to 256 MB before
 * anybody sees it, whatever `maximumPacketSize` says; so the length in each fixed header is read
 * here, on the raw bytes, and the stream ends at a header that announces more than the cap (attack
 * rows M01, M02). Nothing is kept but a few numbers and, between two chunks, one header.
 *
 * And it drops messages of QoS 0 above a ration (M07): each that mqtt.js reads costs kilobytes of
 * objects, so a flood costs memory faster than it is given back. At most once is all that QoS 0
 * promises, and nudges are QoS 1, of which an honest broker sends only as many as are acknowledged.
 * @see MQTT 5.0 section 2.1
 */
import type { Ration } from './mqtt-ration.ts';

export type FrameFault =
  /** bytes announced by a header */
  | { readonly kind: 'too-large'; readonly bytes: number }
  /** a length in more than four bytes */
  | { readonly kind: 'malformed' };

export interface FrameWatch {
  /** A fault, or what of this chunk is to be handed on; chunks in order. */
  read(chunk: Uint8Array): FrameFault | readonly Uint8Array[];
}

const LENGTH_BYTES_MAX = 4;
const PUBLISH = 3;

/** Where the watch is in the stream. */
interface State {
  bodyLeft: number;
  /** of the frame that `bodyLeft` counts: it is not handed on */
  dropping: boolean;
  /** of a fixed header that has begun; a frame is judged when it is whole */
  readonly header: number[];
}

/**
 * @param cap  bytes after the fixed header
 * @param ration  of messages of QoS 0; null: all are handed on
 */
export function frameWatch(cap: number, ration: Ration | null = null): FrameWatch {
  const state: State = { bodyLeft: 0, dropping: false, header: [] };
  return { read: (chunk) => read(state, chunk, { cap, ration }) };
}

function read(
  state: State,
  chunk: Uint8Array,
  { cap, ration }: { readonly cap: number; readonly ration: Ration | null },
): FrameFault | readonly Uint8Array[] {
  const handed: Uint8Array[] = [];
  // What stands from here on is handed on, unless a frame in it is dropped.
  let from = 0;
  const handUpTo = (end: number): void => {
    if (end > from) handed.push(chunk.subarray(from, end));
  };
  for (let at = 0; at < chunk.length; ) {
    if (state.bodyLeft > 0) {
      const part = Math.min(state.bodyLeft, chunk.length - at);
      state.bodyLeft -= part;
      at += part;
      if (state.dropping) from = at;
      continue;
    }
    state.header.push(chunk[at] ?? 0);
    at += 1;
    const length = lengthOf(state.header);
    if (length === null) continue;
    if (length === 'malformed') return { kind: 'malformed' };
    if (length > cap) return { kind: 'too-large', bytes: length };
    const begun = at - state.header.length;
    state.dropping = isUnacknowledged(state.header) && ration?.take(length) === false;
    if (state.dropping) {
      handUpTo(begun);
      from = at;
    } else if (begun < 0) {
      handed.push(Uint8Array.from(state.header.slice(0, -begun)));
    }
    state.header.length = 0;
    state.bodyLeft = length;
  }
  handUpTo(chunk.length - state.header.length);
  return handed;
}

/** Null: the header is not whole. A length above the cap need not be. */
function lengthOf(header: readonly number[]): number | 'malformed' | null {
  const last = header.at(-1) ?? 0;
  if (header.length === 1) return null;
  if ((last & 0x80) !== 0) return header.length > LENGTH_BYTES_MAX ? 'malformed' : null;
  return header.slice(1).reduce((sum, byte, index) => sum + (byte & 0x7f) * 128 ** index, 0);
}

function isUnacknowledged([first = 0]: readonly number[]): boolean {
  return first >> 4 === PUBLISH && (first & 0x06) === 0;
}
