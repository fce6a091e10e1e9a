/**
 * Keys of agent.yaml that no other end-to-end test uses, tried with the compiled executable; which
 * test uses which key is in e2e-config-keys.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/command.ts';
import { startConnectProxy } from '../support/connect-proxy.ts';
import { clockAt, faketime } from '../support/dead-clock.ts';
import { type Device, holdfast, programsOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { digestOf, nudgeOf } from '../support/forge.ts';
import { freePort } from '../support/free-port.ts';
import { isRoot } from '../support/parts.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';
import { type RegistryProxy, startRegistryProxy } from '../support/registry-proxy.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const asRoot = missing === null && isRoot ? test : test.skip;
const rootTitle = (what: string) => (isRoot ? title(what) : `${what} (needs root)`);

let parts: Parts;
let proxy: RegistryProxy;
let plant: Plant;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  proxy = await startRegistryProxy(parts.registry.port);
  plant = await makePlant(parts, { registry: `http://127.0.0.1:${proxy.port}/plant/state` });
});
afterAll(async () => {
  await plant?.remove();
  await proxy?.down();
  await parts?.remove();
});

async function publish(device: Device, text: string, channel = 'canary'): Promise<string> {
  plant.write(channel, 'file', text);
  const file = { blob: 'file', target: join(device.opt, 'file') };
  plant.deploy(channel, 'file', filesSpec({ file }));
  return (await plant.publish(channel, '--no-nudge')).point;
}

const IN_TWO_DAYS = clockAt(
  new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 19).replace('T', ' '),
);

const faultOf = async (device: Device): Promise<string | undefined> => {
  const ended = await device.command(['apply', '-o', 'json']);
  return (JSON.parse(ended.out) as { fault: { code: string } | null }).fault?.code;
};

describe('keys of agent.yaml', () => {
  asRoot(rootTitle('the sockets have the group and the mode that the owner wants'), async () => {
    const device = plant.device('sockets', {
      settings: { sockets: { group: 'daemon', statusMode: '0600' } },
    });
    await device.start();
    const daemon = Number((await run(['id', '-g', 'daemon'])).out);
    expect(statSync(join(device.runDir, 'control.sock')).gid).toBe(daemon);
    expect(statSync(join(device.runDir, 'status.sock')).mode & 0o777).toBe(0o600);
    await device.stop();
  });

  const clocked = missing === null && faketime ? test : test.skip;
  clocked(
    title('a state whose end the clock has passed waits where the clock is strict'),
    async () => {
      const config = join(plant.fleetFolder, 'fleet.yaml');
      const before = readFileSync(config, 'utf8');
      writeFileSync(config, before.replace('{ healthWindow: 0s }', '{ validForDays: 1 }'));
      const lenient = plant.device('lenient', { wrap: IN_TWO_DAYS });
      const point = await publish(lenient, 'ends');
      writeFileSync(config, before);
      const strict = plant.device('strict', {
        wrap: IN_TWO_DAYS,
        settings: { trust: { root: plant.root, allowDemo: true, clock: 'strict' } },
      });
      await Promise.all([lenient.start(), strict.start()]);
      await lenient.applied(point);
      expect((await lenient.status()).channels[0]?.freshness).toBe('estimated');
      expect(await faultOf(strict)).toBe('trust.maybe-expired');
      expect((await strict.status()).channels[0]?.applied).toBeNull();
      await Promise.all([lenient.stop(), strict.stop()]);
    },
  );

  real(title('a demo root is refused where it is not allowed'), async () => {
    const device = plant.device('demo', { settings: { trust: { root: plant.root } } });
    const ended = await run([holdfast, 'agent', '--config', device.configFile]);
    expect(ended.code).toBe(3);
    expect(ended.err).toContain('trust.demo-root');
  });

  real(title('a runtime that the channel may not use is refused'), async () => {
    const device = plant.device('runtimes');
    device.configure({
      channels: [{ name: 'stable', allow: { roots: [device.opt], runtimes: ['files'] } }],
    });
    plant.write('stable', 'run', '#!/bin/sh\nsleep 1000\n', 0o755);
    plant.deploy('stable', 'program', processSpec({ blob: 'run' }));
    await plant.publish('stable', '--no-nudge');
    await device.start();
    expect(await faultOf(device)).toMatch(/^plan\./);
    expect(programsOf(device.stateDir)).toEqual([]);
    await device.stop();
  });

  asRoot(rootTitle('a program is not run as root where it is not allowed'), async () => {
    const device = plant.device('no-root', { settings: { runtimes: { process: {} } } });
    device.configure({ channels: [{ name: 'stable', allow: { roots: [device.opt] } }] });
    await device.start();
    expect(await faultOf(device)).toBe('apply.root-denied');
    expect(programsOf(device.stateDir)).toEqual([]);
    await device.stop();
  });

  asRoot(rootTitle('programs run as the user that the owner allows'), async () => {
    const device = plant.device('user', {
      settings: { runtimes: { process: { user: 'daemon' } } },
    });
    for (const folder of [plant.folder, device.folder]) chmodSync(folder, 0o755);
    device.configure({
      channels: [{ name: 'stable', allow: { roots: [device.opt], users: ['daemon'] } }],
    });
    await device.start();
    await eventually('it runs', async () => (await device.status()).channels[0]?.applied);
    const owners = programsOf(device.stateDir).map((pid) => statSync(`/proc/${pid}`).uid);
    expect([...new Set(owners)]).toEqual([Number((await run(['id', '-u', 'daemon'])).out)]);
    plant.deploy('stable', 'program', processSpec({ blob: 'run', user: 'nobody' }));
    await plant.publish('stable', '--no-nudge');
    expect(await faultOf(device)).toMatch(/^plan\./);
    await device.remove();
  });

  real(title('registry and broker are reached through a proxy that knows CONNECT'), async () => {
    const relay = await startConnectProxy('plc-7:p:a/ss%');
    const [usernameFile, passwordFile] = ['proxy-user', 'proxy-password'].map((name) =>
      join(plant.folder, name),
    );
    writeFileSync(usernameFile ?? '', 'plc-7\n');
    writeFileSync(passwordFile ?? '', 'p:a/ss%\n');
    const through = {
      proxy: `http://127.0.0.1:${relay.port}`,
      proxyAuth: { usernameFile, passwordFile },
    };
    const device = plant.device('proxied', {
      settings: {
        registries: [{ url: plant.registry, ...through }],
        mqtt: { url: plant.mqtt, ...through },
      },
    });
    const point = await publish(device, 'proxied');
    await device.start();
    await device.applied(point);
    await device.reports(point, ({ applied }) => applied === point);
    expect(relay.asked.join('\n')).toContain(`CONNECT 127.0.0.1:${parts.broker.port}`);
    expect(relay.asked.join('\n')).toContain(`127.0.0.1:${proxy.port}`);
    await device.stop();
    relay.close();
  });

  real(title('plain transport to another host needs insecure'), async () => {
    const device = plant.device('insecure');
    const plain = { url: 'http://registry.example.invalid/plant/state' };
    const broker = { url: 'mqtt://broker.example.invalid' };
    for (const settings of [{ registries: [plain] }, { mqtt: broker }]) {
      device.configure({ registries: [], mqtt: undefined, ...settings });
      const ended = await run([holdfast, 'agent', '--config', device.configFile]);
      expect(ended.code).toBe(2);
      expect(ended.err).toContain('config.plain-transport');
    }
    device.configure({
      registries: [{ ...plain, insecure: true }],
      mqtt: { ...broker, insecure: true },
    });
    await device.start();
    expect(await faultOf(device)).toMatch(/^link\./);
    await device.stop();
  });

  real(title('another topic root is spoken on'), async () => {
    const topicRoot = `plants/seven/${plant.fleet.slice(0, 8)}`;
    const device = plant.device('topics', { settings: { mqtt: { url: plant.mqtt, topicRoot } } });
    await device.start();
    const { port } = parts.broker;
    const topic = `${topicRoot}/d/topics/status`;
    const got = await run([
      'mosquitto_sub',
      '-p',
      String(port),
      '-t',
      topic,
      '-C',
      '1',
      '-W',
      '10',
    ]);
    expect(got.code).toBe(0);
    expect(device.allReports()).toEqual([]);
    await device.stop();
  });

  real(title('the next look is spread by the jitter'), async () => {
    const device = plant.device('jitter', { settings: { mqtt: undefined } });
    const seen: number[] = [];
    for (const jitter of [0, 1]) {
      device.configure({ schedule: { interval: '20m', jitter } });
      await device.start();
      await eventually('a first look', async () => (await device.status()).lastLook);
      for (let round = 0; round < 4; round += 1) {
        await device.command(['apply']);
        const { nextLookInMs } = await device.status();
        if (jitter === 1) seen.push(nextLookInMs ?? 0);
        else expect(Math.abs((nextLookInMs ?? 0) - 1_200_000)).toBeLessThan(5_000);
      }
      await device.stop();
    }
    expect(Math.max(...seen) - Math.min(...seen)).toBeGreaterThan(5_000);
    expect(Math.max(...seen)).toBeLessThanOrEqual(2_400_000);
  });

  real(title('a flood of nudges costs as many looks as the limit allows'), async () => {
    const device = plant.device('flood', { settings: { nudges: { perMinute: 3 } } });
    const point = await publish(device, 'flood');
    await device.start();
    await device.applied(point);
    proxy.asked.length = 0;
    const nudges = Array.from({ length: 30 }, (_, index) =>
      nudgeOf(plant, 'canary', {
        epoch: 1n,
        sequence: BigInt(1_000 + index),
        manifestDigest: digestOf(`${index}`),
      }),
    );
    await Promise.all(nudges);
    await eventually(
      'a look by a nudge',
      async () => (await device.status()).lastLook?.wake === 'nudge',
    );
    await device.command(['apply']);
    const heads = proxy.asked.filter(({ path }) => path.includes('/manifests/'));
    // Each look asks by digest, then by tag.
    expect(heads.length).toBeLessThanOrEqual(3 * 3 + 3);
    await device.stop();
  });

  real(title('a bundle that is put into a watched directory is applied'), async () => {
    const usb = join(plant.folder, 'usb');
    const device = plant.device('watched', {
      settings: { registries: [], mqtt: undefined, bundles: { watch: [usb] } },
    });
    plant.write('canary', 'file', 'from the stick');
    plant.deploy(
      'canary',
      'file',
      filesSpec({ file: { blob: 'file', target: join(device.opt, 'file') } }),
    );
    await device.start();
    const { point } = await plant.publish('canary', '--to', `oci:${usb}/stick`);
    await device.applied(point);
    expect(device.read('file')).toBe('from the stick');
    await device.stop();
  });

  real(title('as many old states are kept as the owner wants'), async () => {
    const device = plant.device('generations', {
      settings: { keep: { generations: 1, reserve: '1Mi' } },
    });
    await device.start();
    for (const text of ['one', 'two', 'three']) {
      await publish(device, text);
      expect(await faultOf(device)).toBeUndefined();
    }
    expect((await device.command(['rollback'])).code).toBe(0);
    expect(device.read('file')).toBe('two');
    const again = await device.command(['rollback', '-o', 'json']);
    expect(JSON.parse(again.out)).toMatchObject({ fault: { code: 'agent.no-rollback' } });
    await device.stop();
  });

  real(title('below the reserve nothing new is taken'), async () => {
    const device = plant.device('reserve', { settings: { keep: { reserve: '900000Gi' } } });
    await publish(device, 'too much');
    await device.start();
    expect(await faultOf(device)).toBe('apply.no-space');
    expect(existsSync(join(device.opt, 'file'))).toBe(false);
    expect(readdirSync(device.opt)).toEqual([]);
    await device.stop();
  });

  real(title('the log has the level and the format that the owner wants'), async () => {
    const device = plant.device('log', { settings: { log: { level: 'info', format: 'json' } } });
    await device.start();
    await device.stop();
    for (const line of device.log().trim().split('\n')) {
      expect(JSON.parse(line)).toMatchObject({
        level: expect.stringMatching(/^(info|warn|error)$/),
      });
    }
    device.configure({ log: { level: 'error', format: 'human' } });
    const before = device.log().length;
    await device.start();
    await device.stop();
    expect(device.log().length).toBe(before);
    device.configure({ log: { level: 'info', format: 'human' } });
    await device.start();
    await device.stop();
    expect(device.log().slice(before)).toContain('agent.started');
    expect(() => JSON.parse(device.log().slice(before).split('\n')[0] ?? '')).toThrow();
  });

  real(title('metrics are served where the owner wants'), async () => {
    const port = await freePort();
    const listen = `127.0.0.1:${port}`;
    const device = plant.device('metrics', { settings: { metrics: { listen } } });
    await device.start();
    const answer = await fetch(`http://${listen}/metrics`);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('holdfast_');
    await device.stop();
    expect(fetch(`http://${listen}/metrics`)).rejects.toThrow();
  });
});
