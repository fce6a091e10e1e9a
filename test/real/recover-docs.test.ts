/**
 * docs/recover.md, run: each section's commands as they stand, by the compiled executable in a shell,
 * after what it is about has been lost; judged by a device that was there before.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/command.ts';
import { type Device, holdfast } from '../support/device.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { fetchArtifact } from '../support/forge.ts';
import { ROOT } from '../support/parts.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';

/** each has a fleet and a device of its own */
const real = missing === null ? test.concurrent : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

const page = readFileSync(join(ROOT, 'docs/recover.md'), 'utf8');
const sections = new Map<string, readonly string[]>();
for (const section of page.split(/^#{1,2} /m)) {
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block ?? '');
  if (blocks.length > 0) sections.set(section.slice(0, section.indexOf('\n')), blocks);
}
const first = [...sections.keys()].find((heading) => heading.startsWith('Recover')) ?? '';
const started = new Set<string>([first]);

let parts: Parts;
let other: RealRegistry;
beforeAll(async () => {
  if (missing !== null) return;
  [parts, other] = await Promise.all([startParts(), startRegistry()]);
});
afterAll(async () => {
  await other?.remove();
  await parts?.remove();
});

interface Scene {
  readonly plant: Plant;
  readonly device: Device;
  /** the folder above the fleet folder */
  readonly desk: string;
  readonly backup: string;
  readonly usb: string;
  /** The blocks of this section, or one of them; throws when a command fails. */
  section(heading: string, block?: number): Promise<string>;
  write(speed: number): void;
}

const scenes: Scene[] = [];
afterAll(async () => {
  for (const { plant } of scenes) await plant.remove();
});

/** A fleet with one root key, offline on a stick, and a device that runs stable 1.1. */
async function scene(): Promise<Scene> {
  const plant = await makePlant(parts, { channels: ['stable'] });
  const [desk, usb, backup] = [
    plant.folder,
    join(plant.folder, 'usb'),
    join(plant.folder, 'backup'),
  ];
  for (const path of [usb, backup, join(desk, 'bin')]) mkdirSync(path);
  symlinkSync(holdfast, join(desk, 'bin/holdfast'));
  writeFileSync(join(desk, 'passphrase'), 'of this test\n');
  cpSync(join(desk, 'plant/keys/root/root-1.pem'), join(usb, 'root-1.pem'));
  cpSync(plant.root, join(usb, 'root.json'));
  const device = plant.device('press-7', { channel: 'stable' });
  const made: Scene = {
    ...{ plant, device, desk, usb, backup },
    write(speed) {
      plant.write('stable', 'speed.conf', `speed=${speed}\n`);
      const target = join(device.opt, 'speed.conf');
      plant.deploy('stable', 'conf', filesSpec({ conf: { blob: 'speed.conf', target } }));
    },
    async section(heading, block) {
      started.add(heading);
      const blocks = sections.get(heading) ?? [`false # no section ${heading}`];
      const wanted = block === undefined ? blocks : [blocks[block] ?? 'false'];
      // Whoever signs a root reads it and says yes.
      const script = wanted.join('').replaceAll('root sign ', 'root sign -y ');
      const env = {
        ...{ PATH: `${join(desk, 'bin')}:${process.env.PATH}`, HOLDFAST_FLEET: 'plant' },
        ...{ BACKUP: backup, USB: usb, REGISTRY: plant.registry },
        NEW_REGISTRY: `http://127.0.0.1:${other.port}/plant/new`,
        HOLDFAST_PASSPHRASE_FILE: join(desk, 'passphrase'),
        ...{ HOLDFAST_RUN_DIR: device.runDir, HOLDFAST_CONFIG: device.configFile },
      };
      const ended = await run(['sh', '-eu', '-c', script], { cwd: desk, env });
      if (ended.code !== 0) throw new Error(`${heading}: ${ended.err}\n${ended.out}`);
      return ended.out + ended.err;
    },
  };
  scenes.push(made);
  made.write(1);
  await plant.publish('stable', '--no-nudge');
  await device.start();
  await device.command(['apply']);
  await device.applied('1.1');
  return made;
}

/** The device takes what is published next. */
async function takes({ plant, device, write }: Scene, point: string): Promise<void> {
  write(9);
  await plant.publish('stable', '--no-nudge');
  await device.command(['apply']);
  await device.applied(point);
  expect(device.read('speed.conf')).toBe('speed=9\n');
}

