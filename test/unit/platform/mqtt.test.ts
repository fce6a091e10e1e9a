/** One MQTT connection against brokers that are not what they should be, byte by byte. */
import { afterEach, describe, expect, test } from 'bun:test';
import { createServer, type Socket as NetSocket, type Server } from 'node:net';
import fc from 'fast-check';
import type { Result } from '#errors/fault.ts';
import type { MqttConnection, MqttOptions } from '#platform/mqtt.ts';
import { mqttClient } from '#platform/node/mqtt.ts';
import { type FrameWatch, frameWatch } from '#platform/node/mqtt-frames.ts';
import { ration } from '#platform/node/mqtt-ration.ts';
import { systemSockets } from '#platform/node/sockets.ts';

const CAP = 1_000;
const servers: { server: Server; sockets: Set<NetSocket> }[] = [];
afterEach(() => {
  for (const { server, sockets } of servers.splice(0)) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.fault.code);
const bytes = (...values: readonly number[]): Buffer => Buffer.from(values);
const CONNACK = { 5: bytes(0x20, 3, 0, 0, 0), 4: bytes(0x20, 2, 0, 0) } as const;

/** A broker that answers each packet, by its type, with the bytes of `script`. */
async function broker(
  script: (type: number, socket: NetSocket, packet: Buffer) => void,
): Promise<number> {
  const sockets = new Set<NetSocket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (packet: Buffer) => script((packet[0] ?? 0) >> 4, socket, packet));
  });
  servers.push({ server, sockets });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

interface Opened {
  readonly connection: Result<MqttConnection>;
  /** code of the fault that ended it, or ok */
  readonly closed: Promise<string>;
  readonly messages: [string, Uint8Array, boolean][];
}

async function open(port: number, more: Partial<MqttOptions> = {}): Promise<Opened> {
  const socket = await systemSockets().connect({ kind: 'tcp', host: '127.0.0.1', port }, 2_000);
  if (!socket.ok) throw new Error(socket.fault.message);
  const messages: [string, Uint8Array, boolean][] = [];
  const closed = Promise.withResolvers<string>();
  const connection = await mqttClient().connect(
    {
      clientId: 'device',
      version: 5,
      keepaliveSeconds: 60,
      sessionExpirySeconds: 60,
      messageCap: CAP,
      connectTimeoutMs: 2_000,
      onMessage: (topic, payload, retained) => messages.push([topic, payload, retained]),
      onClosed: (why) => closed.resolve(codeOf(why)),
      ...more,
    },
    socket.value,
  );
  return { connection, closed: closed.promise, messages };
}

/** How it ended, whether that came before or after CONNACK was read. */
async function endOf(opening: Promise<Opened>): Promise<string> {
  const { connection, closed } = await opening;
  return connection.ok ? closed : connection.fault.code;
}

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.fault.message);
  return result.value;
}

describe('CONNACK', () => {
  for (const [name, version, answer, code] of [
    ['3.1.1 only, asked in 5', 5, bytes(0x20, 2, 0, 1), 'link.mqtt-protocol'],
    ['unsupported version in 5', 5, bytes(0x20, 3, 0, 0x84, 0), 'link.mqtt-protocol'],
    ['unacceptable version in 3.1.1', 4, bytes(0x20, 2, 0, 1), 'link.mqtt-protocol'],
    ['wrong password in 5', 5, bytes(0x20, 3, 0, 0x86, 0), 'link.mqtt-refused'],
    ['wrong password in 3.1.1', 4, bytes(0x20, 2, 0, 4), 'link.mqtt-refused'],
    ['banned', 5, bytes(0x20, 3, 0, 0x8a, 0), 'link.mqtt-refused'],
    ['an HTTP server', 5, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'link.cut'],
  ] as const) {
    test(`${name}: ${code}`, async () => {
      const port = await broker((_type, socket) => socket.write(answer));
      expect(codeOf((await open(port, { version, connectTimeoutMs: 500 })).connection)).toBe(code);
    });
  }

  test('none: link.timeout', async () => {
    const port = await broker(() => {});
    const { connection } = await open(port, { connectTimeoutMs: 50 });
    expect(codeOf(connection)).toBe('link.timeout');
  });

  test('a connection that closes instead: link.cut', async () => {
    const port = await broker((_type, socket) => socket.end());
    expect(codeOf((await open(port)).connection)).toBe('link.cut');
  });
});

