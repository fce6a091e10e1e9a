/**
 * A WebSocket over a socket that is open and, where it is to be TLS, judged: the runtime's own client
 * could take neither our anchors nor a proxy's tunnel. The answer to the handshake is read under a
 * cap and must be exactly what RFC 6455 wants; from there on the frames are websocket-frames.ts.
 * @see RFC 6455 sections 1.3 and 4.1
 */
import { createHash, randomBytes } from 'node:crypto';
import { Duplex } from 'node:stream';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Socket } from '#platform/tls.ts';
import type { WebSocketTarget } from '#platform/tunnel.ts';
import { socketOf, streamOf } from './sockets.ts';
import { frameReader, writeFrame } from './websocket-frames.ts';

/** bytes of the whole answer to the handshake */
const ANSWER_MAX = 16 * 1024;
const PROTOCOL = 'mqtt';
/** RFC 6455 section 1.3 */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** status code 1000, "normal closure" */
const NORMAL = Uint8Array.of(0x03, 0xe8);

export function openWebSocket(
  socket: Socket,
  { authority, path }: WebSocketTarget,
  timeoutMs: number,
): Promise<Result<Socket>> {
  const stream = streamOf(socket);
  const key = randomBytes(16).toString('base64');
  return new Promise((resolve) => {
    let answer = Buffer.alloc(0);
    const finish = (): void => {
      clearTimeout(timer);
      stream.off('data', onData).off('error', onEnd).off('close', onEnd);
      stream.pause();
    };
    const fail = (reason: string): void => {
      finish();
      socket.close();
      resolve(refuse('link.websocket', { peer: authority, reason }));
    };
    const onEnd = (): void => fail('it closed the connection');
    const onData = (bytes: Buffer): void => {
      answer = Buffer.concat([answer, bytes]);
      const end = answer.indexOf('\r\n\r\n');
      if (end < 0 && answer.length <= ANSWER_MAX) return;
      const wrong = end < 0 ? 'its answer is too long' : wrongAnswer(answer.subarray(0, end), key);
      if (wrong !== null) {
        fail(wrong);
        return;
      }
      finish();
      resolve(ok(socketOf(framed(stream, answer.subarray(end + 4)))));
    };
    const timer = setTimeout(() => fail(`no answer in ${timeoutMs} ms`), timeoutMs);
    stream.on('data', onData).on('error', onEnd).on('close', onEnd);
    stream.write(requestOf(authority, path, key));
    stream.resume();
  });
}

function requestOf(authority: string, path: string, key: string): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${authority}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${key}`,
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Protocol: ${PROTOCOL}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Null: the server agrees to all of it and to nothing else. */
export function wrongAnswer(head: Uint8Array, key: string): string | null {
  const [first = '', ...lines] = Buffer.from(head).toString('latin1').split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1];
  if (status === undefined) return 'it does not speak HTTP/1.1';
  if (status !== '101') return `it answered ${status}`;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) return 'its answer has a line that is no header';
    const name = line.slice(0, colon).toLowerCase();
    const before = headers.get(name);
    const value = line.slice(colon + 1).trim();
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const has = (name: string, wanted: string): boolean =>
    (headers.get(name) ?? '').split(',').some((one) => one.trim().toLowerCase() === wanted);
  if (!has('upgrade', 'websocket') || !has('connection', 'upgrade')) return 'it does not upgrade';
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
  if (headers.get('sec-websocket-accept') !== accept) return 'its answer is to another question';
  if (headers.has('sec-websocket-extensions')) return 'it wants an extension';
  if (headers.get('sec-websocket-protocol') !== PROTOCOL) return 'it does not speak MQTT there';
  return null;
}

/** @param behind  bytes that came behind the answer */
function framed(stream: Duplex, behind: Uint8Array): Duplex {
  const reader = frameReader();
  let early: Uint8Array | null = behind;
  let over = false;
  const send = (kind: 'binary' | 'pong' | 'close', payload: Uint8Array, done?: Done): void => {
    stream.write(writeFrame(kind, payload, randomBytes(4)), done);
  };
  const socket = new Duplex({
    read() {
      // Not before somebody reads: nobody would hear of a fault in it.
      if (early !== null) {
        const first = early;
        early = null;
        take(first);
      }
      stream.resume();
    },
    write: (chunk: Uint8Array, _encoding, done) => send('binary', chunk, done),
    writev: (chunks, done) =>
      send('binary', Buffer.concat(chunks.map(({ chunk }) => chunk as Uint8Array)), done),
    final(done) {
      if (!stream.destroyed) send('close', NORMAL);
      stream.end(done);
    },
    destroy(error, done) {
      stream.destroy();
      done(error);
    },
  });
  const end = (): void => {
    if (over) return;
    over = true;
    socket.push(null);
  };
  const take = (chunk: Uint8Array): void => {
    if (over || socket.destroyed) return;
    const { data, ping, closed, fault } = reader.read(chunk);
    let room = true;
    for (const part of data) room = socket.push(part) && room;
    if (!room) stream.pause();
    if (fault !== null) return void socket.destroy(new Error(fault));
    // Unread answers would pile up here: whoever does not read is owed none.
    if (ping !== null && stream.writableLength < ANSWER_MAX) send('pong', ping);
    if (closed !== null) {
      send('close', NORMAL);
      end();
    }
  };
  stream.on('data', take);
  stream.once('end', end);
  stream.once('close', end);
  stream.on('error', (error) => void socket.destroy(error));
  return Object.assign(socket, addressOf(stream));
}

type Done = (error?: Error | null) => void;

/** For messages: who is at the other end of the socket below. */
function addressOf(stream: object): object {
  if (!('remoteAddress' in stream) || !('remotePort' in stream)) return {};
  return { remoteAddress: stream.remoteAddress, remotePort: stream.remotePort };
}
