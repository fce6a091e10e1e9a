/**
 * Changes of the root against a real registry and broker: rotation, two desks, a thief, a lost server,
 * a lost counter, poisoned time. What a device would say is said by a desk that holds only root 1.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BrokerConfig, openBroker } from '#link/mqtt-broker.ts';
import { sha256 } from '#state/digest.ts';
import { readNudge } from '#wire/nudge.ts';
import { run } from '../support/command.ts';
import { type Desk, type HttpLog, logged, openDesk, type Ran } from '../support/desk.ts';
import { dockerRegistry, type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { clients, type Mosquitto, mosquitto, startMosquitto } from '../support/mosquitto.ts';

interface View {
  point: string;
  stateDigest: string;
  manifestDigest: string;
  signed: string;
  moved: boolean;
  nudged: boolean;
  carried: boolean;
}
interface RootPublished {
  version: number;
  fresh: boolean;
  channels: { channel: string; published: View | null; fault: { code: string } | null }[];
}
interface Verified {
  artifacts: { point: string; verified: boolean; checks: { number: number; compared: string }[] }[];
}

let real: RealRegistry;
let desk: Desk;
let repository = 0;
const wire: HttpLog = { requests: [], left: -1, cut: null };

const at = (path: string) => join(desk.folder, path);
const url = () => `127.0.0.1:${real.port}/root/state-${repository}`;
const conf = (text: string, plant = 'plant') =>
  writeFileSync(at(`${plant}/channels/stable/files/hello.conf`), text);
const holdfast = (args: string[], plant = 'plant') => desk.run([...args, '-C', plant]);
const publish = (plant = 'plant', ...more: string[]) =>
  desk.json<View>(['publish', 'stable', '-C', plant, ...more]);
const publishRoot = (code = 0, ...more: string[]) =>
  desk.json<RootPublished>(['root', 'publish', '-C', 'plant', ...more], code);
const stableOf = ({ channels }: RootPublished) =>
  channels.find(({ channel }) => channel === 'stable');

async function make(plant: string, ...edits: string[][]): Promise<Ran> {
  for (const edit of edits) await holdfast(['root', ...edit], plant);
  const { file } = await desk.json<{ file: string }>(['root', 'request', '-C', plant]);
  const key = ['--key', `${plant}/keys/root/root-1.pem`, '-y'];
  return desk.run(['root', 'sign', `${plant}/${file}`, ...key]);
}

/** A new key signs stable, the old one no longer. */
async function rotate(plant = 'plant', key = 'fresh'): Promise<void> {
  await holdfast(['key', 'create', key, '--no-passphrase'], plant);
  const yaml = readFileSync(at(`${plant}/fleet.yaml`), 'utf8');
  writeFileSync(at(`${plant}/fleet.yaml`), yaml.replace('signers: [stable]', `signers: [${key}]`));
  await make(plant, ['add-key', key, '--role', 'channel.stable'], ['remove-key', 'stable']);
}

/** As a device that holds version 1 sees the channel: it walks the chain, then judges. */
async function fromRootOne(reference = 'stable'): Promise<Verified['artifacts'][number]> {
  const outside = at('outside');
  if (!existsSync(outside)) {
    cpSync(at('plant'), outside, { recursive: true });
    for (const version of [2, 3, 4])
      rmSync(join(outside, `root/${version}.root.json`), { force: true });
  }
  const args = ['verify', reference, '--channel', 'stable', '-C', 'outside', '-o', 'json'];
  const ran = await desk.run(args);
  const [artifact] = (JSON.parse(ran.out) as Verified).artifacts;
  if (!artifact) throw new Error(ran.err);
  return artifact;
}

