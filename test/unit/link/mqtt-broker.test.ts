/** From the configuration of a broker to one connection: addresses, TLS, proxies. */
import { describe, expect, test } from 'bun:test';
import { ok } from '#errors/fault.ts';
import {
  type BrokerConfig,
  type BrokerPlatform,
  brokerName,
  checkBroker,
  openBroker,
} from '#link/mqtt-broker.ts';
import type { Endpoint } from '#platform/tls.ts';
import { fakeBroker } from '../../support/fake-broker.ts';
import { manualClock } from '../../support/manual-clock.ts';

const BROKER: BrokerConfig = {
  url: 'mqtts://broker',
  protocol: 'auto',
  auth: null,
  tls: null,
  proxy: null,
  insecure: false,
};
const LIVE = { floorMs: 0, wallPlausible: true };
const DEAD = { floorMs: 1_700_000_000_000, wallPlausible: false };

/** Opens one connection and tells what the platform was asked for. */
async function opened(config: Partial<BrokerConfig>, time = LIVE) {
  const fake = fakeBroker(manualClock());
  const endpoints: Endpoint[] = [];
  const asked: string[] = [];
  let closed = 0;
  const close = (): void => {
    closed += 1;
  };
  const socket = { stream: null, close };
  const platform: BrokerPlatform = {
    ...fake.platform,
    sockets: {
      connect: (to) => {
        endpoints.push(to);
        return Promise.resolve(ok(socket));
      },
      secure: (over, options, verify) => {
        asked.push(`tls ${options.serverName} ${typeof verify} ${options.ca ?? '-'}`);
        const judged = verify === 'system' ? ok() : verify([]);
        return Promise.resolve(judged.ok ? ok(over) : judged);
      },
    },
    tunnels: {
      ...fake.platform.tunnels,
      throughProxy: (over, authority, authorization) => {
        asked.push(`CONNECT ${authority} ${authorization}`);
        return Promise.resolve(ok(over));
      },
      webSocket: (over, { authority, path }) => {
        asked.push(`ws ${authority} ${path}`);
        return Promise.resolve(ok(over));
      },
    },
  };
  fake.files.set('/ca.pem', 'PEM');
  const result = await openBroker(platform, { ...BROKER, ...config }, time, {
    clientId: 'x',
    version: 5,
    keepaliveSeconds: 60,
    sessionExpirySeconds: 60,
    onMessage: () => {},
    onClosed: () => {},
  });
  return { result, endpoints, asked, fake, closed: () => closed };
}

describe('the address of a broker', () => {
  for (const url of [
    'mqtt://broker',
    'mqtt://127.0.0.1.example',
    'mqtts://user:secret@broker',
    'https://broker',
    'mqtts://broker/topic',
    'mqtts://broker?x=1',
    'mqtts://bro%00ker',
    'mqtts://broker:0',
    'ws://broker/mqtt',
    'wss://user:secret@broker/mqtt',
    'wss://broker/mqtt?token=secret',
    'wss://broker/mqtt#x',
    'mqtts://',
    'broker:1883',
    '',
  ]) {
    test(`N07 ${JSON.stringify(url)} is refused and never tried`, async () => {
      const { result, endpoints } = await opened({ url });
      expect(result.ok ? '' : result.fault.code).toBe('link.mqtt-url');
      expect(result.ok ? '' : result.fault.message).not.toContain('secret');
      expect(endpoints).toEqual([]);
      expect(checkBroker({ ...BROKER, url }).ok).toBe(false);
    });
  }
  for (const [url, insecure, host, port] of [
    ['mqtt://127.0.0.1', false, '127.0.0.1', 1883],
    ['mqtt://localhost:1884', false, 'localhost', 1884],
    ['mqtt://[::1]', false, '::1', 1883],
    ['mqtt://broker', true, 'broker', 1883],
    ['mqtts://broker:8884/', false, 'broker', 8884],
    ['mqtts://broker', false, 'broker', 8883],
    ['ws://127.0.0.1:9001', false, '127.0.0.1', 9001],
    ['ws://broker/mqtt', true, 'broker', 80],
    ['wss://broker/mqtt', false, 'broker', 443],
  ] as const) {
    test(`${url}${insecure ? ' with insecure: true' : ''} is ${host} port ${port}`, async () => {
      const { result, endpoints } = await opened({ url, insecure });
      expect(result.ok).toBe(true);
      expect(endpoints).toEqual([{ kind: 'tcp', host, port }]);
      expect(checkBroker({ ...BROKER, url, insecure }).ok).toBe(true);
      expect(brokerName({ url })).toBe(`${host}:${port}`);
    });
  }
});

describe('MQTT in a WebSocket', () => {
  test('is opened on the path, inside the TLS of its host and behind the proxy', async () => {
    const { asked } = await opened({ url: 'wss://broker/a/mqtt', proxy: 'http://proxy:3128' });
    expect(asked).toEqual([
      ...['CONNECT broker:443 null', 'tls broker string -', 'ws broker /a/mqtt'],
    ]);
  });
  test('without a path is on the root of its server', async () => {
    const { asked } = await opened({ url: 'ws://127.0.0.1:9001' });
    expect(asked).toEqual(['ws 127.0.0.1:9001 /']);
  });
  test('L17: with a dead clock is judged before a word of it', async () => {
    const { asked } = await opened({ url: 'wss://broker/mqtt' }, DEAD);
    expect(asked).toEqual(['tls broker function -']);
  });
});

describe('TLS to a broker', () => {
  test('is the check of the runtime while the clock is plausible', async () => {
    const { result, asked } = await opened({ tls: { ca: '/ca.pem' } });
    expect(result.ok).toBe(true);
    expect(asked).toEqual(['tls broker string PEM']);
  });

  test('L17: is our own check when the clock is dead, and without anchors it refuses', async () => {
    const { result, asked, fake, closed } = await opened({}, DEAD);
    expect(asked).toEqual(['tls broker function -']);
    expect(result.ok ? '' : result.fault.code).toBe('link.tls-untrusted');
    expect(fake.sessions).toHaveLength(0);
    expect(closed()).toBe(1);
  });

  test('closes the socket when its files cannot be read', async () => {
    const { result, closed } = await opened({ tls: { ca: '/missing' } });
    expect(result.ok).toBe(false);
    expect(closed()).toBe(1);
  });
});

describe('a proxy', () => {
  for (const [proxy, to, says] of [
    ['http://proxy:3128', { kind: 'tcp', host: 'proxy', port: 3128 }, 'CONNECT broker:8883 null'],
    ['http://proxy:80/', { kind: 'tcp', host: 'proxy', port: 80 }, 'CONNECT broker:8883 null'],
    [
      'http://u:p%40ss@proxy:3128',
      { kind: 'tcp', host: 'proxy', port: 3128 },
      `CONNECT broker:8883 Basic ${Buffer.from('u:p@ss').toString('base64')}`,
    ],
  ] as const) {
    test(`${proxy} is passed with CONNECT, TLS inside`, async () => {
      const { endpoints, asked } = await opened({ proxy });
      expect(endpoints).toEqual([to]);
      expect(asked).toEqual([says, 'tls broker string -']);
    });
  }
  for (const proxy of ['socks5://proxy:1080', 'https://proxy', 'proxy:3128', '']) {
    test(`${JSON.stringify(proxy)} is refused`, async () => {
      const { result, endpoints } = await opened({ proxy });
      expect(result.ok ? '' : result.fault.code).toBe('link.mqtt-url');
      expect(endpoints).toEqual([]);
    });
  }
});
