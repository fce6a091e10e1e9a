/**
 * A broker that means harm, or is broken: the link ends the connection with a reason, comes back by
 * its backoff, and neither throws nor collects memory. Attack rows M in titles.
 */
import { afterEach, describe, expect, test } from 'bun:test';
import { systemClock } from '#platform/node/clock.ts';
import { gate } from '#triggers/gate.ts';
import { nudge } from '#triggers/nudge.ts';
import { writeNudge } from '#wire/nudge.ts';
import { eventually } from '../support/eventually.ts';
import { brokerAt, ROOT, type WatchedLink, watchedLink } from '../support/mqtt-world.ts';
import {
  connack,
  publishAcknowledged,
  publishBytes,
  type RawAnswers,
  type RawBroker,
  type RawConnection,
  rawBroker,
} from '../support/raw-broker.ts';
import { seededRandom } from '../support/seeded-random.ts';

const encoder = new TextEncoder();
const NUDGE_TOPIC = encoder.encode(`${ROOT}/c/stable/nudge`);
const MiB = 1024 * 1024;

const open: { watched: WatchedLink; broker: RawBroker }[] = [];
afterEach(async () => {
  for (const { watched, broker } of open.splice(0)) {
    await broker.close();
    await watched.link.close();
  }
});

async function against(
  answers: RawAnswers,
  protocol: 'auto' | '5' | '3.1.1' = 'auto',
): Promise<{ watched: WatchedLink; broker: RawBroker }> {
  const broker = await rawBroker(answers);
  const watched = watchedLink(brokerAt(`mqtt://127.0.0.1:${broker.port}`, { protocol }));
  open.push({ watched, broker });
  watched.link.start();
  return { watched, broker };
}

function nudgeBytes(sequence: bigint): Uint8Array {
  return writeNudge({
    channel: 'stable',
    epoch: 1n,
    sequence,
    stateDigest: null,
    manifestDigest: null,
    urgent: false,
    envelope: null,
    roots: [],
    contents: [],
  });
}

/** The first connection gets these bytes after it is up; the others are left in peace. */
function once(attack: (connection: RawConnection) => void): RawAnswers {
  let done = false;
  return {
    subscribed(connection) {
      if (done) return;
      done = true;
      attack(connection);
    },
  };
}

