/** Targets: what a broker behind a WebSocket sends: the answer to the handshake, then frames. */
import { wrongAnswer } from '#platform/node/websocket.ts';
import { frameReader } from '#platform/node/websocket-frames.ts';
import { bytesOf } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { promise } from './promises.ts';

/** RFC 6455 section 1.3 */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ANSWER = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
  'Sec-WebSocket-Protocol: mqtt',
].join('\r\n');

/** What comes out of one reader; how the bytes were cut must not matter. */
function readAll(chunks: readonly Uint8Array[]): { readonly end: string; readonly data: string } {
  const reader = frameReader();
  const data: Uint8Array[] = [];
  for (const chunk of chunks) {
    const got = reader.read(chunk);
    data.push(...got.data);
    promise((got.ping?.length ?? 0) <= 125, 'a ping is short');
    if (got.fault !== null) return { end: got.fault, data: hex(data) };
    if (got.closed !== null) return { end: `closed ${got.closed}`, data: hex(data) };
  }
  return { end: 'ok', data: hex(data) };
}

function hex(parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts).toString('hex');
}

export const WEB_SOCKETS: readonly Target[] = [
  {
    name: 'WebSocket frames',
    shape: 'bytes',
    seeds: [
      Uint8Array.of(0x82, 3, 1, 2, 3, 0x89, 1, 9, 0x02, 1, 7, 0x80, 0, 0x88, 2, 3, 0xe8),
      Uint8Array.of(0x82, 126, 0, 200, ...new Uint8Array(200), 0x8a, 0),
    ],
    run(input) {
      const whole = readAll([input]);
      const single = readAll(Array.from(input, (_, at) => input.subarray(at, at + 1)));
      promise(Bun.deepEquals(whole, single), 'the same byte by byte');
      promise(whole.data.length <= input.length * 2, 'no byte that was not sent');
      return whole.end.replace(/\d+/, '0');
    },
  },
  {
    name: 'WebSocket handshake',
    shape: 'text',
    seeds: [bytesOf(ANSWER), bytesOf('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0')],
    run(input) {
      const wrong = wrongAnswer(input, KEY);
      if (wrong === null) promise(input.includes(0x0d), 'it agreed in more than one line');
      return wrong?.replace(/\d+/, '0') ?? 'ok';
    },
  },
];
