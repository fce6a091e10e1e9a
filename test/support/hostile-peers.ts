/**
 * A registry and a broker that mean harm, one trick after the other, each connection or request the
 * next: lies about lengths, bodies that never end or never come, bombs, redirects, floods, frames of
 * 256 MB, connections that are dropped as soon as they are up.
 */
import { createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { MEDIA } from '#state/media-types.ts';
import { writeNudge } from '#wire/nudge.ts';
import {
  connack,
  publishAcknowledged,
  publishBytes,
  type RawConnection,
  rawBroker,
} from './raw-broker.ts';

export interface HostilePeer {
  readonly port: number;
  /** how often each trick was played */
  readonly played: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

type Trick<T> = readonly [name: string, play: (at: T) => void];

const CHUNK = Buffer.alloc(64 * 1024, 'x');
const BOMB = gzipSync(Buffer.alloc(50_000_000));
const TYPE = `Content-Type: ${MEDIA.ociManifest}`;

function head(status: string, ...lines: readonly string[]): string {
  return [`HTTP/1.1 ${status}`, ...lines, '', ''].join('\r\n');
}

/** `first`, then the same bytes until the other side ends it. */
function pour(socket: Socket, first: string | Uint8Array, bytes: Uint8Array | string): void {
  socket.write(first);
  const more = (): void => {
    while (!socket.destroyed && socket.writable && socket.write(bytes));
    if (!socket.destroyed) socket.once('drain', more);
  };
  more();
}

const GZIP = ['Content-Encoding: gzip', `Content-Length: ${BOMB.length}`];
const CHUNKED = 'Transfer-Encoding: chunked';
const OK = 'HTTP/1.1 200 OK\r\n';
const TOKENS = 'WWW-Authenticate: Bearer realm="http://127.0.0.1:1/",service="x"';

const ANSWERS: readonly Trick<Socket>[] = [
  ['slow-loris', drip],
  ['endless body', (at) => pour(at, head('200 OK', TYPE), CHUNK)],
  ['endless headers', (at) => pour(at, OK, `X-A: ${'y'.repeat(999)}\r\n`)],
  ['endless 1xx', (at) => pour(at, '', 'HTTP/1.1 100 Continue\r\n\r\n')],
  ['endless chunks', (at) => pour(at, head('200 OK', TYPE, CHUNKED), '1\r\nx\r\n')],
  ['length above the body', (at) => at.end(`${lengthOf(1_000)}{}`)],
  ['length below the body', (at) => at.end(`${lengthOf(2)}{}${CHUNK}`)],
  ['length of 2^63', (at) => at.write(lengthOf('9223372036854775807'))],
  ['redirect to itself', (at) => at.end(empty('307 Temporary Redirect', 'Location: /v2/'))],
  ['redirect elsewhere', (at) => at.end(empty('302 Found', 'Location: http://169.254.169.254/'))],
  [
    'bomb by content-encoding',
    (at) => at.end(Buffer.concat([Buffer.from(head('200 OK', TYPE, ...GZIP)), BOMB])),
  ],
  ['manifest of deep JSON', (at) => at.end(withBody('['.repeat(500_000)))],
  ['manifest of many layers', (at) => at.end(withBody(manyLayers()))],
  ['401 for ever', (at) => at.end(empty('401 Unauthorized', TOKENS))],
  ['503 with Retry-After', (at) => at.end(empty('503 Service Unavailable', 'Retry-After: 1'))],
  ['no HTTP', (at) => at.end('SSH-2.0-OpenSSH_9.2\r\n')],
  ['reset', (at) => at.resetAndDestroy()],
  ['no answer', () => undefined],
];

function lengthOf(bytes: number | string): string {
  return head('200 OK', TYPE, `Content-Length: ${bytes}`);
}

function empty(status: string, line: string): string {
  return head(status, line, 'Content-Length: 0');
}

function drip(socket: Socket): void {
  socket.write('HTTP/1.1 200 OK\r\nX-A: ');
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer);
    else socket.write('y');
  }, 200);
  socket.once('close', () => clearInterval(timer));
}

function withBody(body: string): string {
  return head('200 OK', TYPE, `Content-Length: ${Buffer.byteLength(body)}`) + body;
}

