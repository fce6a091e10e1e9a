/**
 * The ways in that plants really have: a registry behind a password or a token service, TLS with an
 * authority of the plant's own and a client certificate, a broker with all of them, MQTT 5 and 3.1.1,
 * and a device whose clock is at 1970.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CertificateFiles,
  CLIENT,
  makeCa,
  makeLeaf,
  SERVER,
} from '../support/certificates.ts';
import { output } from '../support/command.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import type { Device } from '../support/device.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { program } from '../support/parts.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';
import { startTokenService, type TokenService } from '../support/token-service.ts';

const lacking =
  missing ?? ['openssl', 'mosquitto_passwd'].find((name) => program(name) === null) ?? null;
const real = lacking === null ? test : test.skip;
const title = (what: string) => (lacking === null ? what : `${what} (${lacking})`);
const dead = lacking === null && faketime ? test : test.skip;
const timed = (what: string) => (!faketime ? `${what} (no faketime)` : title(what));
const SECRET = 'turbine-7-secret';

let parts: Parts;
let folder: string;
let ca: CertificateFiles;
let other: CertificateFiles;
let client: CertificateFiles;
const registries: RealRegistry[] = [];
const plants: Plant[] = [];
let broker: Mosquitto;

beforeAll(async () => {
  if (lacking !== null) return;
  parts = await startParts();
  folder = mkdtempSync(join(tmpdir(), 'holdfast-auth-'));
  ca = makeCa(folder, 'plant');
  other = makeCa(folder, 'other');
  client = makeLeaf(folder, 'client', ca, CLIENT);
});
afterAll(async () => {
  await Promise.all(plants.map((plant) => plant.remove()));
  await Promise.all(registries.map((registry) => registry.remove()));
  await broker?.remove();
  await parts?.remove();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

function secret(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, `${text}\n`);
  chmodSync(file, 0o600);
  return file;
}

async function serve(options: Parameters<typeof startRegistry>[0]): Promise<RealRegistry> {
  const registry = await startRegistry(options);
  registries.push(registry);
  return registry;
}

async function open(options: Parameters<typeof makePlant>[1]): Promise<Plant> {
  const plant = await makePlant(parts, options);
  plants.push(plant);
  return plant;
}

/** Publishes one file for this device. */
async function publish(plant: Plant, device: Device, text: string): Promise<string> {
  plant.write('canary', 'file', text);
  const file = { blob: 'file', target: join(device.opt, 'file') };
  plant.deploy('canary', 'file', filesSpec({ file }));
  return (await plant.publish('canary')).point;
}

describe('a registry behind a password', () => {
  real(
    title('N13: applies with it; without and with a wrong one ends with 4; it is in no log'),
    async () => {
      const { port } = await serve({ users: { plc: SECRET } });
      const auth = {
        usernameFile: secret('user', 'plc'),
        passwordFile: secret('password', SECRET),
      };
      const url = `http://127.0.0.1:${port}/plant/state`;
      const plant = await open({ registry: url, settings: { registry: { url, auth } } });
      const device = plant.device('press-7', { settings: { mqtt: undefined } });
      const point = await publish(plant, device, 'one');
      await device.start();
      for (const settings of [
        { url },
        { url, auth: { ...auth, passwordFile: secret('wrong', `${SECRET}-wrong`) } },
      ]) {
        device.configure({ registries: [settings] });
        process.kill(device.pid(), 'SIGHUP');
        await eventually('the agent asks with it', async () => {
          const ended = await device.command(['apply', '-o', 'json']);
          return ended.code === 4 && ended.out.includes('link.unauthorized');
        });
      }
      device.configure({ registries: [{ url, auth }] });
      process.kill(device.pid(), 'SIGHUP');
      await device.applied(point);
      const { out } = await device.command(['status', '-o', 'json']);
      const { out: explained } = await device.command(['explain', '-o', 'json']);
      for (const text of [device.log(), out, explained]) expect(text).not.toContain(SECRET);
    },
  );
});

