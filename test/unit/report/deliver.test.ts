/** When a status is sent, what it carries of the outbox, and that reporting commits nothing. */
import { describe, expect, test } from 'bun:test';
import { generateKeyPairSync, sign } from 'node:crypto';
import { type Fault, fault, ok, refused } from '#errors/fault.ts';
import type { MqttLinkEvent } from '#link/mqtt.ts';
import { type Delivery, deliverStatus, type Snapshot } from '#report/deliver.ts';
import { eventOf } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import { sha256 } from '#state/digest.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Phase, Status } from '#state/status.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf, rawFromSpki, verifyEd25519 } from '#trust/ed25519.ts';
import { readEnvelopeMessage } from '#wire/envelope-message.ts';
import { readStatus } from '#wire/status.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { memoryOutbox } from '../../support/memory-outbox.ts';
import { seededRandom } from '../../support/seeded-random.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const KEY = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));

/** Opens and verifies what was published, as a hub does. */
function opened(message: Uint8Array): { status: Status; payload: Uint8Array } {
  const envelope = readEnvelopeMessage(message);
  if (!envelope.ok) throw new Error(envelope.fault.message);
  const { payloadType, payload, signatures } = envelope.value;
  const status = readStatus(payload);
  if (!status.ok) throw new Error(status.fault.message);
  const raw = rawFromSpki(status.value.deviceKey) ?? new Uint8Array();
  const [signature] = signatures;
  expect(payloadType).toBe(PAYLOAD.status);
  expect(signature?.keyid).toBe(keyidOf(KEY));
  const signed = pae(PAYLOAD.status, payload);
  expect(verifyEd25519(raw, signed, signature?.sig ?? new Uint8Array())).toBe(true);
  return { status: status.value, payload };
}