if (dockerRegistry === null) {
  test.skip('docker-registry is not installed: nothing here was tried', () => undefined);
} else {
  beforeAll(async () => {
    real = await startRegistry();
  });
  afterAll(() => real.remove());
  beforeEach(async () => {
    repository += 1;
    Object.assign(wire, { requests: [], left: -1, cut: null });
    desk = openDesk({}, logged(wire));
    await desk.run(['init', 'plant', '--no-passphrase', '--registry', `http://${url()}`]);
  });
  afterEach(() => desk.remove());

  describe('rotation', () => {
    test('the same payload goes out with the longer chain, under both tags, and nothing twice', async () => {
      const first = await publish();
      await rotate();
      const published = await publishRoot();
      expect(published).toMatchObject({ version: 2, fresh: true });
      const stable = stableOf(published)?.published;
      expect(stable).toMatchObject({ point: '1.1', stateDigest: first.stateDigest, moved: true });
      expect(published.channels.find(({ channel }) => channel === 'canary')?.published).toBe(null);
      for (const tag of ['stable', 'stable_1_1']) {
        const seen = await fromRootOne(tag);
        expect(seen).toMatchObject({ point: '1.1', verified: true });
        expect(seen.checks.some(({ compared }) => compared.includes('root 2: signed by'))).toBe(
          true,
        );
      }
      wire.requests = [];
      expect(await publishRoot()).toMatchObject({ version: 2, fresh: false });
      expect(await publish()).toMatchObject({ point: '1.1', signed: 'before', moved: false });
      expect(wire.requests.filter((line) => /^(POST|PUT|PATCH)/.test(line))).toEqual([]);
    });

    test('several versions later, the whole chain is beside the state', async () => {
      await publish();
      for (const end of ['2050-01-01', '2051-01-01', '2052-01-01']) {
        await make('plant', ['set-expiry', end]);
        await publishRoot();
      }
      conf('speed=2\n');
      expect(await publish()).toMatchObject({ point: '1.2' });
      const checks = (await fromRootOne()).checks.map(({ compared }) => compared);
      for (const version of [2, 3, 4]) {
        expect(checks.some((text) => text.startsWith(`root ${version}: signed by`))).toBe(true);
      }
    });

    test('publish alone brings a head up to the root that a cut run made', async () => {
      await publish();
      await rotate();
      wire.cut = /^PUT .*\/manifests\//;
      expect(stableOf(await publishRoot(4))?.fault?.code).toBe('link.cut');
      wire.cut = null;
      expect(await publish()).toMatchObject({ point: '1.1', moved: true });
      expect(await fromRootOne()).toMatchObject({ verified: true });
    });

    test('cut at any request: the channel has the old head or the new one, and a rerun ends it', async () => {
      const { stateDigest } = await publish();
      await rotate();
      let cut = 0;
      for (let done = false; !done; cut += 1) {
        wire.left = cut;
        const ran = await holdfast(['root', 'publish']);
        wire.left = -1;
        expect([0, 4]).toContain(ran.code);
        const shown = await desk.json<{ stateDigest: string }[]>([
          'inspect',
          'stable',
          '-C',
          'plant',
        ]);
        expect(shown[0]?.stateDigest).toBe(stateDigest);
        done = ran.code === 0;
      }
      expect(cut).toBeGreaterThan(6);
      expect(await fromRootOne()).toMatchObject({ point: '1.1', verified: true });
    });

    test('a bundle made before the keys changed is not pushed', async () => {
      await publish();
      await publish('plant', '--renew', '--to', `oci:${at('usb')}`);
      await rotate();
      await publishRoot();
      const refused = await holdfast(['publish', 'stable', '--from', `oci:${at('usb')}`]);
      expect([refused.code, refused.err.includes('publish.former-head')]).toEqual([3, true]);
    });

    test('a bundle made afterwards carries the chain', async () => {
      await publish();
      await rotate();
      await publishRoot();
      await publish('plant', '--to', `oci-archive:${at('usb.tar')}`);
      expect(await fromRootOne(`oci-archive:${at('usb.tar')}`)).toMatchObject({ verified: true });
    });
  });

  describe('two desks', () => {
    test('the one that lacks the newest root stops, pulls it, and goes on', async () => {
      await publish();
      cpSync(at('plant'), at('other'), { recursive: true });
      await rotate();
      await publishRoot();
      conf('speed=9\n', 'other');
      const behind = await holdfast(['publish', 'stable'], 'other');
      expect([behind.code, behind.err.includes('publish.root-behind')]).toEqual([2, true]);
      const pulled = await desk.json<{ to: number; changes: { name: string }[] }[]>([
        ...['root', 'pull', '-C', 'other'],
      ]);
      expect(pulled).toMatchObject([{ to: 2 }]);
      expect(pulled[0]?.changes.map(({ name }) => name)).toContain('fresh');
      expect(readFileSync(at('other/root/2.root.json'))).toEqual(
        readFileSync(at('plant/root/2.root.json')),
      );
      const gone = await holdfast(['publish', 'stable'], 'other');
      expect(gone.err).toContain('publish.key-not-in-role'); // its key is gone, and it says so
    });

    test('two that make one version: the second is told before it writes anything', async () => {
      await publish();
      cpSync(at('plant'), at('other'), { recursive: true });
      await make('other', ['set-expiry', '2051-01-01']);
      await make('plant', ['set-expiry', '2050-01-01']);
      await publishRoot();
      const second = await holdfast(['root', 'publish'], 'other');
      expect([second.code, second.err.includes('publish.root-behind')]).toEqual([2, true]);
      expect(existsSync(at('other/root/2.root.json'))).toBe(false);
    });

    test('two that made one version without seeing each other: the fork stops both of their commands', async () => {
      await publish();
      cpSync(at('plant'), at('other'), { recursive: true });
      await make('other', ['set-expiry', '2051-01-01']);
      wire.left = 1; // the registry is asked, shows nothing new, then the link is gone
      await holdfast(['root', 'publish'], 'other');
      wire.left = -1;
      if (!existsSync(at('other/root/2.root.json'))) await holdfast(['root', 'publish'], 'other');
      await make('plant', ['set-expiry', '2050-01-01']);
      cpSync(at('plant/fleet.yaml'), at('fleet.yaml'));
      const yaml = readFileSync(at('plant/fleet.yaml'), 'utf8');
      writeFileSync(at('plant/fleet.yaml'), yaml.replace(/state-\d+/, 'elsewhere'));
      await publishRoot();
      writeFileSync(at('plant/fleet.yaml'), yaml);
      await holdfast(['root', 'publish'], 'other');
      const forked = await holdfast(['publish', 'stable']);
      expect([forked.code, forked.err.includes('publish.root-forked')]).toEqual([3, true]);
    });
  });

  describe('a stolen signing key', () => {
    const steal = async (): Promise<View> => {
      cpSync(at('plant'), at('thief'), { recursive: true });
      conf('speed=999\n', 'thief');
      return publish('thief', '--no-nudge');
    };

    test('what the thief published is not signed again by the new key', async () => {
      await publish();
      const stolen = await steal();
      await rotate();
      const refused = await publishRoot(3);
      expect(stableOf(refused)?.fault?.code).toBe('publish.former-head');
      expect(refused.fresh).toBe(true); // the root is out all the same
      const known = await publishRoot(0, '--adopt', stolen.stateDigest);
      expect(stableOf(known)?.published).toMatchObject({ stateDigest: stolen.stateDigest });
      expect(await fromRootOne()).toMatchObject({ verified: true });
    });

    test('R03: a new epoch leaves it behind, with what this desk last signed', async () => {
      const ours = await publish();
      await steal();
      await publish('thief', '--renew', '--no-nudge');
      await holdfast(['root', 'bump-epoch', 'stable']);
      await rotate();
      const published = await publishRoot();
      expect(stableOf(published)?.published).toMatchObject({ point: '2.1', moved: true });
      expect(await fromRootOne()).toMatchObject({ point: '2.1', verified: true });
      const files = (reference: string) =>
        desk.json<{ blobs: { digest: string }[] }[]>(['inspect', reference, '-C', 'plant']);
      expect((await files('stable'))[0]?.blobs).toEqual(
        (await files(ours.manifestDigest))[0]?.blobs,
      );
      conf('speed=3\n');
      expect(await publish()).toMatchObject({ point: '2.2' });
    });
  });

  describe('what is lost', () => {
    const newServer = () => {
      repository += 1;
      const yaml = readFileSync(at('plant/fleet.yaml'), 'utf8');
      writeFileSync(at('plant/fleet.yaml'), yaml.replace(/state-\d+/, `state-${repository}`));
    };

    test('the server: the folder’s states go to the new one, with the chain and their numbers', async () => {
      await publish();
      await make('plant', ['set-expiry', '2050-01-01']);
      await publishRoot();
      newServer();
      expect(stableOf(await publishRoot())?.published).toMatchObject({ point: '1.1', moved: true });
      expect(await fromRootOne(`oci:${at('plant/signed/stable/1-1')}`)).toMatchObject({
        verified: true,
      });
    });

    test('server and counter: a new epoch starts from 1', async () => {
      await publish();
      newServer();
      rmSync(at('plant/signed'), { recursive: true });
      await make('plant', ['bump-epoch', 'stable']);
      expect(stableOf(await publishRoot())).toMatchObject({ published: null, fault: null });
      expect(await publish()).toMatchObject({ point: '2.1', moved: true });
    });

    test('R22: right time; what was dated in the future goes out again with a date that has come', async () => {
      const ahead = Date.now() + 300 * 86_400_000;
      const wrong = openDesk({}, (platform) => ({
        ...platform,
        clock: { ...platform.clock, wallMs: () => ahead },
      }));
      await wrong.run(['publish', 'stable', '-C', at('plant')]);
      wrong.remove();
      await make('plant', ['time-reset']);
      expect(stableOf(await publishRoot())?.published).toMatchObject({ point: '1.2', moved: true });
      const shown = await desk.json<{ issuedAt: string }[]>(['inspect', 'stable', '-C', 'plant']);
      expect(Date.parse(shown[0]?.issuedAt ?? '')).toBeLessThan(Date.now() + 60_000);
    });
  });

  if (mosquitto && clients) {
    describe('publish --push', () => {
      let broker: Mosquitto;
      beforeAll(async () => {
        broker = await startMosquitto();
      });
      afterAll(() => broker.remove());
      const hears = async (topic: string, more: string[]) => {
        const flags = ['-p', `${broker.port}`, '-t', topic, '-C', '1', '-W', '2', '-F', '%r %x'];
        const { out } = await run(['mosquitto_sub', ...flags, ...more]);
        const [retained, hex = ''] = out.trim().split(' ');
        return { retained: retained === '1', bytes: new Uint8Array(Buffer.from(hex, 'hex')) };
      };
      const withBroker = (text: string) =>
        text.replace(/# mqtt:.*\n/, `mqtt: { url: "mqtt://127.0.0.1:${broker.port}" }\n`);
      beforeEach(() => {
        const yaml = readFileSync(at('plant/fleet.yaml'), 'utf8');
        writeFileSync(at('plant/fleet.yaml'), withBroker(yaml));
      });

      test('one retained message holds envelope, roots and every content', async () => {
        await publish('plant', '--no-nudge');
        await rotate();
        expect(stableOf(await publishRoot(0, '--push'))?.published).toMatchObject({
          carried: true,
        });
        const { fleet } = await desk.json<{ fleet: string }>(['root', 'show', '-C', 'plant']);
        const heard = await hears(`holdfast/v1/${fleet}/c/stable/nudge`, []);
        const nudge = readNudge(heard.bytes);
        if (!nudge.ok) throw new Error(nudge.fault.message);
        expect(heard.retained).toBe(true);
        expect(nudge.value.roots).toHaveLength(1);
        const shown = await desk.json<{ blobs: { digest: string }[] }[]>([
          ...['inspect', 'stable', '-C', 'plant'],
        ]);
        const carried = nudge.value.contents.map((bytes) => `${sha256(bytes)}`);
        for (const { digest } of shown[0]?.blobs ?? []) expect(carried).toContain(digest);
        expect(carried.length).toBe((shown[0]?.blobs.length ?? 0) + 1); // and the documents
        expect(nudge.value.envelope?.payload).toBeDefined();
      });

      test('the nudge of root publish carries the roots: the number alone would wake nobody', async () => {
        await publish('plant', '--no-nudge');
        const ear = Promise.withResolvers<Uint8Array>();
        const url = `mqtt://127.0.0.1:${broker.port}`;
        const open = { url, protocol: 'auto', auth: null, tls: null, proxy: null, insecure: false };
        const plausible = { floorMs: 0, wallPlausible: true };
        const opened = await openBroker(desk.platform, open as BrokerConfig, plausible, {
          clientId: 'ear',
          version: 5,
          keepaliveSeconds: 30,
          sessionExpirySeconds: 0,
          onMessage: (_topic, payload) => ear.resolve(payload),
          onClosed: () => undefined,
        });
        if (!opened.ok) throw new Error(opened.fault.message);
        const { fleet } = await desk.json<{ fleet: string }>(['root', 'show', '-C', 'plant']);
        await opened.value.subscribe([`holdfast/v1/${fleet}/c/stable/nudge`]);
        await rotate();
        await publishRoot();
        const nudge = readNudge(await ear.promise);
        await opened.value.end();
        expect(nudge.ok && nudge.value).toMatchObject({ envelope: null, sequence: 1n });
        expect(nudge.ok && nudge.value.roots).toHaveLength(1);
      });

      test('what is larger than a message is a hint alone, not retained, with a warning', async () => {
        conf('x'.repeat(130 * 1024));
        const ran = await holdfast(['publish', 'stable', '--push', '-o', 'json']);
        expect([ran.code, ran.err.includes('warning publish.push-too-large')]).toEqual([0, true]);
        expect(JSON.parse(ran.out)).toMatchObject({ nudged: true, carried: false });
        const { fleet } = await desk.json<{ fleet: string }>(['root', 'show', '-C', 'plant']);
        expect((await hears(`holdfast/v1/${fleet}/c/stable/nudge`, [])).bytes.length).toBe(0);
      });
    });
  } else
    test.skip('mosquitto or its clients are not installed: no push was tried', () => undefined);
}
