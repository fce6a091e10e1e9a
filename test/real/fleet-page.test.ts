/**
 * The fleet page of the hub in a real Chromium: what devices sign is shown live, what they did not
 * sign is not shown as true, and no text of theirs becomes part of the page.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import type { ChannelStatus } from '#state/status.ts';
import { writePresence } from '#wire/presence.ts';
import { type Chromium, noChromium, startChromium, type Tab } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningHub, readUntil, run, spawnHub, startHub, stopHub } from '../support/hub.ts';
import { program, ROOT } from '../support/parts.ts';
import { channelOf, FLEET, signingDevice, TOPICS } from '../support/signed-status.ts';
import { digestB } from '../support/wire-samples.ts';

const real = noChromium === null ? test : test.skip;
const title = (what: string) => (noChromium === null ? what : `${what} (${noChromium})`);
const DESK = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844, phone: true };
const LIVE = "document.getElementById('live').dataset.state === 'on'";

const folder = mkdtempSync(join(tmpdir(), 'holdfast-page-'));
let hub: RunningHub;
let mqtt: MqttClient;
let chromium: Chromium | null = null;
const url = () => `http://127.0.0.1:${hub.registry}/`;
const tabNow = (): Tab => chromium!.tab;

beforeAll(async () => {
  hub = await startHub(join(folder, 'hub'));
  mqtt = await connectAsync(`mqtt://127.0.0.1:${hub.mqtt}`, { reconnectPeriod: 100 });
  if (noChromium === null) chromium = await startChromium();
});
afterAll(async () => {
  await mqtt?.endAsync(true);
  await chromium?.close();
  await stopHub(hub);
  rmSync(folder, { recursive: true, force: true });
});

const retain = (topic: string, bytes: Uint8Array) =>
  mqtt.publishAsync(topic, Buffer.from(bytes), { retain: true, qos: 1 });
const deployment = (id: string, more = {}) => ({
  ...{ id, digest: digestB, health: 'healthy', code: '', message: '', restarts: 0, ...more },
});

async function report(
  device: ReturnType<typeof signingDevice>,
  channel: Partial<ChannelStatus> = {},
  labels: Record<string, string> = {},
): Promise<void> {
  await retain(device.topic, await device.says({ channels: [channelOf(channel)], labels }));
}

const rowOf = (device: string) =>
  `[...document.querySelectorAll('#rows tr')].find((row) => row.querySelector('.name').textContent === '${device}')`;
const names = () =>
  tabNow().read<string[]>("[...document.querySelectorAll('.name')].map((one) => one.textContent)");

describe('the page', () => {
  real(
    title('says that no device has reported, and shows the first one without a reload'),
    async () => {
      const tab = tabNow();
      await tab.view(DESK);
      await tab.open(url());
      await tab.until('it is live', LIVE);
      expect(await tab.read<string>("document.getElementById('empty').innerText")).toContain(
        'No device has reported yet',
      );
      const device = signingDevice('press-7');
      await report(device);
      await tab.until('press-7 is settled', `${rowOf('press-7')}?.innerText.includes('Settled')`);
      const ill = deployment('plc', {
        health: 'unhealthy',
        code: 'apply.health-failed',
        message: 'no',
      });
      await report(device, { deployments: [ill] });
      await tab.until(
        'it is in trouble',
        `${rowOf('press-7')}.innerText.includes('plc is unhealthy')`,
      );
      expect(await tab.read<string>('document.title')).toBe('(1) Fleet · Holdfast');
      expect(await tab.read<string>(`${rowOf('press-7')}.innerText`)).toContain('holdfast logs');
      await report(device);
      await tab.until('it is settled again', `${rowOf('press-7')}.innerText.includes('Settled')`);
    },
  );

  real(title('asks nothing of another origin, and breaks no rule of its own policy'), async () => {
    const tab = tabNow();
    expect(tab.asked.filter((asked) => !asked.startsWith(url()))).toEqual([]);
    expect(tab.complaints).toEqual([]);
  });

  real(
    title('shows texts of a device as text: no markup, no script, no style of theirs'),
    async () => {
      const tab = tabNow();
      const evil = signingDevice('evil-1');
      const markup = '</td><img src=x onerror="window.owned=1"><script>window.owned=1</script>';
      const bad = { health: 'unhealthy', code: 'x', message: `${markup}'\u202E"&lt;` };
      const style = { b: '<style>*{display:none}</style>', c: 'javascript:alert(1)' };
      const labels = { '<b>a</b>': markup, ...style };
      await report(evil, { deployments: [deployment('plc', bad)] }, labels);
      await tab.until('it is there', rowOf('evil-1'));
      const cell = `${rowOf('evil-1')}`;
      expect(await tab.read<string>(`${cell}.innerText`)).toContain('<script>window.owned=1');
      await tab.read(`${cell}.querySelector('.name').click()`);
      await tab.until('the detail is open', "document.getElementById('detail').open");
      const body = "document.getElementById('detail-body')";
      expect(await tab.read<string>(`${body}.innerText`)).toContain('<script>window.owned=1');
      const made =
        "document.querySelectorAll('img, script:not(body + script), td style, dialog style')";
      expect(await tab.read<number>(`${made}.length`)).toBeLessThanOrEqual(1);
      expect(await tab.read<string>('typeof window.owned')).toBe('undefined');
      await tab.press('Escape');
      await tab.until('it is closed', "!document.getElementById('detail').open");
      expect(tab.complaints).toEqual([]);
    },
  );

  real(title('shows what nobody signed as not proven, and keeps what was'), async () => {
    const tab = tabNow();
    const device = signingDevice('press-8');
    await report(device, { channel: 'honest' });
    await tab.until('it is there', rowOf('press-8'));
    const forged = [channelOf({ channel: 'forged' })];
    await retain(device.topic, await signingDevice('press-8').says({ boot: 9n, channels: forged }));
    const text = `${rowOf('press-8')}.innerText`;
    await tab.until('it is doubted', `${text}.includes('signed by another key')`);
    expect(await tab.read<string>(text)).toContain('honest 1.57');
    expect(await tab.read<string>('document.body.innerText')).not.toContain('forged');
  });

  real(title('finds the hub again after a restart, which has kept what it knew'), async () => {
    const tab = tabNow();
    await stopHub(hub);
    await tab.until('it says so', "document.getElementById('live').dataset.state !== 'on'");
    const ports = ['--registry-port', String(hub.registry), '--mqtt-port', String(hub.mqtt)];
    const child = spawnHub('--data', join(folder, 'hub'), ...ports);
    await readUntil(child.stdout, /mqtt:\/\/127\.0\.0\.1:\d+\n/);
    hub = { ...hub, process: child };
    await tab.until('it is live again', LIVE);
    await tab.until('press-7 is there', `${rowOf('press-7')}?.innerText.includes('Settled')`);
    const text = await tab.read<string>(`${rowOf('press-8')}.innerText`);
    expect(text).toContain('honest 1.57');
    expect(text).toContain('signed by another key');
    await eventually('the broker is there', () => mqtt.connected);
    // That the hub was away is in the log of the browser.
    tab.complaints.length = 0;
  });
});

describe('a fleet of 120', () => {
  real(title('is paged, searched and filtered; the page holds 50 rows at most'), async () => {
    const tab = tabNow();
    for (let n = 1; n <= 120; n += 1) {
      const moving = n % 40 === 0 ? ({ phase: 'activating' } as const) : {};
      await report(signingDevice(`oven-${n}`), moving, { hall: `${n % 4}` });
    }
    const presence = { online: false, agentVersion: '0.1.0', since: 0 };
    await retain(`${TOPICS}/oven-3/presence`, writePresence(presence));
    await tab.until(
      'all are there',
      "document.getElementById('place').textContent.includes('of 123')",
    );
    expect((await names()).length).toBe(50);
    await tab.read("document.getElementById('next').click()");
    await tab.until('the next', "document.getElementById('place').textContent.startsWith('51')");
    await tab.press('/');
    expect(await tab.read<string>('document.activeElement.id')).toBe('search');
    await tab.press(...'oven-3');
    await tab.until('found', "document.getElementById('rows').children.length === 11");
    await tab.until('its presence', `${rowOf('oven-3')}.innerText.includes('not connected')`);
    await tab.press('Escape');
    await tab.read("document.querySelector('[data-name=changing]').click()");
    await tab.until('3 change', "document.getElementById('rows').children.length === 3");
    expect(await names()).toEqual(['oven-40', 'oven-80', 'oven-120']);
    // The choice is in the address: a reload keeps it.
    await tab.read('window.old = true');
    await tab.read('location.reload()');
    const again = "!window.old && document.getElementById('rows')?.children.length === 3";
    await tab.until('again', again);
    await tab.read("document.querySelector('[data-name=changing]').click()");
    expect(tab.complaints).toEqual([]);
  });

  for (const [what, view] of [
    ['a phone', PHONE],
    ['a phone in the dark', { ...PHONE, dark: true }],
    ['a narrow desk', { width: 800, height: 600 }],
  ] as const) {
    real(
      title(`fits ${what}: nothing runs out of the side, texts keep their contrast`),
      async () => {
        const tab = tabNow();
        await tab.view(view);
        await tab.until('rows are there', "document.getElementById('rows').children.length > 10");
        const wide = 'document.documentElement.scrollWidth';
        expect(await tab.read<number>(wide)).toBeLessThanOrEqual(view.width);
        expect(await tab.read<number>(CONTRAST)).toBeGreaterThanOrEqual(4.5);
        await tab.view(DESK);
      },
    );
  }

  real(title('is reached with the keyboard alone, and focus stays while rows change'), async () => {
    const tab = tabNow();
    await tab.open(`${url()}#q=oven-1&sort=device`);
    await tab.until('rows are there', "document.querySelector('.name')?.textContent === 'oven-1'");
    await tab.read("document.querySelector('.name').focus()");
    await report(signingDevice('oven-0'));
    await report(signingDevice('oven-1-b'));
    await tab.until('another row', rowOf('oven-1-b'));
    expect(await tab.read<string>('document.activeElement.textContent')).toBe('oven-1');
    await tab.press('Enter');
    await tab.until('the detail is open', "document.getElementById('detail').open");
    expect(await tab.read<string>("document.getElementById('detail-title').textContent")).toBe(
      'oven-1',
    );
    await tab.press('Escape');
    await tab.until('back', "document.activeElement.textContent === 'oven-1'");
  });
});

/** The lowest contrast of a text to what stands behind it, as WCAG 2 counts it. */
const CONTRAST = `(() => {
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = (node) => { for (let at = node; at; at = at.parentElement) { const c = rgb(getComputedStyle(at).backgroundColor); if (c.length === 3 || c[3] > 0.5) return c.slice(0, 3); } return [255, 255, 255]; };
  const texts = [...document.querySelectorAll('main *, footer *, header *')].filter((node) => node.checkVisibility() && !node.disabled && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== ''));
  return Math.min(...texts.map((node) => { const [a, b] = [light(rgb(getComputedStyle(node).color).slice(0, 3)), light(behind(node))]; return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
})()`;

