/**
 * A two-service application from a Margo manager on a real Podman, the agent a process of its own: packages
 * and images from a registry, by digest. Install, update, break, undo, remove; what was killed goes on.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { httpLink } from '#link/http.ts';
import { registry } from '#link/registry.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { sha256 } from '#state/digest.ts';
import { dockerRegistry, type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { type LittleManager, littleManager } from '../support/margo-server.ts';
import { type MargoWorld, makeSvid, margoWorld, WFM } from '../support/margo-world.ts';
import {
  noContainers,
  type Podman,
  startPodman,
  type TinyImage,
  tinyImage,
} from '../support/podman.ts';
import { value } from '../support/store.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const PACKAGE = 'application/vnd.org.margo.component.compose';
const OCI = 'application/vnd.oci.image.manifest.v1+json';
const missing =
  noContainers ?? (dockerRegistry === null ? 'docker-registry is not installed' : null);

if (missing !== null) {
  test.skip(`${missing}: nothing was run in containers`, () => undefined);
} else {
  let podman: Podman;
  let real: RealRegistry;
  let world: MargoWorld;
  let manager: LittleManager;
  let device: MargoDevice;
  const scratch = mkdtempSync(join(tmpdir(), 'hf-compose-'));
  const link = httpLink(bunPlatform({ logLevel: 'error', logFormat: 'json' }));
  const open = (repository: string) =>
    registry(link, {
      url: `http://127.0.0.1:${real.port}/${repository}`,
      ...{ auth: null, tls: null, proxy: null, insecure: false },
    });

  beforeAll(async () => {
    [podman, real, world] = await Promise.all([startPodman(), startRegistry(), margoWorld()]);
    const svid = world.svid('press-42');
    manager = await littleManager(
      makeSvid(join(world.desk.folder, 'pki'), 'little', world.ca, WFM),
      world.ca,
    );
    const folder = join(world.desk.folder, 'device');
    device = margoDevice({
      ...{ folder, root: world.root, url: manager.url, svid, trustBundle: world.bundle },
      settings: {
        channels: [
          { name: 'margo', allow: { roots: [join(folder, 'opt')], runtimes: ['compose'] } },
        ],
        runtimes: { compose: { socket: podman.socket } },
        packages: { registries: [{ url: `http://127.0.0.1:${real.port}` }] },
      },
    });
    device.start();
  }, 60_000);
  afterAll(async () => {
    await device.stop();
    await manager.close();
    await Promise.all([podman.remove(), real.remove(), world.remove()]);
    rmSync(scratch, { recursive: true, force: true });
  }, 60_000);

  async function push(
    repository: string,
    tag: string,
    image: Pick<TinyImage, 'blobs' | 'manifest'>,
  ) {
    const at = open(repository);
    for (const [digest, bytes] of image.blobs)
      value(await at.pushBlob(digest, bytes.length, bytes));
    return value(await at.putManifest(tag, image.manifest));
  }

  /** As other people's tools make it: one top folder, in GNU tar's form. */
  function packaged(compose: string, files: Readonly<Record<string, string>> = {}) {
    const folder = mkdtempSync(join(scratch, 'package-'));
    mkdirSync(join(folder, 'line'));
    for (const [name, text] of Object.entries({ 'compose.yaml': compose, ...files })) {
      writeFileSync(join(folder, 'line', name), text);
    }
    const layer = execFileSync('tar', ['-C', folder, '-czf', '-', 'line']);
    const config = Buffer.from('{}');
    const part = (mediaType: string, bytes: Buffer) => {
      return { mediaType, digest: sha256(bytes), size: bytes.length };
    };
    const manifest = Buffer.from(
      JSON.stringify({
        ...{ schemaVersion: 2, mediaType: OCI, artifactType: `${PACKAGE}+json` },
        config: part('application/vnd.oci.empty.v1+json', config),
        layers: [part(`${PACKAGE}.tar+gzip`, layer)],
      }),
    );
    const blobs = new Map([
      [sha256(config), config],
      [sha256(layer), layer],
    ]);
    return { blobs, manifest };
  }

  const document = (revision: string, speed: number) => `
id: ${ID}
metadata: { name: line, namespace: plant-a, deviceId: press-42 }
spec:
  applicationId: line
  deploymentProfile:
    type: compose
    components:
      - name: line
        properties:
          repository: oci://127.0.0.1:${real.port}/line/app
          revision: ${revision}
          timeout: 0m40s
  parameters:
    speed: { value: ${speed}, targets: [{ pointer: ENV.SPEED, components: [line] }] }
`;
  const compose = (image: string, command = 'sleep 600') => `
services:
  web:
    image: ${image}
    command: ${command}
    stop_signal: SIGKILL
    environment: { SPEED: "\${SPEED}" }
    depends_on: [db]
    volumes: ["./line.conf:/etc/line.conf"]
  db:
    image: ${image}
    command: sh -c "echo kept >> /data/log; exec sleep 600"
    stop_signal: SIGKILL
    volumes: ["data:/data"]
    healthcheck: { test: [CMD, test, -s, /data/log], interval: 1s, retries: 5 }
volumes: { data: {} }
`;
  const said = (state: string, version: number) =>
    eventually(
      `${state} at ${version}`,
      () => manager.statuses(ID).some((one) => one.state === state && one.version === version),
      60_000,
    );
  const service = async (name: string) =>
    (await podman.containers()).find(
      ({ labels }) => labels['com.docker.compose.service'] === name,
    ) ?? { id: '', state: 'gone' };
  const inside = async (name: string, ...command: readonly string[]) =>
    podman.run('exec', (await service(name)).id, ...command).trim();

  test('rules 50, 51, 54, 56, 57: an application runs, is updated, broken and put back, and removed', async () => {
    const image = await push('line/tiny', '1', tinyImage('one'));
    const pinned = `127.0.0.1:${real.port}/line/tiny@${image}`;
    const files = { 'line.conf': 'belt=1' };
    await push('line/app', '1.0.0', packaged(compose(pinned), files));
    manager.deploy(1, { [ID]: document('1.0.0', 4) });
    await said('installed', 1);
    expect(await inside('web', 'env')).toContain('SPEED=4');
    expect(await inside('web', 'cat', '/etc/line.conf')).toBe('belt=1');
    const db = await service('db');
    const web = await service('web');

    // Another parameter: only what uses it is made anew, and the data stays.
    manager.deploy(2, { [ID]: document('1.0.0', 5) });
    await said('installed', 2);
    expect(await inside('web', 'env')).toContain('SPEED=5');
    expect((await service('web')).id).not.toBe(web.id);
    expect((await service('db')).id).toBe(db.id);

    // One that ends at once is told as failed, and the one before runs.
    await push('line/app', '1.1.0', packaged(compose(pinned, 'sh -c "exit 3"'), files));
    manager.deploy(3, { [ID]: document('1.1.0', 6) });
    await said('failed', 3);
    await eventually('the old one runs', async () => (await service('web')).state === 'running');
    expect(await inside('web', 'env')).toContain('SPEED=5');
    expect((await service('db')).id).toBe(db.id);

    // What a revision means never changes.
    await push('line/app', '1.0.0', packaged(compose(pinned, 'sleep 60'), files));
    manager.deploy(4, { [ID]: document('1.0.0', 7) });
    await eventually('the moved tag is refused', () => device.log().includes('package.tag-moved'));
    expect((await service('db')).id).toBe(db.id);
    expect(await inside('web', 'env')).toContain('SPEED=5');

    // Killed while it works, and the container killed by hand: both are brought back.
    await push('line/app', '1.2.0', packaged(compose(pinned), { 'line.conf': 'belt=2' }));
    manager.deploy(5, { [ID]: document('1.2.0', 8) });
    const before = device.log().length;
    await eventually('it activates', () => device.log().includes('phase=activating', before));
    await device.stop('SIGKILL');
    device.start();
    await said('installed', 5);
    expect(await inside('web', 'cat', '/etc/line.conf')).toBe('belt=2');
    expect(await inside('db', 'cat', '/data/log')).toBe('kept');

    manager.deploy(6, {});
    await said('removed', 6);
    expect(await podman.containers()).toEqual([]);
    expect(podman.run('network', 'ls', '--quiet', '--filter', 'label=io.holdfast.store')).toBe('');
    expect(podman.run('volume', 'ls', '--quiet').trim()).toEndWith('_data');
  }, 170_000);
}