function manyLayers(): string {
  const layer = { mediaType: MEDIA.file, digest: `sha256:${'ab'.repeat(32)}`, size: 1 };
  const layers = Array.from({ length: 5_000 }, () => layer);
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config: layer, layers });
}

export async function hostileRegistry(): Promise<HostilePeer> {
  const played = new Map<string, number>();
  const sockets = new Set<Socket>();
  let next = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    // One trick a connection: what comes after its first request is part of it.
    socket.once('data', () => {
      const [name, play] = ANSWERS[next % ANSWERS.length] ?? ANSWERS[0] ?? ['', () => undefined];
      next += 1;
      played.set(name, (played.get(name) ?? 0) + 1);
      play(socket);
    });
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    played,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** What is sent on the topic of nudges. */
function nudgeOf(channel: string, sequence: bigint, contents: readonly Uint8Array[]): Uint8Array {
  return writeNudge({
    ...{ channel, epoch: 1n, sequence, stateDigest: null, manifestDigest: null, urgent: true },
    ...{ envelope: null, roots: [], contents },
  });
}

const FLOOD = 20_000;
const PROPERTIES = 30_000;

function frames(topicRoot: string, channel: string): readonly Trick<RawConnection>[] {
  const topic = Buffer.from(`${topicRoot}/c/${channel}/nudge`);
  const say = ({ level, socket }: RawConnection, payload: Uint8Array): void => {
    if (!socket.destroyed) socket.write(publishBytes(level, topic, payload));
  };
  return [
    [
      'PUBLISH of 256 MB',
      ({ socket }) => pour(socket, Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x61), CHUNK),
    ],
    ['dropped at once', ({ socket }) => socket.destroy()],
    [
      'flood of nudges',
      (at) => {
        for (let count = 0; count < FLOOD; count += 1) say(at, nudgeOf(channel, BigInt(count), []));
      },
    ],
    [
      'flood of nudges of QoS 1',
      ({ level, socket }) => {
        for (let count = 0; count < FLOOD && !socket.destroyed; count += 1) {
          const payload = nudgeOf(channel, BigInt(count), []);
          socket.write(publishAcknowledged(level, topic, payload, (count % 65_535) + 1));
        }
      },
    ],
    [
      'nudges of 100 KB',
      (at) => {
        const contents = [new Uint8Array(100_000)];
        for (let count = 0; count < 200; count += 1)
          say(at, nudgeOf(channel, BigInt(count), contents));
      },
    ],
    [
      'flood of nonsense',
      (at) => {
        for (let count = 0; count < FLOOD; count += 1) say(at, Buffer.from(`nonsense ${count}`));
      },
    ],
    ['a length without end', ({ send }) => send([0x30, 0x80, 0x80, 0x80, 0x80, 0x80])],
    [
      'many user properties',
      ({ send }) => send(publishBytes(5, topic, Buffer.alloc(1), properties())),
    ],
    ['a message that never ends', ({ send }) => send([0x30, 0x80, 0x40, 0, 200])],
    ['silence', () => undefined],
  ];
}

/** MQTT 5: user properties (0x26) without content, their length before them. */
function properties(): readonly number[] {
  const bytes = Array.from({ length: PROPERTIES }, () => [0x26, 0, 0, 0, 0]).flat();
  const { length } = bytes;
  return [(length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14, ...bytes];
}

export async function hostileBroker(topicRoot: string, channel: string): Promise<HostilePeer> {
  const played = new Map<string, number>();
  const tricks = frames(topicRoot, channel);
  let next = 0;
  const note = (name: string): void => void played.set(name, (played.get(name) ?? 0) + 1);
  const broker = await rawBroker({
    connack(level, count) {
      if (count % 5 !== 0) return connack(level, 0);
      note('CONNECT refused');
      return connack(level, level === 5 ? 0x87 : 5);
    },
    subscribed(connection) {
      const [name, play] = tricks[next % tricks.length] ?? tricks[0] ?? ['', () => undefined];
      next += 1;
      note(name);
      play(connection);
    },
  });
  return { port: broker.port, played, close: broker.close };
}
