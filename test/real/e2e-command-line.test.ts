/**
 * Commands of the compiled executable that need no agent, or say that there is none: exit codes,
 * `agent --once`, and what `doctor` finds.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/command.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import { type Device, holdfast } from '../support/device.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';
import { type RegistryProxy, startRegistryProxy } from '../support/registry-proxy.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let proxy: RegistryProxy;
let plant: Plant;
let device: Device;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  proxy = await startRegistryProxy(parts.registry.port);
  plant = await makePlant(parts, { registry: `http://127.0.0.1:${proxy.port}/plant/state` });
  device = plant.device('press-7');
  await device.start();
  plant.write('canary', 'conf', 'canary\n');
  const conf = { blob: 'conf', target: join(device.opt, 'conf') };
  plant.deploy('canary', 'conf', filesSpec({ conf }));
  await device.applied((await plant.publish('canary')).point);
});
afterAll(async () => {
  await plant?.remove();
  await proxy?.down();
  await parts?.remove();
});

describe('exit codes', () => {
  real(
    title('2 for a wrong command line and a wrong configuration, 5 without an agent'),
    async () => {
      const nowhere = ['--run-dir', join(plant.folder, 'nowhere')];
      for (const command of [
        'status',
        'plan',
        'explain',
        'history',
        'apply',
        'rollback',
        'pause',
      ]) {
        const ended = await run([holdfast, command, ...nowhere]);
        expect([command, ended.code]).toEqual([command, 5]);
        expect(ended.err).toContain('holdfast agent --config');
      }
      expect((await run([holdfast, 'status', '--nonsense'])).code).toBe(2);
      expect((await run([holdfast, 'stats'])).err).toContain('status');
      const missingConfig = await run([holdfast, 'agent', '--config', '/nowhere/agent.yaml']);
      expect(missingConfig.code).toBe(2);
      const typo = join(plant.folder, 'typo.yaml');
      writeFileSync(typo, 'apiVersion: holdfast/v1\nkind: Agent\nscheduel: { interval: 5m }\n');
      const ended = await run([holdfast, 'agent', '--config', typo]);
      expect(ended.code).toBe(2);
      expect(ended.err).toContain('typo.yaml:3:1');
    },
  );

  real(title('--once does one cycle and ends with its code'), async () => {
    const once = plant.device('press-once', { settings: { mqtt: undefined } });
    once.configure({ channels: [{ name: 'stable', allow: { roots: [once.opt] } }] });
    const command = [holdfast, 'agent', '--once', '--config', once.configFile];
    expect((await run(command)).code).toBe(0);
    plant.write('stable', 'conf', 'once\n');
    const conf = { blob: 'conf', target: join(once.opt, 'conf') };
    plant.deploy('stable', 'conf', filesSpec({ conf }));
    await plant.publish('stable');
    expect((await run(command)).code).toBe(0);
    expect(once.read('conf')).toBe('once\n');
    await proxy.down();
    expect((await run(command)).code).toBe(4);
    await proxy.up();
  });
});

describe('doctor', () => {
  interface Finding {
    readonly about: string;
    readonly severity: string;
    readonly message: string;
    readonly remedy: string;
  }
  const doctor = async (
    settings: Record<string, unknown>,
    wrap: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ) => {
    const config = join(plant.folder, 'doctor.yaml');
    writeFileSync(config, JSON.stringify({ ...device.config, ...settings }));
    const command = [...wrap, holdfast, 'doctor', '-o', 'json', '--config', config];
    const ended = await run(command, { env });
    const findings = JSON.parse(ended.out) as readonly Finding[];
    for (const { severity, remedy } of findings) {
      if (severity === 'warning' || severity === 'error') expect(remedy).not.toBe('');
    }
    const named = findings.map(({ about, severity }) => `${severity} ${about}`);
    return { code: ended.code, findings, named };
  };

  real(title('beside a running agent all is well; the demo root is a warning'), async () => {
    const { code, named } = await doctor({});
    expect(code).toBe(0);
    expect(named).toEqual(
      expect.arrayContaining(['ok clock', 'ok configuration', 'ok disk', 'ok mqtt', 'ok registry']),
    );
    expect(named).toContain('warning trust');
    expect(named.filter((each) => each.startsWith('error'))).toEqual([]);
  });

  real(title('notes what is not configured'), async () => {
    const { named } = await doctor({ registries: [], mqtt: undefined });
    expect(named).toEqual(expect.arrayContaining(['note registry', 'note mqtt']));
  });

  real(
    title('L09: warns of secrets that anybody can read, of a full disk, of an empty channel'),
    async () => {
      const password = join(plant.folder, 'password');
      writeFileSync(password, 'secret');
      chmodSync(password, 0o644);
      const auth = { usernameFile: password, passwordFile: password };
      const { code, named, findings } = await doctor({
        registries: [{ url: `${plant.registry}-empty`, auth }],
        keep: { reserve: '900000Gi' },
      });
      expect(code).toBe(0);
      expect(named).toEqual(
        expect.arrayContaining(['warning secrets', 'warning disk', 'warning registry']),
      );
      expect(findings.map(({ remedy }) => remedy)).toContain(`chmod 600 ${password}`);
    },
  );

  real(title('warns of what an attacker on the device or its network could use'), async () => {
    const open = join(plant.folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const registries = [{ url: plant.registry, insecure: true }];
    const settings = { registries, channels: [{ name: 'canary', allow: { roots: [open] } }] };
    const { code, findings } = await doctor(settings, [], { NODE_OPTIONS: '--no-warnings' });
    expect(code).toBe(0);
    const told = findings.filter(({ severity }) => severity === 'warning');
    expect(told.map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        `${plant.registry} is not encrypted`,
        `${plant.registry}: no client certificate, the device is nobody there`,
        `${open} can be changed by everybody: with it a target root`,
        'NODE_OPTIONS is set: it can change what runs in this program or whom it trusts',
        'a signed state may run programs as root',
      ]),
    );
    expect(findings).toContainEqual(
      expect.objectContaining({ severity: 'note', about: 'sockets', code: '' }),
    );
  });

  real(title('ends with 2 where registry, broker or root cannot be used'), async () => {
    const root = join(plant.folder, 'broken.json');
    writeFileSync(root, '{}');
    const { code, named } = await doctor({
      registries: [{ url: 'http://127.0.0.1:1/plant/state' }],
      mqtt: { url: 'mqtt://127.0.0.1:1' },
      trust: { root, allowDemo: true },
    });
    expect(code).toBe(2);
    expect(named).toEqual(expect.arrayContaining(['error registry', 'error mqtt', 'error trust']));
  });

  const dead = missing === null && faketime ? test : test.skip;
  dead(title('warns of a clock at 1970 and goes on'), async () => {
    const { code, named } = await doctor({}, AT_1970);
    expect(code).toBe(0);
    expect(named).toContain('warning clock');
    expect(named).toContain('ok registry');
  });
});