describe('the frames of a hostile broker', () => {
  for (const protocol of ['5', '3.1.1'] as const) {
    test(`M01: a PUBLISH of 256 MB ends the connection at its header (${protocol})`, async () => {
      const before = process.memoryUsage().rss;
      const { watched } = await against(
        once(({ send, socket }) => {
          send([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x61]);
          const chunk = new Uint8Array(64 * 1024);
          const pour = (): void => {
            while (!socket.destroyed && socket.writable && socket.write(chunk));
            if (!socket.destroyed) socket.once('drain', pour);
          };
          pour();
        }),
        protocol,
      );
      await watched.fault('link.mqtt-too-large');
      await watched.up();
      expect(process.memoryUsage().rss - before).toBeLessThan(64 * MiB);
    }, 20_000);
  }

  for (const [what, bytes] of [
    ['M02: a length of five bytes', [0x30, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0]],
    ['M02: a length that never ends', [0x30, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]],
    ['a packet of type 0', [0x00, 0x00]],
    ['a packet of type 15 without a reason', [0xf0, 0x00]],
    ['a second CONNACK', [0x20, 3, 0, 0, 0]],
    ['a SUBACK that nobody waits for', [0x90, 4, 0x7f, 0x7f, 0, 0]],
    ['a PUBACK that nobody waits for', [0x40, 2, 0x7f, 0x7f]],
    ['a PUBLISH shorter than its topic', [0x30, 3, 0, 200, 0x61]],
    ['M03: a topic of NUL', publishBytes(5, encoder.encode('a\0b'), new Uint8Array(1))],
    [
      'M03: a topic with wildcards',
      publishBytes(5, encoder.encode(`${ROOT}/c/+/nudge`), NUDGE_TOPIC),
    ],
    [
      'M03: a topic of 64 KiB',
      publishBytes(5, new Uint8Array(65_000).fill(0x61), new Uint8Array(1)),
    ],
    [
      'M03: a topic that is no UTF-8',
      publishBytes(5, new Uint8Array([0xff, 0xfe]), new Uint8Array(1)),
    ],
    ['M09: topic alias 0', publishBytes(5, new Uint8Array(), NUDGE_TOPIC, [3, 0x23, 0, 0])],
    [
      'M09: a topic alias out of range',
      publishBytes(5, new Uint8Array(), NUDGE_TOPIC, [3, 0x23, 0xff, 0xff]),
    ],
    ['M10: a QoS 2 id used twice', [0x34, 6, 0, 1, 0x61, 0, 1, 0, 0x34, 6, 0, 1, 0x61, 0, 1, 0]],
    ['QoS 3', [0x36, 6, 0, 1, 0x61, 0, 1, 0]],
    ['properties longer than the packet', publishBytes(5, NUDGE_TOPIC, new Uint8Array(2), [0x7f])],
    [
      'M14: user properties to the brim',
      publishBytes(5, NUDGE_TOPIC, new Uint8Array(1), userProperties(18_000)),
    ],
    ['text', encoder.encode('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['a DISCONNECT', [0xe0, 2, 0x8b, 0]],
    ['an AUTH', [0xf0, 2, 0x18, 0]],
  ] as const) {
    test(`${what}: the link is up afterwards, and works`, async () => {
      const { watched } = await against(once(({ send }) => send(bytes)));
      await watched.up(1);
      await eventually('it works', async () => {
        if (watched.link.state().kind !== 'up') {
          watched.link.kick();
          return false;
        }
        return (await watched.link.publish('a/b', new Uint8Array(1), false)).ok;
      });
      expect(watched.events.filter(({ kind }) => kind === 'nudge').length).toBeLessThanOrEqual(1);
    }, 20_000);
  }
});

describe('a broker that does not take the device', () => {
  test('M04: refuses, then takes it: the link goes on by itself', async () => {
    const { watched, broker } = await against({
      connack: (level, count) => connack(level, count > 2 ? 0 : 0x87),
    });
    await watched.fault('link.mqtt-refused');
    await eventually('it is up', () => {
      watched.link.kick();
      return watched.link.state().kind === 'up';
    });
    expect(broker.connects).toEqual([5, 5, 5]);
    expect(watched.link.state().lastFault).toBeNull();
  }, 20_000);

  for (const [how, answer] of [
    ['0x84', [0x20, 3, 0, 0x84, 0]],
    ['return code 1 of 3.1.1', [0x20, 2, 0, 1]],
  ] as const) {
    test(`auto: answers ${how} to MQTT 5 and is spoken to in 3.1.1 at once`, async () => {
      const { watched, broker } = await against({
        connack: (level) => (level === 5 ? answer : connack(level, 0)),
      });
      await watched.up();
      expect(broker.connects).toEqual([5, 4]);
      expect(watched.link.state().protocol).toBe('3.1.1');
      expect(watched.events[0]).toEqual({ kind: 'protocol', protocol: '3.1.1' });
    });
  }

  test('auto: closes at MQTT 5 without an answer and is spoken to in 3.1.1', async () => {
    const { watched, broker } = await against({
      connack: (level) => (level === 5 ? null : connack(level, 0)),
    });
    await watched.up();
    expect(broker.connects).toEqual([5, 4]);
  });

  test('M13: closes at once: three seconds see no more than four connections', async () => {
    const { watched, broker } = await against({ accepted: (socket) => void socket.destroy() });
    const end = Date.now() + 3_000;
    await eventually('three seconds', () => Date.now() >= end);
    expect(broker.accepted()).toBeGreaterThanOrEqual(1);
    expect(broker.accepted()).toBeLessThanOrEqual(4);
    expect(watched.link.state()).toMatchObject({ kind: 'down', lastFault: { code: 'link.cut' } });
  });
});

describe('M07: a flood of 10,000 nudges a second', () => {
  /** 300 times 100 nudges */
  async function flooded(publish: typeof publishAcknowledged) {
    const clock = systemClock();
    const { watched } = await against({
      subscribed({ level, socket }) {
        const flood = Buffer.concat(
          Array.from({ length: 100 }, (_, i) =>
            publish(level, NUDGE_TOPIC, nudgeBytes(BigInt(i + 1)), i + 1),
          ),
        );
        let left = 300;
        const pour = (): void => {
          while (left > 0 && !socket.destroyed) {
            left -= 1;
            if (!socket.write(flood)) {
              socket.once('drain', pour);
              return;
            }
          }
        };
        pour();
      },
    });
    const before = process.memoryUsage().rss;
    const door = gate({ clock, random: seededRandom(1), perMinute: 6 });
    const trigger = nudge({ clock, link: watched.link, channels: ['stable'], floor: () => null });
    const stop = trigger.start(door.wake);
    const abort = new AbortController();
    let cycles = 0;
    const loop = (async () => {
      while ((await door.next(abort.signal)).length > 0) cycles += 1;
    })();
    return {
      watched,
      received: () => trigger.counts().received,
      async ends() {
        expect(watched.link.state().kind).toBe('up');
        expect(cycles).toBeLessThanOrEqual(8);
        expect(process.memoryUsage().rss - before).toBeLessThan(64 * MiB);
        abort.abort();
        await loop;
        stop();
      },
    };
  }

  test('of QoS 1: all are read, for the ration of cycles and no memory; the link stays up', async () => {
    const { received, ends } = await flooded(publishAcknowledged);
    await eventually('all 30,000 arrived', () => received() === 30_000, 30_000);
    await ends();
  }, 60_000);

  test('of QoS 0: most are dropped unread, and what is acknowledged passes', async () => {
    const { watched, received, ends } = await flooded((level, topic, payload) =>
      publishBytes(level, topic, payload),
    );
    await eventually('the flood is there', () => received() >= 200, 30_000);
    // Behind all of it in the stream.
    expect((await watched.link.publish('a/b', new Uint8Array(1), false)).ok).toBe(true);
    expect(received()).toBeLessThan(3_000);
    await ends();
  }, 60_000);
});

/** A property length and as many one-letter user properties as fit into it. */
function userProperties(count: number): readonly number[] {
  const one = [0x26, 0, 1, 0x61, 0, 1, 0x62];
  const bytes = one.length * count;
  const length = [(bytes & 0x7f) | 0x80, ((bytes >> 7) & 0x7f) | 0x80, bytes >> 14];
  return [...length, ...Array.from({ length: count }, () => one).flat()];
}