describe('docs/recover.md', () => {
  real(title('Before anything is lost; The desk is lost, and there is a backup'), async () => {
    const at = await scene();
    expect(await at.section(first)).toContain('version 1');
    await at.section('Before anything is lost');
    at.write(2);
    await at.plant.publish('stable', '--no-nudge');
    rmSync(at.plant.fleetFolder, { recursive: true });
    expect(await at.section('The desk is lost, and there is a backup')).toContain('stable 1.3');
    await at.device.command(['apply']);
    await at.device.applied('1.3');
    expect(existsSync(join(at.plant.fleetFolder, 'keys/root'))).toBe(false);
    await takes(at, '1.4');
  });

  real(title('The desk and the signing keys are lost'), async () => {
    const at = await scene();
    rmSync(at.plant.fleetFolder, { recursive: true });
    expect(await at.section('The desk and the signing keys are lost')).toContain('root 2 is made');
    await at.device.command(['apply']);
    // Numbers start again; the passphrase is that of the new key.
    at.write(9);
    const env = { HOLDFAST_PASSPHRASE_FILE: join(at.desk, 'passphrase') };
    const ended = await at.plant.holdfast(['publish', 'stable', '-y', '--no-nudge'], { env });
    expect(ended.code).toBe(0);
    await at.device.command(['apply']);
    await at.device.applied('2.1');
    expect(at.device.read('speed.conf')).toBe('speed=9\n');
  });

  for (const [heading, point] of [
    ['A signing key is lost', '1.1'],
    ['A signing key was stolen', '2.1'],
    ['The time is poisoned', '1.1'],
  ] as const) {
    real(title(heading), async () => {
      const at = await scene();
      await at.section(heading);
      await at.device.command(['apply']);
      await at.device.applied(point);
      expect((await at.device.status()).device.rootVersion).toBe('2');
      expect(at.device.read('speed.conf')).toBe('speed=1\n');
    });
  }

  real(
    title('The root keys are lost: the new root comes by hand, programs and files stay'),
    async () => {
      const at = await scene();
      rmSync(join(at.plant.fleetFolder, 'keys/root'), { recursive: true });
      rmSync(join(at.usb, 'root-1.pem'));
      await at.section('The root keys are lost');
      cpSync(join(at.plant.fleetFolder, 'root/2.root.json'), join(at.device.folder, 'root.json'));
      await at.device.stop();
      const trust = { root: join(at.device.folder, 'root.json'), allowDemo: true };
      at.device.configure({ trust });
      await at.device.start();
      expect((await at.device.status()).device.rootVersion).toBe('2');
      expect(at.device.read('speed.conf')).toBe('speed=1\n');
      await takes(at, '1.2');
    },
  );

  real(title('The registry is lost'), async () => {
    const at = await scene();
    await at.section('The registry is lost');
    const url = `http://127.0.0.1:${other.port}/plant/new`;
    expect((await fetchArtifact(url, 'stable')).state.sequence).toBe(1n);
    const ended = await at.device.command(['apply', join(at.usb, 'stable.tar'), '-o', 'json']);
    expect(JSON.parse(ended.out)).toMatchObject({ result: 'unchanged' });
  });

  real(title('The registry came back from an old backup'), async () => {
    const at = await scene();
    const old = await fetch(
      `${at.plant.registry.replace('/plant', '/v2/plant')}/manifests/stable`,
      {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      },
    );
    const bytes = await old.arrayBuffer();
    at.write(2);
    await at.plant.publish('stable', '--no-nudge');
    await at.device.command(['apply']);
    await at.device.applied('1.2');
    await fetch(`${at.plant.registry.replace('/plant', '/v2/plant')}/manifests/stable`, {
      method: 'PUT',
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
      body: bytes,
    });
    expect((await at.device.command(['apply'])).err).toMatch(/trust\.rollback|source\.stale/);
    const said = await at.section('The registry came back from an old backup');
    expect(said).toMatch(/stable 1\.2 .*signed before/);
    expect((await at.device.command(['apply', '-o', 'name'])).code).toBe(0);
    expect(at.device.read('speed.conf')).toBe('speed=2\n');
  });

  real(
    title('Two devices are one: the copy becomes a device of its own, and runs what it ran'),
    async () => {
      const at = await scene();
      const key = (await at.device.status()).device.key;
      await at.device.stop();
      await at.section('Two devices are one');
      await at.device.start();
      const status = await at.device.status();
      expect(status.device.key).not.toBe(key);
      expect(status.channels[0]?.applied?.point).toBe('1.1');
    },
  );

  real(title('The store of a device is damaged: it is put aside and rebuilt'), async () => {
    const at = await scene();
    await at.device.stop();
    const store = join(at.device.stateDir, 'store');
    const file = readdirSync(store).find((name) => name.endsWith('.mdb') && !name.includes('lock'));
    truncateSync(join(store, file ?? ''), 6_000);
    await at.device.start();
    expect(readdirSync(at.device.stateDir)).toContain('store.bad-1');
    const out = await at.section('The store of a device is damaged').catch(String);
    expect(out).toContain('1.1');
    expect(at.device.read('speed.conf')).toBe('speed=1\n');
    await takes(at, '1.2');
  });

  (missing === null ? test : test.skip)(
    title('has no section with commands that are not run'),
    () => {
      expect([...sections.keys()].filter((heading) => !started.has(heading))).toEqual([]);
    },
  );
});
