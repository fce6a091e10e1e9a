/** The link to a broker on a clock that the test moves: up, down, and for how long. */
import { describe, expect, test } from 'bun:test';
import { fault } from '#errors/fault.ts';
import { readPresence } from '#wire/presence.ts';
import { FAKE, fakeLink as made } from '../../support/fake-broker.ts';

const ROOT = FAKE.root;
const PEER = FAKE.peer;
const cut = fault('link.cut', { peer: PEER, reason: 'test' });
const takenOver = fault('link.mqtt-taken-over', { peer: PEER });

describe('a connection', () => {
  test('announces the device, subscribes its nudges, then counts as up', async () => {
    const { clock, fake, link, kinds } = made();
    link.start();
    await clock.settle();
    const { options, published, subscribed } = fake.session();
    expect(subscribed).toEqual([
      `${ROOT}/c/stable/nudge`,
      `${ROOT}/c/device.press-7/nudge`,
      `${ROOT}/d/press-7/nudge`,
    ]);
    expect(published.map(({ topic, retain }) => [topic, retain])).toEqual([
      [`${ROOT}/d/press-7/presence`, true],
    ]);
    const presence = readPresence(published[0]?.payload ?? new Uint8Array());
    expect(presence.ok && presence.value).toMatchObject({ online: true, agentVersion: '0.1.0' });
    const will = readPresence(options.will?.payload ?? new Uint8Array());
    expect(will.ok && will.value.online).toBe(false);
    expect(options.will).toMatchObject({ topic: `${ROOT}/d/press-7/presence`, retain: true });
    expect(options.clientId).toBe('holdfast-0011223344556677-press-7');
    expect(kinds()).toEqual(['up']);
    expect(link.state()).toMatchObject({ kind: 'up', lastFault: null, protocol: '5' });
    await link.close();
  });

  test('has no timer while it is up', async () => {
    const { clock, link } = made();
    link.start();
    await clock.settle();
    expect(clock.pending()).toBe(0);
    await link.close();
  });

  test('is up without what the access rules of the broker forbid, and says so', async () => {
    const { clock, fake, link } = made();
    fake.subscribe = () => fault('link.mqtt-refused', { peer: PEER, code: 135, reason: 'acl' });
    link.start();
    await clock.settle();
    expect(link.state().kind).toBe('up');
    expect(link.state().lastFault?.code).toBe('link.mqtt-refused');
    await link.close();
  });

  test('is left when the broker acknowledges nothing for 30 s, and made again', async () => {
    const { clock, fake, link } = made();
    fake.subscribe = () => 'never';
    link.start();
    await clock.advance(29_000);
    expect(fake.session().ended).toBeNull();
    fake.subscribe = () => null;
    await clock.advance(5_000);
    expect(fake.sessions[0]?.ended).toBe('destroy');
    expect(fake.sessions).toHaveLength(2);
    expect(link.state().kind).toBe('up');
    await link.close();
  });

  test('ends with presence offline and a DISCONNECT', async () => {
    const { clock, fake, link } = made();
    link.start();
    await clock.settle();
    await link.close();
    const last = fake.session().published.at(-1);
    const presence = readPresence(last?.payload ?? new Uint8Array());
    expect(presence.ok && presence.value.online).toBe(false);
    expect(fake.session().ended).toBe('end');
    await clock.advance(3_600_000);
    expect(fake.sessions).toHaveLength(1);
    expect(clock.pending()).toBe(0);
  });

  test('that is being made when the link is closed is left, without a wait', async () => {
    const { clock, fake, link } = made();
    const answer = Promise.withResolvers<void>();
    const { connect } = fake.platform.sockets;
    fake.platform.sockets.connect = async (...args) => {
      await answer.promise;
      return connect(...args);
    };
    link.start();
    await clock.settle();
    await link.close();
    answer.resolve();
    await clock.settle();
    expect(fake.sessions.map(({ ended }) => ended)).toEqual(['destroy']);
    await clock.advance(3_600_000);
    expect(fake.sessions).toHaveLength(1);
    expect(clock.pending()).toBe(0);
  });

  test('does not hold up a close when the broker acknowledges nothing', async () => {
    const { clock, fake, link } = made();
    link.start();
    await clock.settle();
    fake.publish = () => 'never';
    const closed = link.close();
    await clock.advance(2_000);
    await closed;
    expect(fake.session().ended).toBe('end');
  });
});

