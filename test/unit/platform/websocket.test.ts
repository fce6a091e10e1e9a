/** A WebSocket as a stream of bytes: frames by RFC 6455, the handshake, and everything a server may not do. */
import { describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import fc from 'fast-check';
import { systemSockets } from '#platform/node/sockets.ts';
import { nodeTunnels } from '#platform/node/tunnel.ts';
import { wrongAnswer } from '#platform/node/websocket.ts';
import { frameReader, writeFrame } from '#platform/node/websocket-frames.ts';
import { eventually } from '../../support/eventually.ts';

/** A frame as a server sends it. */
function frame(first: number, payload: Uint8Array, length?: readonly number[]): Uint8Array {
  const { length: bytes } = payload;
  const short = bytes < 126 ? [bytes] : [126, bytes >> 8, bytes & 0xff];
  return Uint8Array.from([first, ...(length ?? short), ...payload]);
}

const bytes = (...of: readonly number[]) => Uint8Array.from(of);
const text = (parts: readonly Uint8Array[]) => Buffer.concat(parts).toString('latin1');
const HELLO = Buffer.from('hello');

function read(...chunks: readonly Uint8Array[]) {
  const reader = frameReader();
  const data: Uint8Array[] = [];
  for (const chunk of chunks) {
    const got = reader.read(chunk);
    data.push(...got.data);
    if (got.fault !== null || got.closed !== null || got.ping !== null) {
      return { data: text(data), fault: got.fault, closed: got.closed, ping: got.ping };
    }
  }
  return { data: text(data), fault: null, closed: null, ping: null };
}

describe('frames of a server', () => {
  test('carry bytes, in one message or in many pieces, with control frames between', () => {
    expect(read(frame(0x82, HELLO)).data).toBe('hello');
    const pieces = [
      frame(0x02, HELLO),
      frame(0x8a, HELLO),
      frame(0x00, bytes()),
      frame(0x80, HELLO),
    ];
    expect(read(Buffer.concat(pieces)).data).toBe('hellohello');
    const long = new Uint8Array(70_000).fill(65);
    const eight = [127, 0, 0, 0, 0, 0, 1, 0x11, 0x70];
    expect(read(frame(0x82, long, eight)).data).toHaveLength(70_000);
  });
  test('say the same however they are cut', () => {
    const stream = Buffer.concat([
      frame(0x02, HELLO),
      frame(0x80, new Uint8Array(300).fill(66)),
      frame(0x82, bytes()),
      frame(0x82, HELLO),
    ]);
    const whole = read(stream).data;
    fc.assert(
      fc.property(fc.array(fc.nat({ max: stream.length }), { maxLength: 12 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
        const chunks = at.slice(1).map((end, index) => stream.subarray(at[index], end));
        expect(read(...chunks).data).toBe(whole);
      }),
    );
  });
  test('a ping is to be answered with what it carries, a close ends with its code', () => {
    expect(read(frame(0x89, HELLO)).ping).toEqual(Uint8Array.from(HELLO));
    expect(read(frame(0x88, bytes(0x03, 0xe9))).closed).toBe(1001);
    expect(read(frame(0x88, bytes())).closed).toBe(1005);
  });
  for (const [why, sent] of [
    ['text came', frame(0x81, HELLO)],
    ['extension', frame(0xc2, HELLO)],
    ['unknown kind 3', frame(0x83, HELLO)],
    ['continues nothing', frame(0x80, HELLO)],
    ['inside another', Buffer.concat([frame(0x02, HELLO), frame(0x82, HELLO)])],
    ['in pieces', frame(0x09, HELLO)],
    ['too long', frame(0x89, new Uint8Array(126))],
    ['masked', bytes(0x82, 0x81, 1, 2, 3, 4, 5)],
    ['as short', bytes(0x82, 126, 0, 5)],
    ['as short', bytes(0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255)],
    ['beyond measure', bytes(0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255)],
  ] as const) {
    test(`${why}: the connection ends, with nothing of the frame handed on`, () => {
      const got = read(sent);
      expect(got.fault).toContain(why);
      expect(got.data.replace('hello', '')).toBe('');
    });
  }
});

describe('frames of this side', () => {
  test('are masked, and as short as they can be', () => {
    const mask = bytes(1, 2, 3, 4);
    expect([...writeFrame('binary', bytes(0xff, 0, 7, 8, 1), mask)]).toEqual([
      ...[0x82, 0x85, 1, 2, 3, 4],
      ...[0xfe, 2, 4, 12, 0],
    ]);
    expect([...writeFrame('pong', bytes(), mask)]).toEqual([0x8a, 0x80, 1, 2, 3, 4]);
    expect([...writeFrame('binary', new Uint8Array(126), mask).subarray(0, 4)]).toEqual([
      ...[0x82, 0xfe, 0, 126],
    ]);
    expect([...writeFrame('binary', new Uint8Array(65_536), mask).subarray(0, 10)]).toEqual([
      ...[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0],
    ]);
  });
});

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
/** RFC 6455 section 1.3 */
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
const AGREED = [
  'HTTP/1.1 101 Switching Protocols',
  'upgrade: WebSocket',
  'Connection: keep-alive, Upgrade',
  `Sec-WebSocket-Accept: ${ACCEPT}`,
  'Sec-WebSocket-Protocol: mqtt',
];

describe('the answer to the handshake', () => {
  test('agrees to all of it', () => {
    expect(wrongAnswer(Buffer.from(AGREED.join('\r\n')), KEY)).toBeNull();
  });
  for (const [why, lines] of [
    ['it answered 200', ['HTTP/1.1 200 OK', ...AGREED.slice(1)]],
    ['it answered 401', ['HTTP/1.1 401 Unauthorized']],
    ['it does not speak HTTP/1.1', ['SSH-2.0-OpenSSH_9.2']],
    ['it does not upgrade', AGREED.filter((line) => !line.startsWith('upgrade'))],
    ['it does not upgrade', AGREED.filter((line) => !line.startsWith('Connection'))],
    ['its answer is to another question', AGREED.map((line) => line.replace('s3pP', 'AAAA'))],
    ['it wants an extension', [...AGREED, 'Sec-WebSocket-Extensions: permessage-deflate']],
    ['it does not speak MQTT there', AGREED.slice(0, -1)],
    ['it does not speak MQTT there', [...AGREED, 'Sec-WebSocket-Protocol: mqtt']],
    ['its answer has a line that is no header', [...AGREED, 'hello']],
  ] as const) {
    test(`${why}: refused`, () => {
      expect(wrongAnswer(Buffer.from(lines.join('\r\n')), KEY)).toBe(why);
    });
  }
});

describe('a connection', () => {
  /** A server that answers the handshake with this, and then is the test's. */
  async function connected(answer: (key: string) => string, then = (_: NetSocket): void => {}) {
    const received: Buffer[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('data', (asked: Buffer) => {
        const key = /Sec-WebSocket-Key: (\S+)/.exec(`${asked}`)?.[1] ?? '';
        socket.on('data', (chunk: Buffer) => void received.push(chunk));
        socket.write(answer(key));
        then(socket);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const { port } = server.address() as AddressInfo;
    const tcp = await systemSockets().connect({ kind: 'tcp', host: '127.0.0.1', port }, 5_000);
    if (!tcp.ok) throw new Error(tcp.fault.message);
    const target = { authority: 'broker:1', path: '/mqtt' };
    const opened = await nodeTunnels().webSocket(tcp.value, target, 5_000);
    return { opened, received, close: () => server.close() };
  }
  function agree(key: string): string {
    const accept = createHash('sha1')
      .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    return `${AGREED.join('\r\n').replace(ACCEPT, accept)}\r\n\r\n`;
  }
  /** What comes out, until it ends. */
  function drained(stream: Duplex): Promise<string> {
    return new Promise((resolve) => {
      let got = '';
      let why = 'ended';
      stream.on('data', (chunk: Buffer) => {
        got += chunk.toString('latin1');
      });
      stream.on('error', (error) => {
        why = error.message;
      });
      stream.on('end', () => stream.destroy());
      stream.on('close', () => resolve(`${got} ${why}`));
    });
  }
  test('bytes both ways; a ping is answered; a close ends it', async () => {
    const { opened, received, close } = await connected(agree, (socket) => {
      socket.write(Buffer.concat([frame(0x82, HELLO), frame(0x89, bytes(7))]));
      socket.write(frame(0x88, bytes(0x03, 0xe8)));
    });
    if (!opened.ok) throw new Error(opened.fault.message);
    const stream = opened.value.stream as Duplex;
    stream.write(Buffer.from('up'));
    expect(await drained(stream)).toBe('hello ended');
    await eventually('what was sent has come', async () => Buffer.concat(received).length >= 6 + 2);
    const sent = Buffer.concat(received);
    expect(sent.includes(Uint8Array.of(0x82, 0x82))).toBe(true);
    expect(sent.includes(Uint8Array.of(0x8a, 0x81))).toBe(true);
    close();
  });
  test('N09: what stands right behind the answer is read as frames, and anything else ends it', async () => {
    const { opened, close } = await connected((key) => `${agree(key)}GET / HTTP/1.1`);
    if (!opened.ok) throw new Error(opened.fault.message);
    expect(await drained(opened.value.stream as Duplex)).toContain('extension');
    close();
  });
  for (const [why, answer] of [
    ['it answered 403', () => 'HTTP/1.1 403 Forbidden\r\n\r\n'],
    ['its answer is too long', () => `HTTP/1.1 101 x\r\nx: ${'y'.repeat(20_000)}`],
  ] as const) {
    test(`${why}: link.websocket, and the socket is closed`, async () => {
      const { opened, close } = await connected(answer);
      expect(opened.ok ? '' : `${opened.fault.code}: ${opened.fault.message}`).toBe(
        `link.websocket: broker:1 opens no WebSocket: ${why}`,
      );
      close();
    });
  }
});
