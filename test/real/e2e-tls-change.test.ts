/**
 * A fleet whose servers change their CA (docs/roots.md, "The CA of the servers changes"): a real
 * registry and a real Mosquitto show certificates of one CA, then of another. Devices that are there,
 * that were away, that have no clock or no tls.ca; and the control, without overlap.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CertificateFiles, makeCa, makeLeaf, SERVER } from '../support/certificates.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import type { Device } from '../support/device.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { program } from '../support/parts.ts';
import { filesSpec, makePlant, missing, type Plant } from '../support/plant.ts';

const lacking = missing ?? (program('openssl') === null ? 'no openssl' : null);
const real = lacking === null ? test : test.skip;
const title = (what: string) => (lacking === null ? what : `${what} (${lacking})`);
const dead = lacking === null && faketime ? test : test.skip;

let folder: string;
let registry: RealRegistry;
let broker: Mosquitto;
const ca: Record<'old' | 'new', CertificateFiles> = { old: NONE(), new: NONE() };
const leaf: Record<'old' | 'new', CertificateFiles> = { old: NONE(), new: NONE() };
const plants: Plant[] = [];

function NONE(): CertificateFiles {
  return { cert: '', key: '' };
}

/** Both servers show a certificate of this CA from now on. */
async function show(name: 'old' | 'new'): Promise<void> {
  cpSync(leaf[name].cert, join(folder, 'server.pem'));
  cpSync(leaf[name].key, join(folder, 'server.key'));
  if (broker === undefined) return;
  await Promise.all([registry.restart(), broker.stop().then(() => broker.start())]);
}

