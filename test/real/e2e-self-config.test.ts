/**
 * Changes that could cut a device off, with the compiled executable, a real registry and a real
 * broker: the agent's own configuration as a deployment, and a file that its connections need. What
 * works is proven over connections made for it; what cuts off undoes itself, also when the agent is
 * killed meanwhile; programs run on.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCa, makeLeaf, SERVER } from '../support/certificates.ts';
import { run } from '../support/command.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import { type Device, holdfast, programsOf } from '../support/device.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  programText,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
let other: Mosquitto;

afterEach(() => {
  if (missing !== null) return;
  for (const id of ['agent', 'secret']) {
    rmSync(join(plant.fleetFolder, 'channels/canary', `${id}.yaml`), { force: true });
  }
});
beforeAll(async () => {
  if (missing !== null) return;
  [parts, other] = await Promise.all([startParts(), startMosquitto()]);
  plant = await makePlant(parts);
});
afterAll(async () => {
  await plant?.remove();
  await Promise.all([parts?.remove(), other?.remove()]);
});

function policy(of: Readonly<Record<string, unknown>>): void {
  const settings = {
    ...{ apiVersion: 'holdfast/v1', kind: 'Fleet', name: 'plant' },
    ...{ registry: { url: plant.registry }, mqtt: { url: plant.mqtt } },
    channels: { canary: { signers: ['canary'], policy: of }, stable: { signers: ['stable'] } },
  };
  writeFileSync(join(plant.fleetFolder, 'fleet.yaml'), JSON.stringify(settings));
}

function sections(of: Readonly<Record<string, unknown>>): void {
  const head = { apiVersion: 'holdfast/v1', kind: 'Agent' };
  plant.write('canary', 'agent/sections.yaml', JSON.stringify({ ...head, ...of }));
  plant.deploy('canary', 'agent', {
    deploymentProfile: {
      type: 'agent',
      components: [{ name: 'config', properties: { blob: 'agent/sections.yaml' } }],
    },
  });
}

async function publish(...flags: readonly string[]): Promise<string> {
  return (await plant.publish('canary', ...flags)).point;
}

async function refusal(device: Device): Promise<string> {
  const found = await eventually(`${device.id} refuses`, async () => {
    // Between two runs of the agent nobody answers.
    const status = await device.status().catch(() => null);
    return status?.channels[0]?.refused;
  });
  return `${found.code}: ${found.message}`;
}

const broker = (port: number) => ({ mqtt: { url: `mqtt://127.0.0.1:${port}` } });

async function start(id: string): Promise<Device> {
  const device = plant.device(id, {
    settings: {
      channels: [
        {
          name: 'canary',
          allow: { roots: [join(plant.folder, id)], runtimes: ['files', 'process', 'agent'] },
        },
      ],
    },
  });
  const journal = join(device.folder, 'journal');
  plant.write('canary', 'bin/line', programText('line', journal), 0o755);
  plant.deploy('canary', 'line', processSpec({ blob: 'bin/line' }));
  policy({ healthWindow: '3s' });
  const point = await publish('--allow-removal');
  await device.start();
  await device.applied(point);
  await device.linked();
  return device;
}

const programs = (device: Device) => programsOf(device.stateDir);

describe('the configuration of the agent as a deployment', () => {
  real(
    title('another broker and other labels are taken, proven there, and nothing restarts'),
    async () => {
      const device = await start('moves');
      const before = programs(device);
      sections({ ...broker(other.port), device: { labels: { site: 'b' } } });
      const point = await publish();
      await device.applied(point);
      const status = await device.status();
      expect(status.device.labels).toEqual({ site: 'b' });
      expect(status.mqtt?.state).toBe('up');
      expect(programs(device)).toEqual(before);
      expect(readFileSync(device.configFile, 'utf8')).not.toContain(String(other.port));
      expect((await device.explain()).facts).toContainEqual({
        name: 'configuration from a state',
        value: 'device.labels, mqtt',
      });
      expect(status.agent.configuration?.fromState).toEqual(['device.labels', 'mqtt']);
      expect((await device.command(['status'])).out).toContain('device.labels, mqtt from a state');
      const doctor = await run([holdfast, 'doctor', '--config', device.configFile]);
      expect(doctor.out).toContain('from a state: device.labels, mqtt');
      await device.stop();
      await device.start();
      expect((await device.status()).device.labels).toEqual({ site: 'b' });
      // Taken out of the state: the owner's file alone counts again.
      plant.unwrite('canary', 'agent.yaml');
      const last = await publish('--allow-removal', '--no-nudge');
      const asked = JSON.parse((await device.command(['apply', '-o', 'json'])).out);
      expect(asked).toMatchObject({ result: 'waiting', fault: { code: 'apply.reconfigured' } });
      await device.applied(last);
      expect((await device.status()).device.labels).toEqual({});
      expect(existsSync(join(device.stateDir, 'agent/overlay.yaml'))).toBe(false);
      await device.stop();
    },
  );

  real(
    title('a broker that is not there: undone and refused by name, also over kill -9'),
    async () => {
      const device = await start('lost');
      const before = programs(device);
      const dead = await freePort();
      sections(broker(dead));
      const point = await publish();
      await eventually('it tries the other broker', async () => {
        const status = await device.status().catch(() => null);
        return status?.channels[0]?.phase === 'proving';
      });
      await device.stop('SIGKILL');
      await device.start();
      expect(await refusal(device)).toContain(
        `apply.cut-off: since ${point} came into force, broker`,
      );
      await device.linked();
      expect(programs(device)).toEqual(before);
      expect(existsSync(join(device.stateDir, 'agent/overlay.yaml'))).toBe(false);
      await device.stop();
      plant.unwrite('canary', 'agent.yaml');
    },
  );

  real(title('what is the owner’s is refused by key, and a file of his by path'), async () => {
    const device = await start('bounds');
    for (const [what, code] of [
      [{ trust: { root: '/x' } }, 'apply.config-key: agent: "trust"'],
      [{ device: { id: 'press-8' } }, 'apply.config-key: agent: "device.id"'],
      [{ stateDir: '/var/other' }, 'apply.config-key: agent: "stateDir"'],
      [{ runtimes: { process: { allowRoot: true } } }, 'apply.config-key: agent: "runtimes"'],
      [{ schedule: { interval: 'soon' } }, 'apply.config-invalid: agent is no configuration'],
      [
        { registries: [{ url: 'https://elsewhere/x', auth: { tokenFile: '/etc/shadow' } }] },
        'apply.config-path: agent: registries.auth.tokenFile names "/etc/shadow"',
      ],
    ] as const) {
      sections(what);
      const point = await publish();
      await eventually(`${code} for ${point}`, async () => {
        const refused = (await device.status().catch(() => null))?.channels[0]?.refused;
        return refused?.offered === point && `${refused.code}: ${refused.message}`.startsWith(code);
      });
    }
    await device.stop();
  });
});

describe('commit: reachable for files that connections need', () => {
  real(title('a password file that the broker does not take: the old one is back'), async () => {
    const locked = await startMosquitto((folder) => {
      const file = join(folder, 'passwords');
      Bun.spawnSync(['mosquitto_passwd', '-c', '-b', file, 'press', 'right']);
      return ['allow_anonymous false', `password_file ${file}`];
    });
    const device = plant.device('password');
    const user = join(device.folder, 'user');
    const password = join(device.opt, 'password');
    writeFileSync(user, 'press\n');
    writeFileSync(password, 'right\n');
    device.configure({
      mqtt: { ...broker(locked.port).mqtt, auth: { usernameFile: user, passwordFile: password } },
    });
    plant.write('canary', 'password', 'wrong\n');
    plant.deploy('canary', 'secret', filesSpec({ one: { blob: 'password', target: password } }));
    await device.start();
    await device.linked();
    policy({ commit: 'reachable', healthWindow: '4s' });
    const point = await publish('--allow-removal', '--no-nudge');
    const ended = await device.command(['apply', '-o', 'json']);
    expect(JSON.parse(ended.out)).toMatchObject({
      result: 'refused',
      offered: point,
      fault: { code: 'apply.cut-off' },
    });
    expect(readFileSync(password, 'utf8')).toBe('right\n');
    await device.linked();
    await device.stop();
    await locked.remove();
  });

  const dead = missing === null && faketime ? test : test.skip;
  dead(title('with a dead clock, over TLS: proven over connections of its own'), async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-reach-'));
    const ca = makeCa(folder, 'ca');
    const registry = await startRegistry({ tls: makeLeaf(folder, 'server', ca, SERVER) });
    const at = {
      url: `https://localhost:${registry.port}/plant/state`,
      tls: { ca: ca.cert },
    };
    const channels = { canary: { signers: ['canary'], policy: { commit: 'reachable' } } };
    const secure = await makePlant(parts, {
      ...{ registry: at.url, channels: ['canary'] },
      settings: { registry: at, channels },
    });
    const device = secure.device('dead-clock', {
      settings: { mqtt: undefined, registries: [at] },
      wrap: AT_1970,
    });
    secure.write('canary', 'file', 'one\n');
    const file = { blob: 'file', target: join(device.opt, 'file') };
    secure.deploy('canary', 'file', filesSpec({ file }));
    const { point } = await secure.publish('canary', '--no-nudge');
    await device.start();
    await device.applied(point);
    expect(device.log()).not.toContain('state.unguarded');
    const { out } = await device.command(['events', '-o', 'json']);
    expect(out).not.toContain('state.unguarded');
    await secure.remove();
    await registry.remove();
    rmSync(folder, { recursive: true, force: true });
  });
});