describe('a registry with a token service', () => {
  let service: TokenService;
  afterAll(() => service?.stop());

  real(title('the agent gets a token to pull, the publisher one to push'), async () => {
    const signer = makeLeaf(folder, 'tokens', ca, SERVER);
    const pusher = `Basic ${Buffer.from(`pusher:${SECRET}`).toString('base64')}`;
    service = startTokenService({
      cert: readFileSync(signer.cert, 'utf8'),
      key: readFileSync(signer.key, 'utf8'),
      pusher,
    });
    const { port } = await serve({ token: { realm: service.realm, certBundle: signer.cert } });
    const url = `http://127.0.0.1:${port}/plant/state`;
    const auth = {
      usernameFile: secret('pusher', 'pusher'),
      passwordFile: secret('pusher-password', SECRET),
    };
    const plant = await open({ registry: url, settings: { registry: { url, auth } } });
    const device = plant.device('press-7', { settings: { mqtt: undefined } });
    const point = await publish(plant, device, 'one');
    await device.start();
    await device.applied(point);
    expect(device.read('file')).toBe('one');
    const pulls = service.asked.filter(({ authorization }) => authorization === null);
    expect(pulls.map(({ scope }) => scope)).toContain('repository:plant/state:pull');
  });

  real(title('a token of the owner from a file is sent as it is'), async () => {
    const { port } = await serve({});
    const url = `http://127.0.0.1:${port}/plant/state`;
    const plant = await open({ registry: url });
    const device = plant.device('press-7');
    const point = await publish(plant, device, 'one');
    const seen: (string | null)[] = [];
    const guard = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      async fetch(request) {
        const sent = request.headers.get('authorization');
        seen.push(sent);
        if (sent !== `Bearer ${SECRET}`) {
          const challenge = 'Bearer realm="http://127.0.0.1:1/token",service="x"';
          return new Response(null, { status: 401, headers: { 'www-authenticate': challenge } });
        }
        const { pathname } = new URL(request.url);
        const { method, headers } = request;
        return fetch(`http://127.0.0.1:${port}${pathname}`, { method, headers });
      },
    });
    const settings = { url: `http://127.0.0.1:${guard.port}/plant/state` };
    const auth = { tokenFile: secret('token', SECRET) };
    device.configure({ registries: [{ ...settings, auth }], mqtt: undefined });
    await device.start();
    await device.applied(point);
    expect(seen).toContain(`Bearer ${SECRET}`);
    expect(device.log()).not.toContain(SECRET);
    await guard.stop(true);
  });
});

describe('L17: TLS with an authority of the plant and a client certificate', () => {
  let plant: Plant;
  let url: string;
  let point: string;
  let device: Device;

  const tls = () => ({ ca: ca.cert, cert: client.cert, key: client.key });

  real(title('the state is published and applied'), async () => {
    const leaf = makeLeaf(folder, 'registry', ca, SERVER);
    const { port } = await serve({ tls: { ...leaf, clientCa: ca.cert } });
    url = `https://localhost:${port}/plant/state`;
    plant = await open({ registry: url, settings: { registry: { url, tls: tls() } } });
    device = plant.device('press-7', {
      settings: { mqtt: undefined, registries: [{ url, tls: tls() }] },
    });
    point = await publish(plant, device, 'one');
    await device.start();
    await device.applied(point);
    await device.stop();
  });

  real(
    title('without the client certificate, and with another authority: exit code 4'),
    async () => {
      for (const [name, settings] of [
        ['none', { ca: ca.cert }],
        ['wrong', { ...tls(), ca: other.cert }],
      ] as const) {
        const one = plant.device(`press-${name}`, {
          settings: { mqtt: undefined, registries: [{ url, tls: settings }] },
        });
        await one.start();
        const ended = await one.command(['apply', '-o', 'json']);
        expect(ended.code).toBe(4);
        expect((await one.status()).channels[0]?.applied).toBeNull();
        await one.stop();
      }
    },
  );

  dead(
    timed('at 1970 with the right authority it is applied, and says what its clock is worth'),
    async () => {
      const one = plant.device('press-1970', {
        wrap: AT_1970,
        settings: {
          mqtt: undefined,
          registries: [{ url, tls: tls() }],
          channels: [{ name: 'canary', allow: { roots: [device.opt] } }],
        },
      });
      await one.start();
      await one.applied(point);
      const status = await one.status();
      expect(status.device.timeGrade).toBe('estimated');
      expect(status.channels[0]?.deployments[0]?.health).toBe('healthy');
      const [newest] = await one.history();
      expect(newest?.outcome).toBe('applied');
      await one.stop();
    },
  );

  dead(timed('at 1970 with another authority nothing is asked of it'), async () => {
    const one = plant.device('press-1970-wrong', {
      wrap: AT_1970,
      settings: { mqtt: undefined, registries: [{ url, tls: { ...tls(), ca: other.cert } }] },
    });
    await one.start();
    const ended = await one.command(['apply', '-o', 'json']);
    expect(ended.code).toBe(4);
    expect(JSON.parse(ended.out)).toMatchObject({
      fault: { code: expect.stringMatching(/^link\./) },
    });
    expect((await one.status()).channels[0]?.applied).toBeNull();
    await one.stop();
  });
});

