/** When a status is sent, what it carries of the outbox, and that reporting commits nothing. */
import { describe, expect, test } from 'bun:test';
import { type Fault, fault } from '#errors/fault.ts';
import { eventOf } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import { sha256 } from '#state/digest.ts';
import { made, opened, tell } from '../../support/delivery-world.ts';

describe('check 23: delivery', () => {
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
    await clock.advance(0);
    const first = opened(published[0]?.message ?? new Uint8Array());
    expect(statuses()[1]).toMatchObject({ report: 2n, previousReport: sha256(first.payload) });
  });

  test('tells a changed phase at once, and puts details of three seconds together', async () => {
    const { clock, world, delivery, published } = made();
    delivery.start();
    await clock.settle();
    world.phase = 'preparing';
    delivery.changed('phase');
    await clock.advance(0);
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

  test('a passing phase is told only when it lasts', async () => {
    const { clock, world, delivery, published, statuses } = made();
    delivery.start();
    await clock.settle();
    world.phase = 'activating';
    delivery.changed('passing');
    await clock.advance(20);
    expect(published).toHaveLength(1);
    world.phase = 'idle';
    world.restarts = 1;
    delivery.changed('phase');
    await clock.advance(60_000);
    expect(statuses().map(({ channels }) => channels[0]?.phase)).toEqual(['idle', 'idle']);
    world.phase = 'proving';
    delivery.changed('passing');
    await clock.advance(100);
    delivery.changed('passing');
    await clock.advance(149);
    expect(published).toHaveLength(2);
    await clock.advance(1);
    expect(statuses().at(-1)?.channels[0]?.phase).toBe('proving');
    expect(clock.pending()).toBe(0);
  });

  test('is told after the work that changed it, not within', async () => {
    const { clock, world, delivery, published } = made();
    delivery.start();
    await clock.settle();
    world.phase = 'proving';
    delivery.changed('phase');
    await clock.settle();
    expect(published).toHaveLength(1);
    await clock.advance(0);
    expect(published).toHaveLength(2);
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
      await clock.advance(0);
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
    await clock.advance(0);
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
    await clock.advance(0);
    expect(statuses()[1]?.eventsDropped).toBe(0n);
    outbox.commit((tx) => void delivery.settle(tx));
    expect(outbox.status()?.eventsDropped).toBe(0n);
    tell(outbox, 300);
    delivery.changed('phase');
    await clock.advance(0);
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
    await clock.advance(0);
    expect(statuses()[1]?.eventsDropped).toBe(44n);
    outbox.commit((tx) => void delivery.settle(tx));
    tell(outbox, 5);
    answer.resolve(null);
    await clock.settle();
    world.answer = () => null;
    tell(outbox, 300);
    delivery.changed('phase');
    await clock.advance(0);
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
    await clock.advance(0);
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
