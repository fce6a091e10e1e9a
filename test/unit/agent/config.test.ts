/** agent.yaml: every key, every default, what is refused and where. */
import { describe, expect, test } from 'bun:test';
import { parseConfig } from '#agent/config.ts';

const MINIMAL = `apiVersion: holdfast/v1
kind: Agent
trust: { root: root.json }
channels: [{ name: stable }]
`;

/** What FORMATS shows, every key in use. */
const WHOLE = `apiVersion: holdfast/v1
kind: Agent
device: { id: press-7, labels: { site: a } }
stateDir: /var/lib/holdfast
runDir: /run/holdfast
trust: { root: /etc/holdfast/root.json, clock: strict }
channels:
  - name: stable
    allow: { roots: [/opt/line, /srv], runtimes: [files, process], users: [plc] }
registries:
  - url: https://registry.example/plant/state
    auth: { usernameFile: u, passwordFile: p }
    tls: { ca: ca.pem, cert: c.pem, key: k.pem }
    proxy: http://proxy:3128
mqtt: { url: "mqtts://broker:8883", topicRoot: holdfast/v1/plant, protocol: "3.1.1" }
schedule: { interval: 5m, jitter: 0.2, backoffMax: 1h }
nudges: { perMinute: 6 }
bundles: { watch: [/media/usb] }
runtimes: { process: { user: holdfast } }
keep: { generations: 3, reserve: 64Mi }
metrics: { listen: "127.0.0.1:9469" }
log: { level: info, format: json }
`;

const NINE = `[${Array.from({ length: 9 }, (_, n) => `{ name: c${n} }`).join(', ')}]`;

const parse = (text: string) => parseConfig(Buffer.from(text), '/etc/holdfast/agent.yaml');
const refusal = (text: string) => {
  const parsed = parse(text);
  return parsed.ok ? 'accepted' : `${parsed.fault.code} ${parsed.fault.message}`;
};

describe('agent.yaml', () => {
  test('every key of the published format is read', () => {
    const parsed = parse(WHOLE);
    expect(parsed.ok && parsed.value).toMatchObject({
      device: { id: 'press-7', labels: { site: 'a' } },
      trust: { root: '/etc/holdfast/root.json', clock: 'strict', allowDemo: false },
      channels: [{ name: 'stable', allow: { roots: ['/opt/line', '/srv'], users: ['plc'] } }],
      registries: [{ tls: { ca: '/etc/holdfast/ca.pem' }, proxy: 'http://proxy:3128' }],
      mqtt: { protocol: '3.1.1', topicRoot: 'holdfast/v1/plant' },
      schedule: { intervalMs: 300_000, jitter: 0.2, backoffMaxMs: 3_600_000 },
      nudgesPerMinute: 6,
      bundleDirectories: ['/media/usb'],
      metricsListen: '127.0.0.1:9469',
      keep: { generations: 3, reserveBytes: 64 * 1024 * 1024 },
    });
  });
  test('defaults are those of the published format; relative paths count from the file', () => {
    const parsed = parse(MINIMAL);
    expect(parsed.ok && parsed.value).toMatchObject({
      stateDir: '/var/lib/holdfast',
      runDir: '/run/holdfast',
      trust: { root: '/etc/holdfast/root.json', clock: 'lenient' },
      channels: [
        { allow: { roots: ['/opt', '/srv'], runtimes: ['files', 'process'], users: null } },
      ],
      mqtt: null,
      schedule: { intervalMs: 300_000 },
      bundleDirectories: [],
      metricsListen: null,
    });
  });
  for (const [what, text, says] of [
    ['an unknown key', `${MINIMAL}chanels: []\n`, '5:1'],
    ['another kind', MINIMAL.replace('Agent', 'Fleet'), '2:7'],
    ['no channel', MINIMAL.replace('[{ name: stable }]', '[]'), 'one channel'],
    [
      'a channel twice',
      MINIMAL.replace('stable }', 'stable }, { name: stable }'),
      'each channel once',
    ],
    ['nine channels', MINIMAL.replace('[{ name: stable }]', NINE), 'at most 8 channels'],
    ['its own channel', MINIMAL.replace('stable }', 'device.press-7 }'), 'by itself'],
    ['a number as label', `${MINIMAL}device: { labels: { line: 7 } }\n`, 'quotes'],
    ['an interval without unit', `${MINIMAL}schedule: { interval: 5 }\n`, 'duration'],
    ['credentials in a URL', `${MINIMAL}registries: [{ url: "https://a:b@c/d" }]\n`, 'credentials'],
    [
      'plain http to another host',
      `${MINIMAL}registries: [{ url: "http://r.example/p" }]\n`,
      'config.plain-transport',
    ],
    [
      'plain mqtt to another host',
      `${MINIMAL}mqtt: { url: "mqtt://broker" }\n`,
      'config.plain-transport',
    ],
    [
      'a certificate without its key',
      `${MINIMAL}registries: [{ url: "https://r/p", tls: { cert: c } }]\n`,
      'together',
    ],
    ...[
      'registries: [{ url: "https://a/b", %s }]',
      'mqtt: { url: "mqtts://a", %s }',
      'time: { %s }',
    ].map(
      (text) =>
        [
          `a login for no proxy (${text.split(':')[0]})`,
          `${MINIMAL}${text.replace('%s', 'proxyAuth: { usernameFile: u, passwordFile: p }')}\n`,
          'proxyAuth only beside the proxy that it is for',
        ] as const,
    ),
  ] as const) {
    test(`${what} is refused, with the place and what was expected`, () => {
      expect(refusal(text)).toContain(says);
    });
  }
  test('plain transport is fine on the loopback, and beyond it where the owner says so', () => {
    for (const url of ['http://127.0.0.1:5000/p', 'http://[::1]:5000/p', 'http://localhost/p']) {
      expect(refusal(`${MINIMAL}registries: [{ url: "${url}" }]\n`)).toBe('accepted');
    }
    expect(refusal(`${MINIMAL}mqtt: { url: "mqtt://broker", insecure: true }\n`)).toBe('accepted');
  });
});