function made(boot = 7n, outbox = memoryOutbox()) {
  const clock = manualClock();
  const listeners = new Set<(event: MqttLinkEvent) => void>();
  const published: { topic: string; message: Uint8Array; retain: boolean; at: number }[] = [];
  const world = {
    up: true,
    phase: 'idle' as Phase,
    restarts: 0,
    answer: (): Fault | null | Promise<Fault | null> => null,
  };
  const delivery: Delivery = deliverStatus({
    clock,
    random: seededRandom(1),
    log: { write: () => {} },
    topic: 'r/d/press-7/status',
    signer: {
      publicKey: KEY,
      sign: (message) => Promise.resolve(ok(new Uint8Array(sign(null, message, privateKey)))),
    },
    store: outbox.reader,
    boot,
    snapshot: () => ok(snapshotOf(world.phase, world.restarts, clock.wallMs())),
    link: {
      state: () => ({
        kind: world.up ? 'up' : 'down',
        since: 0,
        lastFault: null,
        protocol: '5',
      }),
      listen(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      async publish(topic, message, retain) {
        published.push({ topic, message, retain, at: clock.monotonicMs() });
        const why = await world.answer();
        return why ? refused(why) : ok(undefined);
      },
    },
  });
  return {
    clock,
    outbox,
    world,
    delivery,
    published,
    statuses: () => published.map(({ message }) => opened(message).status),
    comesUp() {
      world.up = true;
      for (const listener of listeners) listener({ kind: 'up', protocol: '5' });
    },
  };
}

function snapshotOf(phase: Phase, restarts: number, at: number): Snapshot {
  const digest = sha256(new Uint8Array());
  const common = { desired: null, applied: null, via: null, refused: null, waitingFor: '' };
  return {
    fleet: '00112233445566778899aabbccddeeff',
    deviceId: 'press-7',
    at,
    timeGrade: 'estimated',
    agentVersion: '0.1.0',
    labels: {},
    rootVersion: 1n,
    channels: [
      {
        channel: 'stable',
        ...common,
        phase,
        degraded: false,
        heldByOperator: false,
        freshness: 'unknown',
        deployments: [{ id: 'a', digest, health: 'healthy', code: '', message: '', restarts }],
      },
    ],
  };
}

function tell(outbox: ReturnType<typeof memoryOutbox>, times: number): void {
  outbox.commit((tx) => {
    for (let i = 0; i < times; i += 1) {
      queueEvent(tx, eventOf('drift.repaired', { at: 1, channel: 'stable' }, { what: 'plc.conf' }));
    }
  });
}

describe('delivery', () => {
  test('sends one signed, retained status when it starts with a link', async () => {
    const { clock, delivery, published, statuses } = made();
    delivery.start();
    await clock.advance(60_000);
    expect(published).toHaveLength(1);
    expect(published[0]).toMatchObject({ topic: 'r/d/press-7/status', retain: true });
    expect(statuses()[0]).toMatchObject({ boot: 7n, report: 1n, previousReport: null });
    expect(clock.pending()).toBe(0);
  });

  test('waits for the link without a timer, then sends only the newest', async () => {
    const { clock, world, delivery, published, statuses, comesUp } = made();
    world.up = false;
    delivery.start();
    for (const phase of ['preparing', 'activating', 'proving', 'idle'] as const) {
      world.phase = phase;
      delivery.changed('phase');
      await clock.advance(60_000);
    }
    expect(published).toHaveLength(0);
    expect(clock.pending()).toBe(0);
    comesUp();
    await clock.settle();
    expect(statuses().map(({ channels }) => channels[0]?.phase)).toEqual(['idle']);
  });

  test('names the report before it', async () => {
    const { clock, world, delivery, published, statuses } = made();
    delivery.start();
    await clock.settle();
    world.phase = 'proving';
    delivery.changed('phase');
    await clock.settle();
    const first = opened(published[0]?.message ?? new Uint8Array());
    expect(statuses()[1]).toMatchObject({ report: 2n, previousReport: sha256(first.payload) });
  });

  test('tells a changed phase at once, and puts details of three seconds together', async () => {
    const { clock, world, delivery, published } = made();
    delivery.start();
    await clock.settle();
    world.phase = 'preparing';
    delivery.changed('phase');
    await clock.settle();
    expect(published).toHaveLength(2);
    for (let i = 0; i < 100; i += 1) {
      world.restarts += 1;
      delivery.changed('detail');
      await clock.advance(100);
    }
    expect(published.length).toBeLessThanOrEqual(6);
    expect(published.length).toBeGreaterThanOrEqual(5);
    await clock.advance(3_000);
    expect(clock.pending()).toBe(0);
  });

  test('is bounded however fast phases change', async () => {
    const { clock, world, delivery, published } = made();
    delivery.start();
    for (let i = 0; i < 1_000; i += 1) {
      world.phase = i % 2 === 0 ? 'preparing' : 'proving';
      delivery.changed('phase');
      await clock.advance(10);
    }
    expect(published.length).toBeLessThanOrEqual(18);
  });

  test('has one report under way, and sends the newest after it', async () => {
    const { clock, world, delivery, published, statuses } = made();
    const answer = Promise.withResolvers<Fault | null>();
    world.answer = () => answer.promise;
    delivery.start();
    await clock.settle();
    for (const phase of ['preparing', 'activating', 'proving'] as const) {
      world.phase = phase;
      delivery.changed('phase');
      await clock.settle();
    }
    expect(published).toHaveLength(1);
    world.answer = () => null;
    answer.resolve(null);
    await clock.settle();
    expect(statuses().map(({ channels }) => channels[0]?.phase)).toEqual(['idle', 'proving']);
  });

  test('sends nothing when nothing changed, but tells a broker that comes back', async () => {
    const { clock, delivery, published, comesUp } = made();
    delivery.start();
    await clock.settle();
    delivery.changed('phase');
    await clock.advance(60_000);
    expect(published).toHaveLength(1);
    comesUp();
    await clock.settle();
    expect(published).toHaveLength(2);
  });

  test('tries a refused report again with a backoff', async () => {
    const { clock, world, delivery, published, statuses } = made();
    world.answer = () => fault('link.mqtt-refused', { peer: 'b', code: 135, reason: 'acl' });
    delivery.start();
    await clock.advance(3_600_000);
    expect(published.length).toBeGreaterThan(5);
    expect(published.length).toBeLessThan(60);
    expect(delivery.last()).toMatchObject({ deliveredAt: null });
    world.answer = () => null;
    await clock.advance(900_000);
    expect(delivery.last()?.deliveredAt).not.toBeNull();
    const reports = statuses().map(({ report }) => report);
    expect(reports).toEqual(reports.toSorted((a, b) => Number(a - b)));
    expect(new Set(reports).size).toBe(reports.length);
    expect(clock.pending()).toBe(0);
  });

  test('ends with no timer left', async () => {
    const { clock, world, delivery, published } = made();
    delivery.start();
    await clock.settle();
    world.restarts = 1;
    delivery.changed('detail');
    delivery.stop();
    expect(clock.pending()).toBe(0);
    await clock.advance(60_000);
    expect(published).toHaveLength(1);
  });
});

describe('events', () => {
  test('come with the next status, once, and reporting makes no commit', async () => {
    const { clock, outbox, world, delivery, statuses } = made();
    tell(outbox, 2);
    delivery.start();
    await clock.settle();
    world.phase = 'proving';
    delivery.changed('phase');
    await clock.settle();
    const numbers = statuses().map(({ events }) => events.map(({ number }) => number));
    expect(numbers).toEqual([[1n, 2n], []]);
    expect(delivery.acknowledgedEvents()).toBe(2n);
    expect(outbox.commits()).toBe(1);
    expect(outbox.events()).toHaveLength(2);
  });

  test('leave the store with the next commit made for another reason', async () => {
    const { clock, outbox, delivery } = made();
    tell(outbox, 2);
    delivery.start();
    await clock.settle();
    outbox.commit((tx) => void delivery.settle(tx), 'fails');
    expect(outbox.events()).toHaveLength(2);
    outbox.commit((tx) => {
      expect(delivery.settle(tx).ok).toBe(true);
      queueEvent(tx, eventOf('agent.resumed', { at: 2 }));
    });
    expect(outbox.events().map(({ number }) => number)).toEqual([3n]);
    expect(outbox.status()).toMatchObject({ boot: 7n, report: 1n, lastEvent: 3n });
  });

  test('are kept while nobody acknowledges', async () => {
    const { clock, outbox, world, delivery } = made();
    tell(outbox, 2);
    world.answer = () => fault('link.timeout', { peer: 'b', ms: 1 });
    delivery.start();
    await clock.advance(5_000);
    outbox.commit((tx) => void delivery.settle(tx));
    expect(outbox.events()).toHaveLength(2);
    expect(delivery.acknowledgedEvents()).toBe(0n);
  });

  test('acknowledged but not settled before a cut come again with the same numbers', async () => {
    const first = made(7n);
    tell(first.outbox, 2);
    first.delivery.start();
    await first.clock.settle();
    const after = made(8n, first.outbox);
    after.delivery.start();
    await after.clock.settle();
    expect(after.statuses()[0]).toMatchObject({ boot: 8n, report: 1n });
    expect(after.statuses()[0]?.events.map(({ number }) => number)).toEqual([1n, 2n]);
  });

  test('that were dropped are told as a number, once', async () => {
    const { clock, outbox, world, delivery, statuses } = made();
    tell(outbox, 300);
    delivery.start();
    await clock.settle();
    expect(statuses()[0]?.eventsDropped).toBe(44n);
    world.phase = 'proving';
    delivery.changed('phase');
    await clock.settle();
    expect(statuses()[1]?.eventsDropped).toBe(0n);
    outbox.commit((tx) => void delivery.settle(tx));
    expect(outbox.status()?.eventsDropped).toBe(0n);
    tell(outbox, 300);
    delivery.changed('phase');
    await clock.settle();
    expect(statuses()[2]?.eventsDropped).toBe(44n);
  });

  test('dropped while a report is under way and settled meanwhile are all told', async () => {
    const { clock, outbox, world, delivery, statuses } = made();
    tell(outbox, 10);
    delivery.start();
    await clock.settle();
    tell(outbox, 300);
    const answer = Promise.withResolvers<Fault | null>();
    world.answer = () => answer.promise;
    delivery.changed('phase');
    await clock.settle();
    expect(statuses()[1]?.eventsDropped).toBe(44n);
    outbox.commit((tx) => void delivery.settle(tx));
    tell(outbox, 5);
    answer.resolve(null);
    await clock.settle();
    world.answer = () => null;
    tell(outbox, 300);
    delivery.changed('phase');
    await clock.settle();
    const total = statuses().reduce((sum, status) => sum + status.eventsDropped, 0n);
    const numbers = new Set(statuses().flatMap(({ events }) => events.map(({ number }) => number)));
    expect(BigInt(numbers.size) + total).toBe(615n);
  });

  test('dropped after they were acknowledged are not counted', async () => {
    const { clock, outbox, delivery, statuses } = made();
    tell(outbox, 300);
    delivery.start();
    await clock.settle();
    tell(outbox, 10);
    delivery.changed('phase');
    await clock.settle();
    expect(statuses()[1]?.eventsDropped).toBe(0n);
    expect(statuses()[1]?.events.map(({ number }) => number)).toEqual(
      Array.from({ length: 10 }, (_, i) => BigInt(301 + i)),
    );
  });

  test('that do not fit follow in the next report', async () => {
    const { clock, outbox, delivery, statuses } = made();
    outbox.commit((tx) => {
      for (let i = 0; i < 256; i += 1) {
        queueEvent(tx, {
          at: 1,
          code: 'x'.repeat(64),
          channel: 'c',
          deployment: 'd'.repeat(250),
          message: '',
        });
      }
    });
    delivery.start();
    await clock.advance(60_000);
    const numbers = statuses().flatMap(({ events }) => events.map(({ number }) => number));
    expect(numbers).toEqual(Array.from({ length: 256 }, (_, i) => BigInt(i + 1)));
    expect(delivery.acknowledgedEvents()).toBe(256n);
  });
});
