/**
 * States that travel without the registry they were published to: as OCI image layouts, directory and
 * tar, and through skopeo into another registry. Same bytes, same digests, same checks.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { output } from '../support/command.ts';
import type { Device } from '../support/device.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { fetchArtifact } from '../support/forge.ts';
import { program } from '../support/parts.ts';
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
const skopeo = missing === null && program('skopeo') !== null ? test : test.skip;
const copied = (what: string) => (program('skopeo') === null ? `${what} (no skopeo)` : title(what));

let parts: Parts;
let second: RealRegistry;
let proxy: RegistryProxy;
let plant: Plant;
let device: Device;

beforeAll(async () => {
  if (missing !== null) return;
  [parts, second] = await Promise.all([startParts(), startRegistry()]);
  proxy = await startRegistryProxy(parts.registry.port);
  plant = await makePlant(parts, { registry: `http://127.0.0.1:${proxy.port}/plant/state` });
  device = plant.device('press-7');
  await device.start();
});
afterAll(async () => {
  await plant?.remove();
  await proxy?.down();
  await second?.remove();
  await parts?.remove();
});

function write(speed: number): void {
  plant.write('canary', 'speed.conf', `speed=${speed}\n`);
  plant.write('canary', 'site/index.html', `<p>${speed}</p>\n`);
  const conf = { blob: 'speed.conf', target: join(device.opt, 'speed.conf') };
  const site = { blob: 'site', target: join(device.opt, 'site') };
  plant.deploy('canary', 'conf', filesSpec({ conf, site }));
}

describe('a bundle', () => {
  for (const [kind, path] of [
    ['oci', 'stick'],
    ['oci-archive', 'stick.tar'],
  ] as const) {
    real(title(`written to ${kind}: is applied where there is no network at all`), async () => {
      const speed = kind === 'oci' ? 1 : 2;
      write(speed);
      await proxy.down();
      const { point } = await plant.publish(
        'canary',
        '--to',
        `${kind}:${join(plant.folder, path)}`,
      );
      const ended = await device.command(['apply', join(plant.folder, path), '-o', 'json']);
      await proxy.up();
      expect(JSON.parse(ended.out)).toMatchObject({ result: 'applied', offered: point });
      expect(ended.code).toBe(0);
      expect(device.read('speed.conf')).toBe(`speed=${speed}\n`);
      expect(device.read('site/index.html')).toBe(`<p>${speed}</p>\n`);
      const [channel] = (await device.status()).channels;
      expect(channel).toMatchObject({ via: 'bundle', applied: { point } });
      await device.reports(point, ({ applied }) => applied === point);
    });
  }

  real(
    title('pushed later with --from has the same digests, and the device fetches no blob'),
    async () => {
      const stick = `oci-archive:${join(plant.folder, 'stick.tar')}`;
      const published = await plant.publish('canary', '--from', stick, '--no-nudge');
      expect(published).toMatchObject({ point: '1.2', signed: 'before' });
      expect(published.stateDigest).toBe(
        (await device.status()).channels[0]?.applied?.stateDigest ?? '',
      );
      const verified = await plant.holdfast(['verify', stick, '-o', 'json']);
      expect(verified.code).toBe(0);
      expect(JSON.parse(verified.out)).toMatchObject({
        artifacts: [
          { manifestDigest: published.manifestDigest, verified: true, channel: 'canary' },
        ],
      });
      proxy.asked.length = 0;
      const ended = await device.command(['apply', '-o', 'json']);
      expect(JSON.parse(ended.out)).toMatchObject({ result: 'unchanged' });
      expect(proxy.asked.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
    },
  );

  real(
    title('that is not there, or no layout, is refused with exit code 3 and a cure'),
    async () => {
      for (const path of [join(plant.folder, 'nothing'), plant.fleetFolder, plant.root]) {
        const ended = await device.command(['apply', path, '-o', 'json']);
        const { fault } = JSON.parse(ended.out) as { fault: { code: string; remedy: string } };
        expect(fault.code).toMatch(/^(source|format|platform)\./);
        expect(fault.remedy).not.toBe('');
        expect(ended.code).not.toBe(0);
      }
    },
  );
});

describe('skopeo carries a state', () => {
  const from = () => `docker://127.0.0.1:${parts.registry.port}/plant/state:canary`;
  const there = () => `docker://127.0.0.1:${second.port}/mirror/of/state:canary`;
  const copy = (source: string, target: string, ...flags: readonly string[]) =>
    output(['skopeo', 'copy', '-q', '--preserve-digests', ...flags, source, target]);

  skopeo(
    copied('by dir: and by oci: into another registry; digests stay, a new device accepts it'),
    async () => {
      write(3);
      const published = await plant.publish('canary', '--no-nudge');
      const dir = `dir:${join(plant.folder, 'dir')}`;
      const layout = `oci:${join(plant.folder, 'layout')}:canary`;
      await copy(from(), dir, '--src-tls-verify=false');
      await copy(dir, layout);
      await copy(layout, there(), '--dest-tls-verify=false');
      const mirror = `http://127.0.0.1:${second.port}/mirror/of/state`;
      expect((await fetchArtifact(mirror, 'canary')).digest).toBe(published.manifestDigest);
      const other = plant.device('press-8', {
        settings: { registries: [{ url: mirror }], mqtt: undefined },
      });
      await other.start();
      const ended = await other.command(['apply', '-o', 'json']);
      // Its own root is another folder: what this state writes lies in that of the first device.
      expect(JSON.parse(ended.out)).toMatchObject({ fault: { code: 'plan.target-outside-roots' } });
      await other.stop();
      other.configure({ channels: [{ name: 'canary', allow: { roots: [device.opt] } }] });
      await device.stop();
      await other.start();
      await other.applied(published.point);
      expect((await other.status()).lastLook?.source).toContain('mirror/of/state');
      expect(device.read('speed.conf')).toBe('speed=3\n');
      await other.stop();
      await device.start();
    },
  );

  skopeo(copied('to a layout, and the device applies that directory'), async () => {
    write(4);
    const published = await plant.publish('canary', '--no-nudge');
    const layout = join(plant.folder, 'carried');
    await copy(from(), `oci:${layout}`, '--src-tls-verify=false');
    const ended = await device.command(['apply', layout, '-o', 'json']);
    expect(JSON.parse(ended.out)).toMatchObject({ result: 'applied', offered: published.point });
    expect(device.read('speed.conf')).toBe('speed=4\n');
  });
});

describe('promote', () => {
  real(title('signs the same deployments for stable; no blob is pushed again'), async () => {
    const canary = await fetchArtifact(plant.registry, 'canary');
    proxy.asked.length = 0;
    const promoted = await plant.holdfast(['promote', 'canary', 'stable', '-o', 'json']);
    expect(promoted.code).toBe(0);
    const stable = await fetchArtifact(plant.registry, 'stable');
    expect(stable.state.blobs).toEqual(canary.state.blobs);
    expect(stable.state.deployments).toEqual(canary.state.deployments);
    expect(Buffer.from(stable.state.promotedFrom).toString('hex')).toBe(
      (await device.status()).channels[0]?.applied?.stateDigest.slice('sha256:'.length) ?? '',
    );
    const pushed = proxy.asked.filter(({ method }) => method === 'PUT' || method === 'PATCH');
    const blobs = pushed.filter(({ path }) => path.includes('/blobs/'));
    expect(blobs.length).toBeLessThanOrEqual(1); // the envelope
  });
});