describe('publish', () => {
  test('fails at once with link.down when there is no connection', async () => {
    const { link } = made();
    const sent = await link.publish('a/b', new Uint8Array(1), true);
    expect(sent.ok ? '' : sent.fault.code).toBe('link.down');
  });

  test('resolves with the acknowledgement', async () => {
    const { clock, fake, link } = made();
    link.start();
    await clock.settle();
    expect((await link.publish('a/b', new Uint8Array([7]), true)).ok).toBe(true);
    expect(fake.session().published.at(-1)).toMatchObject({ topic: 'a/b', retain: true });
    await link.close();
  });

  test('that is never acknowledged fails after 30 s and leaves the connection', async () => {
    const { clock, fake, link } = made();
    link.start();
    await clock.settle();
    fake.publish = (topic) => (topic === 'a/b' ? 'never' : null);
    const sent = link.publish('a/b', new Uint8Array(1), true);
    await clock.advance(30_000);
    const result = await sent;
    expect(result.ok ? '' : result.fault.code).toBe('link.timeout');
    expect(fake.sessions[0]?.ended).toBe('destroy');
    await clock.settle();
    expect(link.state()).toMatchObject({ kind: 'down', lastFault: { code: 'link.timeout' } });
    await link.close();
  });

  test('of more than the message cap is refused here', async () => {
    const { clock, link } = made();
    link.start();
    await clock.settle();
    const sent = await link.publish('a/b', new Uint8Array(128 * 1024 + 1), true);
    expect(sent.ok ? '' : sent.fault.code).toBe('link.mqtt-outgoing-too-large');
    await link.close();
  });
});

describe('M13: a broker that flaps', () => {
  for (const [how, lives] of [
    ['refuses each connection', false],
    ['accepts and closes ten times a second', true],
  ] as const) {
    test(`and ${how} sees less than 60 connections in an hour`, async () => {
      const { clock, fake, link } = made();
      if (!lives) fake.connect = () => fault('link.unreachable', { peer: PEER, reason: 'refused' });
      link.start();
      for (let tick = 0; tick < 36_000; tick += 1) {
        if (lives && link.state().kind === 'up') fake.session().close(cut);
        await clock.advance(100);
      }
      expect(fake.sessions.length).toBeLessThan(60);
      expect(fake.sessions.length).toBeGreaterThan(4);
      const gaps = fake.sessions.slice(1).map(({ at }, i) => at - (fake.sessions[i]?.at ?? 0));
      expect(Math.max(...gaps)).toBeLessThanOrEqual(15 * 60_000 + 100);
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000);
      await link.close();
      expect(clock.pending()).toBe(0);
    });
  }

  test('is asked at most once a second however often the link is kicked', async () => {
    const { clock, fake, link } = made();
    fake.connect = () => cut;
    link.start();
    for (let tick = 0; tick < 600; tick += 1) {
      link.kick();
      await clock.advance(100);
    }
    expect(fake.sessions.length).toBeGreaterThan(30);
    expect(fake.sessions.length).toBeLessThanOrEqual(61);
    await link.close();
  });
});

