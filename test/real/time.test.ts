/**
 * Time without a clock, whole: the executable as device and as time authority, Mosquitto, a registry,
 * and clocks at 1970 and 2040. What an attacker at the broker can do with answers is in
 * test/attacks/time.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { authority } from '../support/authority.ts';
import { run } from '../support/command.ts';
import { startConnectProxy } from '../support/connect-proxy.ts';
import { AT_1970, clockAt } from '../support/dead-clock.ts';
import { holdfast } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { makePlant, type Parts, type Plant, startParts } from '../support/plant.ts';
import {
  attested,
  factOf,
  freshnessOf,
  gradeOf,
  HOUR,
  lacks,
  publish,
  serve,
} from '../support/time-world.ts';

const real = lacks === null ? test : test.skip;
const title = (what: string) => (lacks === null ? what : `${what} (${lacks})`);
const AT_2040 = clockAt('2040-05-05 05:05:05');

let parts: Parts;
let plant: Plant;

beforeAll(async () => {
  if (lacks !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { init: ['--time-key'] });
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

describe('check 0: a device whose clock is wrong learns the time from its fleet', () => {
  for (const [name, wrap, plain] of [
    ['1970', AT_1970, 'implausible'],
    ['2040', AT_2040, 'attested'],
  ] as const) {
    real(
      title(`at ${name}, over MQTT: attested, and the newest state is proven to be the newest`),
      async () => {
        const device = plant.device(`press-${name}`, { wrap });
        await device.start();
        const point = await publish(plant, `year=${name}`);
        await device.applied(point);
        expect(await gradeOf(device)).toBe('estimated');
        const serving = await serve(plant);
        await device.stop();
        await device.start({ wrap });
        await attested(device);
        await eventually(
          'the head is proven',
          async () => (await freshnessOf(device)) === 'attested',
        );
        expect(await factOf(device, 'time')).toContain(plain);
        const now = /^(\S+) \(attested/.exec(await factOf(device, 'time'))?.[1] ?? '';
        expect(Math.abs(Date.parse(now) - Date.now())).toBeLessThan(HOUR);
        const report = await device.reports(
          'an attested status',
          ({ grade }) => grade === 'ATTESTED',
        );
        expect(report.freshness).toBe('ATTESTED');
        await serving.stop();
      },
      60_000,
    );
  }

  real(
    title('at 1970, over HTTP alone, and with a link to nobody it starts what it had'),
    async () => {
      const serving = await serve(plant);
      const time = { url: serving.url, interval: '1h' };
      const device = plant.device('press-http', {
        wrap: AT_1970,
        settings: { mqtt: undefined, time },
      });
      await device.start();
      const point = await publish(plant, 'way=http');
      await device.command(['apply']);
      await device.applied(point);
      await attested(device);
      await serving.stop();
      await device.stop();
      device.configure({ registries: [{ url: 'http://127.0.0.1:1/nobody/state' }] });
      await device.start();
      expect(device.read('speed.conf')).toBe('way=http\n');
      expect(await gradeOf(device)).toBe('estimated');
      // what it learned outlives the link: the floor is of today
      const floor = Date.parse(await factOf(device, 'time floor'));
      expect(Math.abs(floor - Date.now())).toBeLessThan(48 * HOUR);
    },
    60_000,
  );

  real(
    title('carried by hand: time ask, time sign, apply --time; once'),
    async () => {
      const device = plant.device('press-hand', {
        wrap: AT_1970,
        settings: {
          mqtt: undefined,
          registries: [],
          trust: { root: plant.root, allowDemo: true, unattestedMax: '30d' },
        },
      });
      await device.start();
      const point = await publish(plant, 'way=hand');
      const bundle = join(plant.folder, 'by-hand');
      await plant.publish('canary', '--to', `oci:${bundle}`);
      const refused = await device.command(['apply', bundle]);
      expect([refused.code, refused.err]).toEqual([3, expect.stringContaining('trust.unattested')]);
      const asked = await device.command(['time', 'ask', '-o', 'json']);
      const { nonce } = JSON.parse(asked.out) as { nonce: string };
      const answer = join(plant.folder, 'answer.json');
      const question = ['--device', 'press-hand', '--nonce', nonce];
      const signed = await plant.holdfast(['time', 'sign', ...question, '--out', answer]);
      expect([signed.code, signed.out]).toEqual([0, expect.stringContaining('press-hand')]);
      const taken = await device.command(['apply', bundle, '--time', answer]);
      expect([taken.code, taken.out]).toEqual([0, expect.stringContaining('time is attested')]);
      await device.applied(point);
      const again = await device.command(['apply', '--time', answer]);
      expect([again.code, again.err]).toEqual([3, expect.stringContaining('trust.time-nonce')]);
    },
    60_000,
  );
});

describe('check 14: a new state that wants a proven time', () => {
  real(
    title('waits, while what runs goes on, and is applied by itself when an authority answers'),
    async () => {
      const device = plant.device('press-waits', { wrap: AT_1970 });
      await device.start();
      await device.linked();
      const first = await publish(plant, 'wants=nothing');
      await device.applied(first);
      device.configure({ trust: { root: plant.root, allowDemo: true, unattestedMax: '30d' } });
      await device.stop();
      await device.start();
      await device.linked();
      expect(device.read('speed.conf')).toBe('wants=nothing\n');
      const next = await publish(plant, 'wants=time');
      const waits = await device.reports(
        'it waits',
        (one) => one.waitingFor === 'trust.unattested',
      );
      expect([waits.applied, waits.refused]).toEqual([first, null]);
      expect((await device.command(['explain'])).out).toContain('trust.unattested');
      const serving = await serve(plant);
      await device.applied(next);
      expect(device.read('speed.conf')).toBe('wants=time\n');
      expect((await device.command(['status'])).out).toContain('time attested');
      await serving.stop();
    },
    60_000,
  );
});

describe('L17: the way to the authority is TLS, also at 1970', () => {
  real(
    title('over HTTPS through a proxy, by the right CA; by another one nobody is asked'),
    async () => {
      const [ca, other] = [authority('time'), authority('other')];
      const [server, client] = [ca.leaf('IP:127.0.0.1'), ca.leaf('DNS:press-tls')];
      const file = (name: string, text: string) => {
        writeFileSync(join(plant.folder, name), text, { mode: 0o600 });
        return join(plant.folder, name);
      };
      const tls = {
        ca: file('time-ca.pem', ca.cert),
        cert: file('time-client.pem', client.cert),
        key: file('time-client.key', client.key),
      };
      const proxy = await startConnectProxy('plc-7:100%');
      const proxyAuth = {
        usernameFile: file('proxy-user', 'plc-7\n'),
        passwordFile: file('proxy-password', '100%\n'),
      };
      const serving = await serve(plant, [
        ...['--tls-cert', file('time-server.pem', server.cert)],
        ...['--tls-key', file('time-server.key', server.key)],
      ]);
      const settings = {
        mqtt: undefined,
        registries: [],
        time: { url: serving.url, tls, proxy: `http://127.0.0.1:${proxy.port}`, proxyAuth },
      };
      const device = plant.device('press-tls', { wrap: AT_1970, settings });
      await device.start();
      await attested(device);
      expect(proxy.asked).toEqual([`CONNECT ${new URL(serving.url).host}`]);
      await device.stop();
      const wrong = { ...tls, ca: file('other-ca.pem', other.cert) };
      device.configure({ time: { url: serving.url, tls: wrong } });
      await device.start();
      await eventually('it was refused', () => device.log().includes('link.tls'));
      expect(await gradeOf(device)).toBe('estimated');
      await serving.stop();
      proxy.close();
      for (const one of [ca, other]) one.remove();
    },
    60_000,
  );

  real(title('plain http to an authority on another host needs insecure'), async () => {
    const device = plant.device('press-plain', { settings: { mqtt: undefined, registries: [] } });
    const url = 'http://192.0.2.1:5090/';
    device.configure({ time: { url } });
    const ended = await run([holdfast, 'agent', '--config', device.configFile]);
    expect([ended.code, ended.err]).toEqual([2, expect.stringContaining('config.plain-transport')]);
    device.configure({ time: { url, insecure: true } });
    await device.start();
    await device.stop();
  });
});

describe('a statement for everyone', () => {
  real(
    title('from the tag time, a bundle and the broker raises the floor, and names the heads'),
    async () => {
      const point = await publish(plant, 'way=everyone');
      const device = plant.device('press-all', { wrap: AT_1970, settings: { mqtt: undefined } });
      const told = await plant.holdfast(['time', 'publish', '-o', 'json']);
      expect(told.code).toBe(0);
      expect(JSON.parse(told.out).heads).toContain(`canary ${point}`);
      await device.start();
      await device.applied(point);
      const today = async () =>
        Math.abs(Date.parse(await factOf(device, 'time floor')) - Date.now()) < HOUR;
      await eventually('the floor is of today', today);
      expect(await gradeOf(device)).toBe('estimated');
      const listens = plant.device('press-hint', { wrap: AT_1970, settings: { registries: [] } });
      await listens.start();
      await listens.linked();
      const statement = join(plant.folder, 'everyone.json');
      await plant.holdfast(['time', 'sign', '--out', statement]);
      const hinted = await plant.holdfast(['nudge', 'canary', '--time', statement]);
      expect(hinted.code).toBe(0);
      await eventually('the nudge told the time', async () => {
        const bound = Date.parse(await factOf(listens, 'time floor'));
        return Math.abs(bound - Date.now()) < HOUR;
      });
      const bundle = join(plant.folder, 'time.tar');
      const wrote = await plant.holdfast(['time', 'publish', '--to', `oci-archive:${bundle}`]);
      expect([wrote.code, existsSync(bundle)]).toEqual([0, true]);
      const alone = plant.device('press-stick', {
        ...{ wrap: AT_1970, settings: { mqtt: undefined, registries: [] } },
      });
      await alone.start();
      await alone.command(['apply', bundle]);
      const floor = Date.parse(await factOf(alone, 'time floor'));
      expect(Math.abs(floor - Date.now())).toBeLessThan(HOUR);
    },
    60_000,
  );
});
