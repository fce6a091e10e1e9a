/** The publisher against distribution's docker-registry, skopeo and Mosquitto. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openBroker } from '#link/mqtt-broker.ts';
import { readNudge } from '#wire/nudge.ts';
import { type Desk, type HttpLog, logged, openDesk } from '../support/desk.ts';
import { dockerRegistry, type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { program } from '../support/parts.ts';

interface View {
  point: string;
  stateDigest: string;
  manifestDigest: string;
  signed: string;
  moved: boolean;
  nudged: boolean;
}

const skopeo = program('skopeo');
let real: RealRegistry;
let repository = 0;
let desk: Desk;
const wire: HttpLog = { requests: [], left: -1, cut: null };

const at = (path: string) => join(desk.folder, path);
const conf = (text: string, plant = 'plant', channel = 'stable') =>
  writeFileSync(at(`${plant}/channels/${channel}/files/hello.conf`), text);
const publish = (channel = 'stable', plant = 'plant', ...more: string[]) =>
  desk.json<View>(['publish', channel, '-C', plant, ...more]);
const url = () => `127.0.0.1:${real.port}/plant/state-${repository}`;
const init = (plant = 'plant', ...more: string[]) =>
  desk.run(['init', plant, '--no-passphrase', '--registry', `http://${url()}`, ...more]);
const head = (tag: string) => {
  const raw = execFileSync(skopeo ?? '', [
    'inspect',
    '--raw',
    '--tls-verify=false',
    `docker://${url()}:${tag}`,
  ]);
  return JSON.parse(raw.toString()) as {
    artifactType: string;
    layers: { mediaType: string; digest: string; data?: string }[];
  };
};

if (dockerRegistry === null || skopeo === null) {
  test.skip('docker-registry or skopeo is not installed: nothing here was tried', () => undefined);
} else {
  beforeAll(async () => {
    real = await startRegistry();
  });
  afterAll(() => real.remove());
  beforeEach(() => {
    repository += 1;
    wire.requests = [];
    wire.left = -1;
    wire.cut = null;
    desk = openDesk({}, logged(wire));
  });
  afterEach(() => desk.remove());

  describe('publish', () => {
    test('makes an artifact that skopeo shows, with both tags on it', async () => {
      await init();
      const { point, moved } = await publish();
      expect([point, moved]).toEqual(['1.1', true]);
      const manifest = head('stable');
      expect(manifest.artifactType).toBe('application/vnd.holdfast.state.v1');
      expect(manifest.layers.map(({ mediaType }) => mediaType.split('/')[1])).toEqual([
        'vnd.holdfast.envelope.v1+json',
        'vnd.holdfast.documents.v1+tar',
        'octet-stream',
        'vnd.holdfast.tree.v1.tar+gzip',
        'octet-stream',
      ]);
      expect(manifest.layers.map(({ data }) => data !== undefined)).toEqual([
        true,
        true,
        true,
        true,
        true,
      ]);
      expect(head('stable_1_1')).toEqual(manifest);
    });

    test('sends nothing a second time, and only what changed afterwards', async () => {
      await init();
      const first = await publish();
      wire.requests = [];
      expect(await publish()).toMatchObject({
        stateDigest: first.stateDigest,
        signed: 'before',
        moved: false,
      });
      expect(
        wire.requests.filter((line) => !line.startsWith('GET') && !line.startsWith('HEAD')),
      ).toEqual([]);
      conf('speed=2\n');
      wire.requests = [];
      expect((await publish()).point).toBe('1.2');
      // the changed file and the envelope; the documents are the same
      expect(wire.requests.filter((line) => line.startsWith('POST')).length).toBe(2);
    });

    test('pushes a file of several pieces as it is', async () => {
      await init();
      const big = Buffer.alloc(9 * 1024 * 1024 + 5, 'holdfast ');
      writeFileSync(at('plant/channels/stable/files/hello.conf'), big);
      await publish();
      execFileSync(skopeo, [
        'copy',
        '-q',
        '--src-tls-verify=false',
        `docker://${url()}:stable`,
        `oci:${at('copy')}`,
      ]);
      expect((await desk.run(['verify', `oci:${at('copy')}`, '-C', 'plant'])).code).toBe(0);
    });

    test('cut at any request: the channel stays at its old head or is at the new one; a rerun sends the same bytes', async () => {
      await init();
      const old = await publish();
      conf('speed=2\n');
      const signed = await desk.json<View>(['sign', 'stable', '-C', 'plant']);
      let cut = 0;
      for (let done = false; !done; cut += 1) {
        wire.left = cut;
        const ran = await desk.run(['publish', 'stable', '-C', 'plant']);
        wire.left = -1;
        const shown = await desk.json<{ stateDigest: string }[]>([
          'inspect',
          'stable',
          '-C',
          'plant',
        ]);
        expect([old.stateDigest, signed.stateDigest]).toContain(shown[0]?.stateDigest ?? '');
        done = ran.code === 0;
        if (!done) expect(ran.code).toBe(4);
      }
      expect(cut).toBeGreaterThan(8);
      expect(await publish()).toMatchObject({
        point: '1.2',
        stateDigest: signed.stateDigest,
        moved: false,
      });
    });

    test('a number that another publisher reserved first is left to it', async () => {
      await init();
      cpSync(at('plant'), at('other'), { recursive: true });
      conf('speed=7\n', 'other');
      wire.cut = /^PUT .*\/manifests\/stable$/; // the other one, right before it moves the tag
      expect((await desk.run(['publish', 'stable', '-C', 'other'])).code).toBe(4);
      wire.cut = null;
      const ran = await desk.run(['publish', 'stable', '-C', 'plant']);
      expect([ran.code, ran.err.includes('publish.sequence-taken')]).toEqual([2, true]);
      expect(await publish()).toMatchObject({ point: '1.2', signed: 'now', moved: true });
      // and what was cut does not take the channel back
      expect((await desk.run(['publish', 'stable', '-C', 'other'])).code).toBe(0);
      expect(
        (await desk.json<{ point: string }[]>(['inspect', 'stable', '-C', 'plant']))[0]?.point,
      ).toBe('1.3');
    });

    test('from a folder that is behind, signs above the head', async () => {
      await init();
      cpSync(at('plant'), at('other'), { recursive: true });
      await publish();
      conf('speed=2\n');
      await publish();
      conf('speed=3\n', 'other');
      expect(await publish('stable', 'other')).toMatchObject({ point: '1.3', moved: true });
    });

    test('a state that was overtaken is not sent again', async () => {
      await init();
      await publish();
      await desk.run(['publish', 'stable', '-C', 'plant', '--to', `oci:${at('usb')}`]);
      conf('speed=2\n');
      await publish();
      const ran = await desk.run([
        'publish',
        'stable',
        '-C',
        'plant',
        '--from',
        `oci:${at('usb')}`,
      ]);
      expect([ran.code, ran.err.includes('publish.superseded')]).toEqual([2, true]);
    });

    test('into a repository of another fleet is refused', async () => {
      await init();
      await publish();
      await init('other');
      const ran = await desk.run(['publish', 'stable', '-C', 'other']);
      expect([ran.code, ran.err.includes('publish.head-unverified')]).toEqual([3, true]);
    });

    test('500 deployments with one shared file are three layers', async () => {
      await init('plant', '--no-examples');
      for (let i = 0; i < 500; i += 1) {
        const text = `apiVersion: holdfast/v1\nkind: Deployment\nid: d${i}\nspec:\n  deploymentProfile:\n    type: files\n    components: [{ name: c, properties: { blob: shared, target: /opt/d${i} } }]\n`;
        await Bun.write(at(`plant/channels/stable/d${i}.yaml`), text);
      }
      writeFileSync(at('plant/channels/stable/shared'), 'x');
      await publish();
      expect(head('stable').layers.length).toBe(3);
      expect((await desk.run(['verify', 'stable', '-C', 'plant'])).code).toBe(0);
    });
  });

  describe('bundles and mirrors', () => {
    test('a copy by skopeo verifies, and published from it has the same digests', async () => {
      await init();
      const { manifestDigest, stateDigest } = await publish();
      for (const kind of ['oci', 'oci-archive']) {
        const bundle = `${kind}:${at(`copy-${kind}`)}`;
        execFileSync(skopeo, [
          'copy',
          '-q',
          '--src-tls-verify=false',
          `docker://${url()}:stable`,
          bundle,
        ]);
        expect((await desk.run(['verify', bundle, '-C', 'plant'])).code).toBe(0);
      }
      repository += 1;
      const yaml = at('plant/fleet.yaml');
      writeFileSync(yaml, readFileSync(yaml, 'utf8').replace(/state-\d+/, `state-${repository}`));
      const pushed = await publish('stable', 'plant', '--from', `oci:${at('copy-oci')}`);
      expect(pushed).toMatchObject({ manifestDigest, stateDigest, moved: true });
    });

    test('a bundle of ours goes into a registry by skopeo', async () => {
      await init();
      const signed = await desk.json<View>([
        'publish',
        'stable',
        '-C',
        'plant',
        '--to',
        `oci-archive:${at('usb.tar')}`,
      ]);
      execFileSync(skopeo, [
        'copy',
        '-q',
        '--dest-tls-verify=false',
        `oci-archive:${at('usb.tar')}`,
        `docker://${url()}:stable`,
      ]);
      const verified = await desk.json<{
        artifacts: { manifestDigest: string; verified: boolean }[];
      }>(['verify', 'stable', '-C', 'plant']);
      expect(verified.artifacts).toMatchObject([
        { manifestDigest: signed.manifestDigest, verified: true },
      ]);
    });
  });

  describe('promote', () => {
    test('signs the same deployments and blobs for the other channel, and pushes no blob again', async () => {
      await init();
      conf('speed=5\n', 'plant', 'canary');
      const canary = await publish('canary');
      wire.requests = [];
      const stable = await desk.json<View>(['promote', 'canary', 'stable', '-C', 'plant']);
      expect(stable).toMatchObject({ point: '1.1', moved: true });
      expect(wire.requests.filter((line) => line.startsWith('POST')).length).toBe(1); // the envelope
      const [from, to] = [head('canary'), head('stable')];
      expect(to.layers.slice(1)).toEqual(from.layers.slice(1));
      const shown = await desk.json<{ promotedFrom: string }[]>([
        'inspect',
        'stable',
        '-C',
        'plant',
      ]);
      expect(shown[0]?.promotedFrom).toBe(canary.stateDigest);
      expect(
        (await desk.run(['verify', 'stable', '--channel', 'stable', '-C', 'plant'])).code,
      ).toBe(0);
    });

    test('works from a folder that never signed the source', async () => {
      await init();
      await publish('canary');
      rmSync(at('plant/signed'), { recursive: true });
      expect(await desk.json<View>(['promote', 'canary', 'stable', '-C', 'plant'])).toMatchObject({
        moved: true,
      });
    });

    test('is refused while the source has something signed that never arrived', async () => {
      await init();
      await publish('canary');
      conf('speed=5\n', 'plant', 'canary');
      await desk.run(['sign', 'canary', '-C', 'plant']);
      const ran = await desk.run(['promote', 'canary', 'stable', '-C', 'plant']);
      expect([ran.code, ran.err.includes('publish.not-promotable')]).toEqual([2, true]);
    });

    test('asks for what the other channel loses', async () => {
      await init();
      await publish('stable');
      rmSync(at('plant/channels/canary/hello-process.yaml'));
      await publish('canary');
      const args = ['promote', 'canary', 'stable', '-C', 'plant'];
      expect((await desk.run(args)).err).toContain('publish.not-confirmed');
      expect((await desk.run([...args, '--allow-removal'])).code).toBe(0);
    });
  });

  test('diff says what a publish would push, and ends with 1', async () => {
    await init();
    await publish();
    expect((await desk.run(['diff', 'stable', '-C', 'plant'])).code).toBe(0);
    conf('speed=22\n');
    const diff = await desk.json(['diff', 'stable', '-C', 'plant'], 1);
    expect(diff).toMatchObject({
      changed: [{ id: 'hello-files', what: ['files/hello.conf'] }],
      bytesToPush: 9,
    });
  });

  if (mosquitto) {
    test('a nudge names the state and its manifest; a broker that is away is only a warning', async () => {
      const broker = await startMosquitto();
      await init('plant', '--mqtt', `mqtt://127.0.0.1:${broker.port}`);
      const heard = await listen(broker.port);
      const published = await publish();
      expect(published.nudged).toBe(true);
      const nudge = readNudge(await heard.next);
      expect(nudge.ok && nudge.value).toMatchObject({
        channel: 'stable',
        sequence: 1n,
        stateDigest: published.stateDigest as never,
        manifestDigest: published.manifestDigest as never,
      });
      expect((await publish('stable', 'plant', '--no-nudge')).nudged).toBe(false);
      await heard.end();
      await broker.stop();
      conf('speed=2\n');
      const ran = await desk.run(['publish', 'stable', '-C', 'plant']);
      expect([ran.code, ran.err.includes('link.unreachable')]).toEqual([0, true]);
      await broker.remove();
    });
  } else test.skip('mosquitto is not installed: nudges were not tried', () => undefined);
}

/** A device's ear: the next nudge of any fleet. */
async function listen(port: number): Promise<{ next: Promise<Uint8Array>; end(): Promise<void> }> {
  const next = Promise.withResolvers<Uint8Array>();
  const broker = {
    url: `mqtt://127.0.0.1:${port}`,
    protocol: 'auto',
    auth: null,
    tls: null,
    proxy: null,
    insecure: false,
  } as const;
  const opened = await openBroker(
    desk.platform,
    broker,
    { floorMs: 0, wallPlausible: true },
    {
      clientId: 'ear',
      version: 5,
      keepaliveSeconds: 30,
      sessionExpirySeconds: 0,
      onMessage: (_topic, payload) => next.resolve(payload),
      onClosed: () => undefined,
    },
  );
  if (!opened.ok) throw new Error(opened.fault.message);
  const subscribed = await opened.value.subscribe(['holdfast/v1/+/c/stable/nudge']);
  if (!subscribed.ok) throw new Error(subscribed.fault.message);
  return { next: next.promise, end: () => opened.value.end() };
}
