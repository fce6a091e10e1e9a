/**
 * Frames of a WebSocket as a client reads and writes them, for a stream of bytes: where one message
 * ends and the next begins means nothing to MQTT, so payloads are handed on as they come and nothing
 * is collected but a header and the payload of one control frame (125 bytes at most). Whatever RFC
 * 6455 forbids a server ends the connection. Pure, but for the mask that the caller draws.
 * @see RFC 6455 section 5; MQTT 5.0 section 6.0
 */

export interface FrameReader {
  /** What a chunk brings; after a fault or a close nothing more is to be read. */
  read(chunk: Uint8Array): FramesRead;
}

export interface FramesRead {
  /** payloads, in order */
  readonly data: readonly Uint8Array[];
  /** to be answered: the newest ping of the chunk (section 5.5.3 allows the others to be left out) */
  readonly ping: Uint8Array | null;
  /** the server closes; its status code, 1005: it gave none */
  readonly closed: number | null;
  readonly fault: string | null;
}

const OPCODE = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const CONTROL_BYTES_MAX = 125;
/** first of the two header bytes that say how long a payload is: in 2 bytes more, in 8 */
const LENGTH = { inTwo: 126, inEight: 127 } as const;

interface State {
  /** of a frame that has begun */
  readonly header: number[];
  /** bytes of the payload that are still to come; null: a header is next */
  left: number | null;
  opcode: number;
  /** of a control frame */
  readonly control: number[];
  /** the first frame of a message came, the last one did not */
  open: boolean;
}

export function frameReader(): FrameReader {
  const state: State = { header: [], left: null, opcode: 0, control: [], open: false };
  return { read: (chunk) => read(state, chunk) };
}

function read(state: State, chunk: Uint8Array): FramesRead {
  const data: Uint8Array[] = [];
  let ping: Uint8Array | null = null;
  for (let at = 0; at < chunk.length || state.left === 0; ) {
    if (state.left === null) {
      state.header.push(chunk[at] ?? 0);
      at += 1;
      const fault = begin(state);
      if (fault !== null) return { data, ping, closed: null, fault };
      continue;
    }
    const part = chunk.subarray(at, at + state.left);
    at += part.length;
    state.left -= part.length;
    if (state.opcode < OPCODE.close) {
      if (part.length > 0) data.push(part);
    } else state.control.push(...part);
    if (state.left > 0) continue;
    state.left = null;
    if (state.opcode === OPCODE.ping) ping = Uint8Array.from(state.control);
    if (state.opcode === OPCODE.close) {
      const [high, low] = state.control;
      const closed = high === undefined || low === undefined ? 1005 : high * 256 + low;
      return { data, ping, closed, fault: null };
    }
  }
  return { data, ping, closed: null, fault: null };
}

/** Reads the header when it is whole. Null: nothing is wrong with it so far. */
function begin(state: State): string | null {
  const { header } = state;
  const [first = 0, second] = header;
  if (second === undefined) return wrongKind(state, first);
  if ((second & 0x80) !== 0) return 'a frame of the server is masked';
  const short = second & 0x7f;
  const more = short === LENGTH.inTwo ? 2 : short === LENGTH.inEight ? 8 : 0;
  if (header.length < 2 + more) return null;
  const length = header.slice(2).reduce((sum, byte) => sum * 256 + byte, 0);
  const bytes = more === 0 ? short : length;
  if (more === 2 && bytes < LENGTH.inTwo) return 'a length is not as short as it can be';
  if (more === 8 && bytes < 65_536) return 'a length is not as short as it can be';
  if (!Number.isSafeInteger(bytes)) return 'a length is beyond measure';
  const opcode = first & 0x0f;
  const last = (first & 0x80) !== 0;
  if (opcode >= OPCODE.close && bytes > CONTROL_BYTES_MAX) return 'a control frame is too long';
  if (opcode < OPCODE.close) state.open = !last;
  state.opcode = opcode;
  state.left = bytes;
  state.control.length = 0;
  header.length = 0;
  return null;
}

function wrongKind(state: State, first: number): string | null {
  const opcode = first & 0x0f;
  if ((first & 0x70) !== 0) return 'a frame uses an extension that was not asked for';
  switch (opcode) {
    case OPCODE.more:
      return state.open ? null : 'a frame continues nothing';
    case OPCODE.binary:
      return state.open ? 'a message begins inside another' : null;
    case OPCODE.close:
    case OPCODE.ping:
    case OPCODE.pong:
      return (first & 0x80) === 0 ? 'a control frame is in pieces' : null;
    case OPCODE.text:
      return 'a message of text came where bytes are due';
    default:
      return `a frame is of the unknown kind ${opcode}`;
  }
}

/** One whole message. @param mask  four random bytes, new for every frame (section 5.3) */
export function writeFrame(
  kind: 'binary' | 'pong' | 'close',
  payload: Uint8Array,
  mask: Uint8Array,
): Uint8Array {
  const { length } = payload;
  const more = length < LENGTH.inTwo ? 0 : length < 65_536 ? 2 : 8;
  const frame = Buffer.allocUnsafe(2 + more + 4 + length);
  frame[0] = 0x80 | OPCODE[kind];
  frame[1] = 0x80 | (more === 0 ? length : more === 2 ? LENGTH.inTwo : LENGTH.inEight);
  if (more === 2) frame.writeUInt16BE(length, 2);
  if (more === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  frame.set(mask, 2 + more);
  const from = 2 + more + 4;
  for (let at = 0; at < length; at += 1) {
    frame[from + at] = (payload[at] ?? 0) ^ (mask[at & 3] ?? 0);
  }
  return frame;
}
