/**
 * A credential that renews itself: while changes flow, after its end, over kills; and one that the
 * hub does not renew any more. Lives are seconds here, months in the field; the code is the same.
 */
import { afterAll, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StatusView } from '#control/api.ts';
import { endChild, run } from '../support/command.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import { holdfast } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { filesSpec, missing } from '../support/plant.ts';
import { type Cabinet, cabinet, type SecureHub, secureHub } from '../support/secure-hub.ts';

const real = missing === null ? test : test.skip;
const dead = missing === null && faketime ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

const worlds: World[] = [];
afterAll(async () => {
  for (const world of worlds) await world.remove();
});

interface World {
  readonly hub: SecureHub;
  readonly device: Cabinet;
  readonly opt: string;
  /** @param wrap  what stands before the agent: a clock that is wrong */
  start(wrap?: readonly string[]): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  status(): Promise<StatusView | null>;
  publish(text: string): Promise<void>;
  log(): string;
  remove(): Promise<void>;
}

/** A hub, an enrolled device whose credential lives for `life`, and a publisher with a secret. */
async function world(life: string, ...flags: readonly string[]): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-renew-'));
  const [fleet, opt] = [join(folder, 'plant'), join(folder, 'opt')];
  mkdirSync(opt);
  const init = ['init', fleet, '--no-passphrase', '--no-examples', '--channel', 'stable'];
  await must([holdfast, ...init]);
  const root = ['--root', join(fleet, 'root/1.root.json'), '--repository', 'plant/state'];
  const lives = ['--channel', 'stable', '--credential-life', life, ...flags];
  const hub = await secureHub(folder, [...root, ...lives]);
  await hub.operator('operator', 'anna', '--out', join(folder, 'anna'));
  const shown = {
    auth: { usernameFile: join(folder, 'anna/user'), passwordFile: join(folder, 'anna/secret') },
    tls: { ca: join(folder, 'anna/ca.pem') },
  };
  const at = {
    registry: { url: `${hub.url}/plant/state`, ...shown },
    mqtt: { url: `mqtts://127.0.0.1:${hub.mqttPort}`, ...shown },
  };
  const channels = { stable: { signers: ['stable'] } };
  const head = { apiVersion: 'holdfast/v1', kind: 'Fleet', name: 'plant' };
  writeFileSync(join(fleet, 'fleet.yaml'), JSON.stringify({ ...head, ...at, channels }));
  const device = cabinet(folder, 'press-7');
  const ended = await device.enroll(['--token', await hub.token('press-7')]);
  if (ended.code !== 0) throw new Error(ended.err);
  device.configure({
    channels: [{ name: 'stable', allow: { roots: [opt] } }],
    nudges: { perMinute: 600 },
    keep: { reserve: '1Mi' },
    log: { level: 'debug' },
  });
  let child: ChildProcess | null = null;
  let log = '';
  const made: World = {
    ...{ hub, device, opt, log: () => log },
    async start(wrap = []) {
      const [file = '', ...args] = [...wrap, holdfast, 'agent', '-c', device.config];
      const started = spawn(file, args, { cwd: '/' });
      child = started;
      for (const stream of [started.stdout, started.stderr])
        stream.on('data', (text) => {
          log += text;
        });
      await eventually('the agent answers', async () => (await made.status())?.agent.ready);
    },
    async stop(signal = 'SIGTERM') {
      if (child) await endChild(child, signal);
      child = null;
    },
    async status() {
      const socket = { unix: join(device.runDir, 'status.sock') };
      const answer = await fetch('http://holdfast/v1/status', socket).catch(() => null);
      return answer?.ok ? ((await answer.json()) as StatusView) : null;
    },
    async publish(text) {
      const folder = join(fleet, 'channels/stable');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'plc.conf'), text);
      const target = join(opt, 'plc.conf');
      const spec = filesSpec({ conf: { blob: 'plc.conf', target } });
      const document = { apiVersion: 'holdfast/v1', kind: 'Deployment', id: 'line', spec };
      writeFileSync(join(folder, 'line.yaml'), JSON.stringify(document));
      await must([holdfast, 'publish', 'stable', '-y', '-C', fleet]);
      await eventually(`${text} is applied`, async () => read(target) === text);
    },
    async remove() {
      await made.stop('SIGKILL');
      await hub.stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
  worlds.push(made);
  return made;
}

