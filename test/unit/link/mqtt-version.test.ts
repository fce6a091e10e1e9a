/** Which MQTT version is spoken, and after which refusal another one. */
import { describe, expect, test } from 'bun:test';
import { fault } from '#errors/fault.ts';
import { FAKE, fakeLink as made } from '../../support/fake-broker.ts';

const cut = fault('link.cut', { peer: FAKE.peer, reason: 'test' });
const wrongVersion = fault('link.mqtt-protocol', { peer: FAKE.peer, version: '5' });

describe('the protocol', () => {
  test('auto tries 5, on a refusal 3.1.1 at once, and remembers', async () => {
    const { clock, fake, link, events } = made();
    fake.connect = ({ version }) => (version === 5 ? wrongVersion : null);
    link.start();
    await clock.settle();
    expect(fake.sessions.map(({ options }) => options.version)).toEqual([5, 4]);
    expect(link.state()).toMatchObject({ kind: 'up', protocol: '3.1.1' });
    expect(events).toEqual([
      { kind: 'protocol', protocol: '3.1.1' },
      { kind: 'up', protocol: '3.1.1' },
    ]);
    fake.session().close(cut);
    await clock.advance(3_000);
    expect(fake.sessions.map(({ options }) => options.version)).toEqual([5, 4, 4]);
    await link.close();
  });

  test('a broker that refuses both is asked with a backoff', async () => {
    const { clock, fake, link } = made();
    fake.connect = () => wrongVersion;
    link.start();
    await clock.advance(3_600_000);
    expect(fake.sessions.length).toBeLessThan(100);
    await link.close();
  });

  test('auto tries 3.1.1 on a broker that closes without an answer', async () => {
    const { clock, fake, link } = made();
    fake.connect = ({ version }) => (version === 5 ? cut : null);
    link.start();
    await clock.advance(3_000);
    expect(link.state()).toMatchObject({ kind: 'up', protocol: '3.1.1' });
    await link.close();
  });

  test('a network that was cut does not change a version that worked', async () => {
    const { clock, fake, link } = made();
    link.start();
    await clock.settle();
    fake.connect = () => cut;
    fake.session().close(cut);
    await clock.advance(600_000);
    expect(fake.sessions.every(({ options }) => options.version === 5)).toBe(true);
    await link.close();
  });

  for (const [protocol, version] of [
    ['5', 5],
    ['3.1.1', 4],
  ] as const) {
    test(`${protocol} is only that`, async () => {
      const { clock, fake, link } = made({ protocol });
      fake.connect = () => wrongVersion;
      link.start();
      await clock.advance(60_000);
      expect(fake.sessions.every(({ options }) => options.version === version)).toBe(true);
      expect(link.state().lastFault?.code).toBe('link.mqtt-protocol');
      await link.close();
    });
  }
});