describe('docs/hub.md', () => {
  const tools = program('mosquitto_pub') !== null && program('curl') !== null;
  const why = tools ? '' : ' (no mosquitto_pub, or no curl)';
  const shell = tools ? test : test.skip;

  shell(`its commands: a device is taken off, rows are read by a script${why}`, async () => {
    const page = readFileSync(join(ROOT, 'docs/hub.md'), 'utf8');
    const [start = '', clear = '', script = ''] = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(
      ([, block]) => block ?? '',
    );
    expect(start).toBe('holdfast hub --data hub\n');
    const env = `FLEET=${FLEET} MQTT_PORT=${hub.mqtt} REGISTRY_PORT=${hub.registry}`;
    const rows = async (text: string) => {
      const ended = await run(['sh', '-eu', '-c', `export ${env}\n${text}`]);
      const { rows } = JSON.parse(ended.out) as { rows: { device: string; condition: string }[] };
      return rows.map(({ device, condition }) => `${device} ${condition}`);
    };
    const gone = signingDevice('press-9');
    await retain(gone.topic, Buffer.from('nobody signed this'));
    await eventually('it is there', async () => (await rows(script)).includes('press-9 unproven'));
    if (program('mosquitto_pub') === null || program('curl') === null) return;
    await run(['sh', '-eu', '-c', `export ${env}\n${clear}`]);
    await eventually('it is gone', async () => !(await rows(script)).includes('press-9 unproven'));
  });
});