async function must(command: readonly string[]): Promise<void> {
  const ended = await run(command);
  if (ended.code !== 0) throw new Error(`${command.join(' ')}\n${ended.err}`);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

const serialOf = (device: Cabinet) => new X509Certificate(device.credential() ?? '').serialNumber;

async function renewedFrom(device: Cabinet, serial: string): Promise<string> {
  await eventually('there is another credential', async () => serialOf(device) !== serial);
  return serialOf(device);
}

describe('a credential', () => {
  real(
    title('is renewed while changes flow; no connection is ever refused'),
    async () => {
      const { hub, device, ...it } = await world('6s');
      await it.start();
      let serial = serialOf(device);
      for (const change of ['one', 'two', 'three']) {
        await it.publish(change);
        serial = await renewedFrom(device, serial);
      }
      await it.publish('four');
      expect(it.log()).not.toMatch(/link\.(unauthorized|forbidden)|mqtt-refused|not-renewed/);
      const status = await it.status();
      expect(status?.credential).toMatchObject({ kind: 'certificate' });
      const told = await run([holdfast, 'audit', '--run-dir', device.runDir]);
      expect(told.out).toContain('credential-renewed');
      expect(await hub.operator('list')).toContain('press-7');
      const checked = await run([holdfast, 'doctor', '-c', device.config, '-o', 'json']);
      expect(checked.out).toContain('certificate of https://127.0.0.1');
      await it.remove();
    },
    90_000,
  );

  real(
    title('that ended while the hub was away is renewed by the device key alone'),
    async () => {
      const { hub, device, ...it } = await world('3s');
      await it.start();
      await hub.stop('SIGKILL');
      const serial = serialOf(device);
      const { validTo } = new X509Certificate(device.credential() ?? '');
      await eventually('it has ended', async () => Date.now() > Date.parse(validTo) + 1_000);
      // What is in use stays, however often the renewal failed.
      expect(serialOf(device)).toBe(serial);
      await hub.start();
      await renewedFrom(device, serial);
      await it.publish('after');
      await it.remove();
    },
    90_000,
  );

  real(
    title('survives kill -9 of agent and hub at any moment of its renewals'),
    async () => {
      const { hub, device, ...it } = await world('3s');
      let serial = serialOf(device);
      for (let round = 0; round < 4; round += 1) {
        await it.start();
        await Bun.sleep(1_500 + round * 180);
        await it.stop('SIGKILL');
        await hub.stop('SIGKILL');
        expect(device.credential()).toContain('BEGIN PRIVATE KEY');
        await hub.start();
      }
      await it.start();
      serial = await renewedFrom(device, serial);
      await it.publish('whole');
      await it.remove();
    },
    120_000,
  );

  dead(
    faketime
      ? title('of a device at 1970 is renewed when its hub says so')
      : 'at 1970 (no faketime)',
    async () => {
      const { device, ...it } = await world('12s');
      const serial = serialOf(device);
      const issued = Date.now();
      const over = () => Date.now() > issued + 8_200;
      await eventually('two thirds of its life are over', over);
      await it.start(AT_1970);
      await renewedFrom(device, serial);
      await it.remove();
    },
    90_000,
  );

  real(
    title('that the hub renews no more is told (enroll.expired), and what runs runs on'),
    async () => {
      const { hub, device, ...it } = await world('2s', '--renew-grace', '0');
      await it.start();
      await it.publish('before');
      await hub.stop();
      const { validTo } = new X509Certificate(device.credential() ?? '');
      await eventually('it has ended', async () => Date.now() > Date.parse(validTo) + 1_000);
      const serial = serialOf(device);
      await hub.start();
      await eventually('the agent says so', async () => it.log().includes('enroll.expired'));
      expect([serialOf(device), read(join(it.opt, 'plc.conf'))]).toEqual([serial, 'before']);
      const checked = await run([holdfast, 'doctor', '-c', device.config, '-o', 'json']);
      expect(checked.out).toContain('it has ended');
      // A new token brings it back, without a restart.
      const token = await hub.token('press-7');
      expect((await device.enroll(['--token', token])).code).toBe(0);
      await it.remove();
    },
    90_000,
  );
});
