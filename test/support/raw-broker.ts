/**
 * A broker of raw bytes on a loopback port, for what no honest broker sends. It answers CONNECT,
 * SUBSCRIBE, PUBLISH and PINGREQ correctly unless the test says otherwise.
 */
import { createServer, type Server, type Socket } from 'node:net';

export interface RawConnection {
  /** 4: 3.1.1; 5 */
  readonly level: number;
  readonly socket: Socket;
  send(bytes: Uint8Array | readonly number[]): void;
}

export interface RawBroker {
  readonly port: number;
  /** CONNECTs so far, with their protocol level */
  readonly connects: number[];
  /** connections accepted so far */
  accepted(): number;
  close(): Promise<void>;
}

export interface RawAnswers {
  /** bytes for a CONNECT; null: close without a word; default: CONNACK 0 */
  connack?(level: number, count: number): readonly number[] | null;
  /** after a SUBSCRIBE to nudges is answered: the link is about to be up */
  subscribed?(connection: RawConnection): void;
  /** for each TCP connection, before any byte */
  accepted?(socket: Socket): void;
}

export async function rawBroker(answers: RawAnswers = {}): Promise<RawBroker> {
  const connects: number[] = [];
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    answers.accepted?.(socket);
    serve(socket, answers, connects);
  });
  const port = await listening(server);
  return {
    port,
    connects,
    accepted: () => accepted,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}

function serve(socket: Socket, answers: RawAnswers, connects: number[]): void {
  let level = 5;
  let buffer = Buffer.alloc(0);
  const send = (bytes: Uint8Array | readonly number[]): void => {
    if (!socket.destroyed) socket.write(Uint8Array.from(bytes));
  };
  socket.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (let packet = next(buffer); packet; packet = next(buffer)) {
      buffer = buffer.subarray(packet.bytes);
      const { type, body } = packet;
      if (type === 1) {
        level = body[6] ?? 0;
        connects.push(level);
        const answer = answers.connack
          ? answers.connack(level, connects.length)
          : connack(level, 0);
        if (answer) send(answer);
        else socket.destroy();
      } else if (type === 3) {
        const id = 2 + body.readUInt16BE(0);
        send([0x40, 2, body[id] ?? 0, body[id + 1] ?? 0]);
      } else if (type === 8) {
        const topics = filters(body, level);
        const codes = topics.map(() => 1);
        const properties = level === 5 ? [0] : [];
        const rest = [body[0] ?? 0, body[1] ?? 0, ...properties, ...codes];
        send([0x90, rest.length, ...rest]);
        if (topics.some((topic) => topic.endsWith('/nudge'))) {
          answers.subscribed?.({ level, socket, send });
        }
      } else if (type === 12) {
        send([0xd0, 0]);
      }
    }
  });
}

function next(buffer: Buffer): { type: number; body: Buffer; bytes: number } | null {
  let length = 0;
  for (let at = 1; at <= 4; at += 1) {
    const byte = buffer[at];
    if (byte === undefined) return null;
    length += (byte & 0x7f) * 128 ** (at - 1);
    if ((byte & 0x80) !== 0) continue;
    const end = at + 1 + length;
    if (buffer.length < end) return null;
    return { type: (buffer[0] ?? 0) >> 4, body: buffer.subarray(at + 1, end), bytes: end };
  }
  return null;
}

function filters(body: Buffer, level: number): string[] {
  const topics: string[] = [];
  let at = 2;
  if (level === 5) at += 1 + (body[2] ?? 0);
  while (at + 2 < body.length) {
    const length = body.readUInt16BE(at);
    topics.push(body.toString('utf8', at + 2, at + 2 + length));
    at += 2 + length + 1;
  }
  return topics;
}

export function connack(level: number, code: number): readonly number[] {
  return level === 5 ? [0x20, 3, 0, code, 0] : [0x20, 2, 0, code];
}

/** The variable length of MQTT, as honest senders write it. */
function lengthBytes(length: number): readonly number[] {
  const bytes: number[] = [];
  let left = length;
  do {
    const more = left >= 128;
    bytes.push((left & 0x7f) | (more ? 0x80 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return bytes;
}

/** A PUBLISH of QoS 0. */
export function publishBytes(
  level: number,
  topic: Uint8Array,
  payload: Uint8Array,
  properties: readonly number[] = [0],
): Uint8Array {
  return frameOf(0x30, topic, [...(level === 5 ? properties : []), ...payload]);
}

/** A PUBLISH of QoS 1 without properties. @param id  1 to 65,535 */
export function publishAcknowledged(
  level: number,
  topic: Uint8Array,
  payload: Uint8Array,
  id: number,
): Uint8Array {
  const properties = level === 5 ? [0] : [];
  return frameOf(0x32, topic, [id >> 8, id & 0xff, ...properties, ...payload]);
}

function frameOf(first: number, topic: Uint8Array, rest: readonly number[]): Uint8Array {
  const length = 2 + topic.length + rest.length;
  return Buffer.concat([
    Uint8Array.from([first, ...lengthBytes(length), topic.length >> 8, topic.length & 0xff]),
    topic,
    Uint8Array.from(rest),
  ]);
}