beforeAll(async () => {
  if (lacking !== null) return;
  folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-change-'));
  for (const name of ['old', 'new'] as const) {
    ca[name] = makeCa(folder, `ca-${name}`);
    leaf[name] = makeLeaf(folder, `server-${name}`, ca[name], SERVER);
  }
  const both = readFileSync(ca.old.cert, 'utf8') + readFileSync(ca.new.cert, 'utf8');
  writeFileSync(join(folder, 'both.pem'), both);
  await show('old');
  const files = { cert: join(folder, 'server.pem'), key: join(folder, 'server.key') };
  registry = await startRegistry({ tls: files });
  const lines = [`certfile ${files.cert}`, `keyfile ${files.key}`, 'allow_anonymous true'];
  broker = await startMosquitto(() => lines);
});
afterAll(async () => {
  await Promise.all(plants.map((plant) => plant.remove()));
  await registry?.remove();
  await broker?.remove();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

interface Site {
  readonly plant: Plant;
  /** tls.ca is the old CA's file */
  device(id: string, settings?: Readonly<Record<string, unknown>>): Device;
  /** a state with this text for every device: its point */
  publish(text: string): Promise<string>;
  /** Edit, request, sign, publish: the next root. */
  root(...edits: readonly (readonly string[])[]): Promise<void>;
  /** What is published, on a stick. */
  stick(): Promise<string>;
}

async function site(name: string): Promise<Site> {
  const url = `https://localhost:${registry.port}/${name}/state`;
  const mqtt = `mqtts://localhost:${broker.port}`;
  const tls = { ca: ca.old.cert };
  const plant = await makePlant(
    { broker, registry, remove: async () => undefined },
    {
      ...{ registry: url, mqtt, channels: ['stable'] },
      watch: ['-h', 'localhost', '-p', `${broker.port}`, '--cafile', join(folder, 'both.pem')],
      settings: { registry: { url, tls }, mqtt: { url: mqtt, tls } },
    },
  );
  plants.push(plant);
  const ran = async (...args: readonly string[]) => {
    const ended = await plant.holdfast(args);
    if (ended.code !== 0) throw new Error(`${args.join(' ')}: ${ended.code}\n${ended.err}`);
    return ended.out;
  };
  let [version, sticks] = [1, 0];
  return {
    plant,
    device: (id, settings = {}) =>
      plant.device(id, {
        channel: 'stable',
        settings: { registries: [{ url, tls }], mqtt: { url: mqtt, tls }, ...settings },
      }),
    async publish(text) {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of the document
      const target = join(plant.folder, '${id}', 'opt', 'file');
      const parameters = { id: { valueFrom: { device: 'id' } } };
      plant.write('stable', 'file', text);
      const file = { blob: 'file', target };
      plant.deploy('stable', 'file', { ...(filesSpec({ file }) as object), parameters });
      return (await plant.publish('stable')).point;
    },
    async root(...edits) {
      version += 1;
      for (const edit of edits) await ran('root', ...edit);
      await ran('root', 'request');
      const request = `root/${version}.request.json`;
      await ran('root', 'sign', request, '--key', 'keys/root/root-1.pem', '-y');
      await ran('root', 'publish');
    },
    async stick() {
      sticks += 1;
      const to = join(plant.folder, `stick-${sticks}`);
      await plant.publish('stable', '--to', `oci:${to}`);
      return to;
    },
  };
}

const holds = (device: Device, version: string) =>
  eventually(
    `${device.id} holds root ${version}`,
    async () => (await device.status()).device.rootVersion === version,
  );
const ups = (device: Device) => device.log().split('"mqtt.up"').length - 1;
/** A look over the network: its exit code and what it says. */
async function look(device: Device) {
  const ended = await device.command(['apply', '-o', 'json']);
  const said = JSON.parse(ended.out) as { fault?: { code: string; remedy: string } };
  return { code: ended.code, fault: said.fault ?? null };
}

describe('the servers change their CA', () => {
  real(
    title('with overlap: who is there follows, who was away comes back by a stick'),
    async () => {
      await show('old');
      const { device, publish, root, stick } = await site('overlap');
      const [here, away] = [device('here'), device('away')];
      const first = await publish('one');
      for (const one of [here, away]) {
        await one.start();
        await one.applied(first);
        await one.linked();
      }
      await away.stop();

      await root(['tls', 'add', 'ca-new', ca.new.cert]);
      await holds(here, '2');
      // A root that changes no state is told as well.
      const told = await here.reports('root 2', ({ rootVersion }) => rootVersion === 2n);
      expect(told).toMatchObject({ applied: first, events: ['trust.root-replaced'] });
      expect(ups(here)).toBe(1);

      await show('new');
      await eventually('the link is up again', () => ups(here) === 2);
      // The desk has the old CA in fleet.yaml too: it trusts the new one by its own root.
      const second = await publish('two');
      await here.applied(second);

      await root(['tls', 'configured', 'replace']);
      await holds(here, '3');
      const third = await publish('three');
      await here.applied(third);
      expect(ups(here)).toBe(2);

      await away.start();
      const stranded = await look(away);
      expect(stranded.code).toBe(4);
      expect(stranded.fault?.code).toBe('link.tls-untrusted');
      expect(stranded.fault?.remedy).toContain('bundle');
      expect((await away.status()).channels[0]?.applied?.point).toBe(first);
      expect(away.read('file')).toBe('one');
      await away.command(['apply', await stick()]);
      await away.applied(third);
      await holds(away, '3');
      await away.linked();
      const fourth = await publish('four');
      for (const one of [here, away]) await one.applied(fourth);

      await show('old');
      expect(await look(here)).toMatchObject({ code: 4, fault: { code: 'link.tls-untrusted' } });
    },
    60_000,
  );

  real(
    title('a session ends by itself where its CA is taken away, and only there'),
    async () => {
      await show('old');
      const { device, publish, root, stick } = await site('taken');
      const one = device('one');
      const point = await publish('one');
      await one.start();
      await one.applied(point);
      await one.linked();
      await root(['tls', 'add', 'ca-new', ca.new.cert], ['tls', 'configured', 'replace']);
      await one.command(['apply', await stick()]);
      await holds(one, '2');
      await eventually('the session has ended', async () => {
        const { mqtt } = await one.status();
        return mqtt?.state === 'down' && mqtt.fault?.code === 'link.tls-untrusted';
      });
      await show('new');
      await one.linked();
      await one.stop();
    },
    60_000,
  );

  real(
    title('without overlap: everyone is told what to do, and a root on a stick cures it'),
    async () => {
      await show('old');
      const { plant, device, publish, root, stick } = await site('control');
      const one = device('one');
      const first = await publish('one');
      await one.start();
      await one.applied(first);
      await show('new');
      const told = await look(one);
      expect(told).toMatchObject({ code: 4, fault: { code: 'link.tls-untrusted' } });
      expect(told.fault?.remedy).toContain('bundle');
      const desk = await plant.holdfast(['publish', 'stable', '--renew', '-y']);
      expect(desk.code).toBe(4);
      expect(desk.err).toContain('link.tls-untrusted');
      expect((await one.status()).channels[0]?.applied?.point).toBe(first);
      // The desk's own file first, then the root, then the stick.
      const file = join(plant.fleetFolder, 'fleet.yaml');
      const settings = readFileSync(file, 'utf8').replaceAll(ca.old.cert, ca.new.cert);
      writeFileSync(file, settings);
      await root(['tls', 'add', 'ca-new', ca.new.cert]);
      await one.command(['apply', await stick()]);
      await holds(one, '2');
      await one.linked();
      expect((await look(one)).code).toBe(0);
    },
    60_000,
  );
});

describe('a device without tls.ca', () => {
  const BARE = { tls: undefined };
  let made: Site;
  let bundle: string;
  let point: string;

  /** Registry and broker as in the plant, and no CA in agent.yaml. */
  function bare(id: string, wrap: readonly string[] = []): Device {
    const { registry: url, mqtt } = made.plant;
    const settings = { registries: [{ url, ...BARE }], mqtt: { url: mqtt, ...BARE } };
    return made.plant.device(id, { channel: 'stable', wrap, settings });
  }

  beforeAll(async () => {
    if (lacking !== null) return;
    await show('old');
    made = await site('bare');
    point = await made.publish('one');
    await made.root(['tls', 'add', 'ca-old', ca.old.cert]);
    bundle = await made.stick();
  });

  async function comesBy(one: Device): Promise<void> {
    await one.start();
    expect(await look(one)).toMatchObject({ code: 4, fault: { code: 'link.tls-untrusted' } });
    await one.command(['apply', bundle]);
    await one.applied(point);
    await one.linked();
    expect((await look(one)).code).toBe(0);
    await one.stop();
  }

  real(title('trusts the root’s CA beside the system’s'), () => comesBy(bare('bare')));

  dead(
    faketime ? title('and so at 1970, where the system’s count for nothing') : 'no faketime',
    () => comesBy(bare('bare-1970', AT_1970)),
  );
});