describe('the reconnect', () => {
  test('starts anew after a stable minute', async () => {
    const { clock, fake, link } = made();
    fake.connect = () => cut;
    link.start();
    await clock.advance(3_600_000);
    fake.connect = () => null;
    await clock.advance(15 * 60_000);
    expect(link.state().kind).toBe('up');
    await clock.advance(60_000);
    const before = fake.sessions.length;
    fake.session().close(cut);
    await clock.advance(3_000);
    expect(fake.sessions.length).toBe(before + 1);
    await link.close();
  });

  test('M04: goes on after a refused CONNACK, reading the credentials again', async () => {
    const auth = { usernameFile: '/user', passwordFile: '/password' };
    const { clock, fake, link } = made({ auth });
    fake.files.set('/user', 'press-7\n').set('/password', 'old\n');
    fake.connect = ({ password }) =>
      password === 'new' ? null : fault('link.mqtt-refused', { peer: PEER, code: 5, reason: 'no' });
    link.start();
    await clock.advance(60_000);
    expect(link.state().lastFault?.code).toBe('link.mqtt-refused');
    fake.files.set('/password', 'new\r\n');
    link.kick();
    await clock.advance(1_000);
    expect(link.state().kind).toBe('up');
    expect(fake.session().options.username).toBe('press-7');
    await link.close();
  });

  test('waits for credentials that are not there yet', async () => {
    const { clock, fake, link } = made({ auth: { usernameFile: '/user', passwordFile: '/p' } });
    link.start();
    await clock.advance(10_000);
    expect(fake.sessions).toHaveLength(0);
    fake.files.set('/user', 'u').set('/p', 'p');
    await clock.advance(60_000);
    expect(link.state().kind).toBe('up');
    await link.close();
  });

  test('tells up and down to those who listen, and to nobody who stopped', async () => {
    const { clock, fake, link, kinds } = made();
    const seen: string[] = [];
    const stop = link.listen(({ kind }) => seen.push(kind));
    link.start();
    await clock.settle();
    stop();
    fake.session().close(cut);
    await clock.advance(3_000);
    expect(kinds()).toEqual(['up', 'down', 'up']);
    expect(seen).toEqual(['up']);
    expect(link.state()).toMatchObject({ kind: 'up' });
    await link.close();
  });
});

describe('M16, L11: a wall clock that jumps ten years', () => {
  for (const years of [10, -10]) {
    test(`by ${years} changes neither a link that is up nor the wait of one that is down`, async () => {
      const { clock, fake, link } = made();
      link.start();
      await clock.settle();
      clock.setWall(clock.wallMs() + years * 365 * 86_400_000);
      await clock.advance(120_000);
      expect(fake.sessions).toHaveLength(1);
      expect(link.state().kind).toBe('up');
      fake.session().close(cut);
      await clock.settle();
      clock.setWall(0);
      await clock.advance(3_000);
      expect(fake.sessions).toHaveLength(2);
      expect(link.state().kind).toBe('up');
      await link.close();
    });
  }
});

describe('M11: another client takes the session over', () => {
  test('the third time in ten minutes is told as cloned, and the tries get rarer', async () => {
    const { clock, fake, link, events } = made();
    link.start();
    await clock.settle();
    for (let tick = 0; tick < 6_000; tick += 1) {
      if (link.state().kind === 'up') fake.session().close(takenOver);
      await clock.advance(100);
    }
    expect(events.filter(({ kind }) => kind === 'cloned').length).toBeGreaterThanOrEqual(1);
    expect(events.find(({ kind }) => kind === 'cloned')).toEqual({ kind: 'cloned', times: 3 });
    expect(fake.sessions.length).toBeLessThan(40);
    await link.close();
  });

  test('once an hour is no clone', async () => {
    const { clock, fake, link, kinds } = made();
    link.start();
    await clock.settle();
    for (let hour = 0; hour < 5; hour += 1) {
      fake.session().close(takenOver);
      await clock.advance(3_600_000);
    }
    expect(kinds()).not.toContain('cloned');
    await link.close();
  });
});

describe('messages', () => {
  test('on the subscribed topics are nudges; all others are dropped', async () => {
    const { clock, fake, link, events } = made();
    link.start();
    await clock.settle();
    const payload = new Uint8Array([1]);
    for (const topic of [
      `${ROOT}/c/stable/nudge`,
      `${ROOT}/d/press-7/nudge`,
      `${ROOT}/c/canary/nudge`,
      `${ROOT}/d/press-8/nudge`,
      `${ROOT}/d/press-7/status`,
      'c/stable/nudge',
      `${ROOT}/c/stable/nudge\0`,
    ]) {
      fake.session().message(topic, payload, true);
    }
    expect(events.filter(({ kind }) => kind === 'nudge')).toEqual([
      {
        kind: 'nudge',
        topic: { kind: 'channel-nudge', channel: 'stable' },
        payload,
        retained: true,
      },
      {
        kind: 'nudge',
        topic: { kind: 'device-nudge', device: 'press-7' },
        payload,
        retained: true,
      },
    ]);
    await link.close();
  });
});