describe('an open connection', () => {
  const script =
    (version: 4 | 5, after: Buffer) =>
    (type: number, socket: NetSocket): void => {
      if (type === 1) socket.write(Buffer.concat([CONNACK[version], after]));
    };

  test('M01: ends at the header of a message of 256 MB, before its body', async () => {
    let received = 0;
    const port = await broker((type, socket) => {
      if (type !== 1) return;
      socket.write(Buffer.concat([CONNACK[5], bytes(0x30, 0xff, 0xff, 0xff, 0x7f)]));
      const more = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536))) received += 65_536;
        if (!socket.destroyed) socket.once('drain', more);
      };
      more();
    });
    expect(await endOf(open(port))).toBe('link.mqtt-too-large');
    expect(received).toBeLessThan(64_000_000);
  });

  test('M02: ends at a length of five bytes', async () => {
    const port = await broker(script(5, bytes(0x30, 0x80, 0x80, 0x80, 0x80, 1)));
    expect(await endOf(open(port))).toBe('link.cut');
  });

  test('a DISCONNECT that says "taken over" right before the end: link.mqtt-taken-over (M11)', async () => {
    const port = await broker((type, socket) => {
      if (type === 1) socket.end(Buffer.concat([CONNACK[5], bytes(0xe0, 1, 0x8e)]));
    });
    expect(await (await open(port)).closed).toBe('link.mqtt-taken-over');
  });

  test('a second CONNACK ends it', async () => {
    const port = await broker(script(5, CONNACK[5]));
    expect(await (await open(port)).closed).toStartWith('link.');
  });

  test('M09: a topic alias that was never set ends it', async () => {
    const publish = bytes(0x30, 6, 0, 0, 3, 0x23, 0, 9);
    const port = await broker(script(5, publish));
    expect(await (await open(port)).closed).toStartWith('link.');
  });

  test('a message arrives as a copy, with its retain flag', async () => {
    const publish = bytes(0x31, 6, 0, 1, 0x61, 0, 7, 8);
    const port = await broker(script(5, publish));
    const opened = await open(port);
    while (opened.messages.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(opened.messages).toEqual([['a', new Uint8Array([7, 8]), true]]);
    must(opened.connection).destroy();
    expect(await opened.closed).toBe('ok');
  });

  test('what was not acknowledged when it ends fails, and so does what comes after', async () => {
    const port = await broker((type, socket) => {
      if (type === 1) socket.write(CONNACK[5]);
      if (type === 3) socket.end();
    });
    const { connection, closed } = await open(port);
    const sent = await must(connection).publish('t', new Uint8Array(3), false);
    expect(codeOf(sent)).toStartWith('link.');
    await closed;
    expect(codeOf(await must(connection).publish('t', new Uint8Array(3), false))).toBe('link.down');
  });

  test('a refused PUBACK and a refused SUBACK are link.mqtt-refused', async () => {
    const port = await broker((type, socket, packet) => {
      if (type === 1) socket.write(CONNACK[5]);
      if (type === 3) socket.write(bytes(0x40, 4, ...packet.subarray(5, 7), 0x87, 0));
      if (type === 8) socket.write(bytes(0x90, 4, ...packet.subarray(2, 4), 0, 0x87));
    });
    const connection = must((await open(port)).connection);
    expect(codeOf(await connection.publish('t', new Uint8Array(3), false))).toBe(
      'link.mqtt-refused',
    );
    expect(codeOf(await connection.subscribe(['t']))).toBe('link.mqtt-refused');
    connection.destroy();
  });

  test('a broker that does not answer a ping is left after one and a half intervals', async () => {
    const port = await broker(script(5, Buffer.alloc(0)));
    const before = performance.now();
    const { closed } = await open(port, { keepaliveSeconds: 1 });
    expect(await closed).toBe('link.timeout');
    expect(performance.now() - before).toBeLessThan(3_000);
  });

  test('end says DISCONNECT and does not wait for ever for a mute broker', async () => {
    let last = 0;
    const port = await broker((type, socket) => {
      last = type;
      if (type === 1) socket.write(CONNACK[5]);
    });
    const { connection, closed } = await open(port);
    await must(connection).end();
    expect(await closed).toBe('ok');
    while (last !== 14) await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('the frame watch', () => {
  const packet = (size: number): Buffer => {
    const length: number[] = [];
    for (let rest = size; ; rest = Math.floor(rest / 128)) {
      length.push((rest % 128) | (rest >= 128 ? 0x80 : 0));
      if (rest < 128) break;
    }
    return Buffer.concat([bytes(0x30, ...length), Buffer.alloc(size, 0xff)]);
  };

  test('lets every stream of packets up to the cap through, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 10 }),
        fc.integer({ min: 1, max: 300 }),
        (sizes, cut) => {
          const stream = Buffer.concat(sizes.map(packet));
          const watch = frameWatch(500);
          const handed: Uint8Array[] = [];
          for (let at = 0; at < stream.length; at += cut) {
            handed.push(...handedOf(watch.read(stream.subarray(at, at + cut))));
          }
          expect(Buffer.concat(handed).equals(stream)).toBe(true);
        },
      ),
    );
  });

  test('names the first packet above the cap', () => {
    const stream = Buffer.concat([packet(500), packet(501)]);
    expect(frameWatch(500).read(stream)).toEqual({ kind: 'too-large', bytes: 501 });
  });

  test('M07: drops whole messages of QoS 0 above the ration and nothing else, however cut', () => {
    const kinds = [0x30, 0x31, 0x38, 0x32, 0x34, 0xd0, 0x90];
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...kinds), fc.integer({ min: 0, max: 300 })), {
          maxLength: 12,
        }),
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 0, max: 4 }),
        (wanted, cut, most) => {
          const frames = wanted.map(([first, size], index) => {
            const frame = packet(size);
            frame[0] = first;
            return { frame: frame.fill(index, frame.length - size), first };
          });
          let left = most;
          const take = (): boolean => {
            left -= 1;
            return left >= 0;
          };
          const watch = frameWatch(500, { take });
          const stream = Buffer.concat(frames.map(({ frame }) => frame));
          const handed: Uint8Array[] = [];
          for (let at = 0; at < stream.length; at += cut) {
            handed.push(...handedOf(watch.read(stream.subarray(at, at + cut))));
          }
          let kept = most;
          const expected = frames.filter(({ first }) => {
            if (first >> 4 !== 3 || (first & 6) !== 0) return true;
            kept -= 1;
            return kept >= 0;
          });
          expect(Buffer.concat(handed)).toEqual(Buffer.concat(expected.map(({ frame }) => frame)));
        },
      ),
    );
  });
});