describe('who may read', () => {
  test('without TLS: this machine, under its own names; a name of somebody else is not answered', async () => {
    const get = (host: string, path = 'v1/fleet') =>
      fetch(`${url()}${path}`, { headers: { host } });
    for (const host of ['localhost:1', '127.0.0.1', '[::1]:80']) {
      expect([host, (await get(host)).status]).toEqual([host, 200]);
    }
    for (const path of ['', 'v1/fleet', 'v1/fleet/changes', 'v1/fleet/device?id=x']) {
      expect([path, (await get('rebound.example', path)).status]).toEqual([path, 421]);
    }
    expect((await fetch(`${url()}v1/fleet`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${url()}v1/fleet/other`)).status).toBe(404);
  });

  test('the policy allows no script but the page’s own, and nobody frames it', async () => {
    const page = await fetch(url());
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    expect(page.headers.get('x-frame-options')).toBe('DENY');
    const html = await page.text();
    expect(html).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
    expect(html.length).toBeLessThan(40_000);
  });

  test('32 pages hear changes at once; the next one is told to ask instead', async () => {
    const ends = new AbortController();
    const streams = [];
    for (let n = 0; n < 60; n += 1) {
      streams.push(await fetch(`${url()}v1/fleet/changes`, { signal: ends.signal }));
      if (streams.at(-1)?.status !== 200) break;
    }
    expect(streams.at(-1)?.status).toBe(503);
    expect(streams.length).toBeLessThanOrEqual(33);
    ends.abort();
    await eventually('there is room again', async () => {
      const again = new AbortController();
      const { status } = await fetch(`${url()}v1/fleet/changes`, { signal: again.signal });
      again.abort();
      return status === 200;
    });
  });

  real(title('with TLS: operators with their secret; devices and nobody do not'), async () => {
    const data = join(folder, 'secure');
    const ports = ['--registry-port', '0', '--mqtt-port', '0'];
    const child = spawnHub('--data', data, '--tls', '--name', '127.0.0.1', ...ports);
    const said = await readUntil(child.stdout, /mqtts:\/\/127\.0\.0\.1:\d+\n/);
    const port = /https:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    const command = [process.execPath, `${ROOT}/test/support/hub-child.ts`, 'hub', 'enroll'];
    const made = await run([...command, 'operator', 'anna', '--data', data, '-o', 'json']);
    const secret = /"secret":\s*"([^"]+)"/.exec(made.out)?.[1] ?? made.out.trim();
    const at = `https://127.0.0.1:${port}/`;
    const tls = { tls: { rejectUnauthorized: false } };
    const get = (path: string, headers = {}) => fetch(`${at}${path}`, { headers, ...tls });
    for (const path of ['', 'v1/fleet', 'v1/fleet/changes']) {
      expect([path, (await get(path)).status]).toEqual([path, 401]);
    }
    const tab = tabNow();
    await tab.open(at, { name: 'anna', secret });
    await tab.until('it is live', LIVE);
    expect(await tab.read<string>("document.getElementById('about').textContent")).toContain(
      'Logged in as anna',
    );
    child.kill('SIGTERM');
    await child.exited;
  });
});