describe('a broker with TLS, client certificates and passwords', () => {
  let plant: Plant;
  let url: string;
  let login: { readonly usernameFile: string; readonly passwordFile: string };
  const tls = () => ({ ca: ca.cert, cert: client.cert, key: client.key });
  const log = () => readFileSync(join(broker.folder, 'log'), 'utf8');

  beforeAll(async () => {
    if (lacking !== null) return;
    const leaf = makeLeaf(folder, 'broker', ca, SERVER);
    const passwords = join(folder, 'passwords');
    await output(['mosquitto_passwd', '-b', '-c', passwords, 'plc', SECRET]);
    chmodSync(passwords, 0o600);
    broker = await startMosquitto((at) => [
      `cafile ${ca.cert}`,
      `certfile ${leaf.cert}`,
      `keyfile ${leaf.key}`,
      'require_certificate true',
      'allow_anonymous false',
      `password_file ${passwords}`,
      `log_dest file ${join(at, 'log')}`,
      'log_type all',
    ]);
    url = `mqtts://localhost:${broker.port}`;
    login = { usernameFile: secret('mqtt-user', 'plc'), passwordFile: secret('mqtt-pass', SECRET) };
    const mine = ['--cafile', ca.cert, '--cert', client.cert, '--key', client.key];
    plant = await open({
      mqtt: url,
      watch: ['-h', 'localhost', '-p', String(broker.port), ...mine, '-u', 'plc', '-P', SECRET],
      settings: { mqtt: { url, tls: tls(), auth: login } },
    });
  });

  for (const [protocol, code] of [
    ['5', 'p5'],
    ['3.1.1', 'p2'],
    ['auto', 'p5'],
  ] as const) {
    real(
      title(`protocol ${protocol}: nudged, applied, and the signed status comes back`),
      async () => {
        const id = `press-${protocol.replaceAll('.', '-')}`;
        const device = plant.device(id, {
          settings: { mqtt: { url, protocol, tls: tls(), auth: login } },
        });
        await device.start();
        await device.reports('itself', () => true);
        const point = await publish(plant, device, protocol);
        const report = await device.reports(point, ({ applied }) => applied === point);
        expect(report.health).toEqual({ file: 'healthy' });
        expect(plant.watch.online(id)).toBe(true);
        expect((await device.status()).lastLook?.wake).toBe('nudge');
        expect(log()).toMatch(new RegExp(`connected from .* as \\S*${id}\\S* \\(${code},`));
        await device.stop();
        await eventually('presence says offline', () => plant.watch.online(id) === false);
      },
    );
  }

  real(title('kill -9: the last will says offline'), async () => {
    const device = plant.device('press-will', {
      settings: { mqtt: { url, tls: tls(), auth: login } },
    });
    await device.start();
    await eventually('presence', () => plant.watch.online('press-will') === true);
    await device.stop('SIGKILL');
    await eventually('the will', () => plant.watch.online('press-will') === false);
  });

  for (const [what, settings] of [
    ['no client certificate', () => ({ tls: { ca: ca.cert }, auth: login })],
    [
      'a wrong password',
      () => ({ tls: tls(), auth: { ...login, passwordFile: secret('no', 'no') } }),
    ],
    ['another authority', () => ({ tls: { ...tls(), ca: other.cert }, auth: login })],
  ] as const) {
    real(
      title(`${what}: the link stays down and says why; states still come by the registry`),
      async () => {
        const id = `press-${what.replaceAll(' ', '-')}`;
        const device = plant.device(id, { settings: { mqtt: { url, ...settings() } } });
        const point = await publish(plant, device, what);
        await device.start();
        await device.applied(point);
        await eventually('the fault', async () => (await device.status()).mqtt?.fault);
        const { mqtt } = await device.status();
        expect(mqtt?.state).not.toBe('up');
        expect(mqtt?.fault?.code).toMatch(/^link\./);
        await device.stop();
      },
    );
  }

  dead(
    timed('at 1970 the broker is checked without the clock: right and wrong authority'),
    async () => {
      const right = plant.device('clock-right', {
        wrap: AT_1970,
        settings: { mqtt: { url, tls: tls(), auth: login } },
      });
      const wrong = plant.device('clock-wrong', {
        wrap: AT_1970,
        settings: { mqtt: { url, tls: { ...tls(), ca: other.cert }, auth: login } },
      });
      await Promise.all([right.start(), wrong.start()]);
      const report = await right.reports('itself', () => true);
      expect(report.grade).toBe('ESTIMATED');
      await eventually('the fault', async () => (await wrong.status()).mqtt?.fault);
      expect((await wrong.status()).mqtt?.state).not.toBe('up');
      expect(plant.watch.all('clock-wrong')).toEqual([]);
    },
  );
});