describe('the ration of messages of QoS 0', () => {
  const rationed = () => {
    const clock = { nowMs: 1_000 };
    const options = { burst: 3, perSecond: 2, burstBytes: 1_000, bytesPerSecond: 100 };
    return { clock, ...ration(() => clock.nowMs, options) };
  };

  test('is so many at once, then by the second, and never more than at the start', () => {
    const { clock, take } = rationed();
    expect([take(1), take(1), take(1), take(1)]).toEqual([true, true, true, false]);
    clock.nowMs += 500;
    expect([take(1), take(1)]).toEqual([true, false]);
    clock.nowMs += 3_600_000;
    expect([take(1), take(1), take(1), take(1)]).toEqual([true, true, true, false]);
  });

  test('counts bytes as well', () => {
    const { clock, take } = rationed();
    expect([take(900), take(200), take(100)]).toEqual([true, false, true]);
    clock.nowMs += 1_000;
    expect([take(101), take(100)]).toEqual([false, true]);
  });

  test('a clock that goes back gives nothing', () => {
    const { clock, take } = rationed();
    expect([take(1), take(1), take(1)]).toEqual([true, true, true]);
    clock.nowMs -= 10_000;
    expect(take(1)).toBe(false);
  });
});

function handedOf(read: ReturnType<FrameWatch['read']>): readonly Uint8Array[] {
  if ('kind' in read) throw new Error(read.kind);
  return read;
}
