/** Faults of the device itself: its disk, its clock, its users, its programs, its configuration. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { AT_1970, clockAt, faketime } from '../dead-clock.ts';
import { eventually } from '../eventually.ts';
import { mountTmpfs, noMounts } from '../mounts.ts';
import { filesSpec, processSpec } from '../plant.ts';
import { type Fault, failsToStart, looked, publishFile, reconfigured, settled } from './world.ts';

const soon = new Date(Date.now() + 30 * 86_400_000).toISOString();
const WEEKS_AHEAD = clockAt(soon.replace('T', ' ').slice(0, 19));

export const DEVICE_FAULTS: readonly Fault[] = [
  {
    name: 'full disk',
    lacking: noMounts,
    cause: /(no-space: .*(free|no space))|MiB and \d+ inodes free; the reserve is/,
    cure: /Free space/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-full', { settings: { mqtt: undefined } });
      const mount = mountTmpfs(device.stateDir, 'size=16m,mode=700');
      world.later(() => mount.end());
      await device.start();
      mount.fill(2 * 1024 * 1024);
      plant.write('canary', 'big', Buffer.alloc(4 * 1024 * 1024, 7));
      const target = join(device.opt, 'big');
      plant.deploy('canary', 'big', filesSpec({ big: { blob: 'big', target } }));
      await plant.publish('canary');
      await device.command(['apply']);
      world.later(() => device.stop('SIGKILL'));
      return device;
    },
  },
  {
    name: 'read-only mount',
    lacking: noMounts,
    cause: /read-only/,
    cure: /Remount it writable/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-ro', { settings: { mqtt: undefined } });
      const mount = mountTmpfs(device.opt, 'size=16m');
      world.later(() => mount.end());
      await device.start();
      mount.readOnly(true);
      publishFile(plant, join(device.opt, 'conf'), 'one');
      await plant.publish('canary');
      await device.command(['apply']);
      return device;
    },
  },
  {
    name: 'wrong clock: years back',
    lacking: faketime ? null : 'no faketime',
    wrap: AT_1970,
    cause: /wall clock.*implausible/,
    cure: /Set the clock/,
    async plant(world) {
      const settings = { mqtt: undefined };
      const device = world.shared.device('press-1970', { settings, wrap: AT_1970 });
      await looked(device);
      return device;
    },
  },
  {
    name: 'wrong clock: weeks ahead',
    lacking: faketime ? null : 'no faketime',
    wrap: WEEKS_AHEAD,
    cause: /clock.*(ahead|further|differs)|trust\.maybe-expired/,
    cure: /[Ss]et the (device’s )?clock/,
    async plant(world) {
      const channels = { canary: { signers: ['canary'], policy: { validForDays: 2 } } };
      const plant = await world.plant({ channels: ['canary'], settings: { channels } });
      const trust = { root: plant.root, allowDemo: true, clock: 'strict' };
      const device = plant.device('press-ahead', {
        settings: { mqtt: undefined, trust },
        wrap: WEEKS_AHEAD,
      });
      publishFile(plant, join(device.opt, 'conf'), 'one');
      await plant.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'user is missing',
    cause: /there is no user "no-such-user"/,
    cure: /useradd/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-user', { settings: { mqtt: undefined } });
      plant.write('canary', 'run.sh', '#!/bin/sh\nsleep 600\n', 0o755);
      plant.deploy('canary', 'run', processSpec({ blob: 'run.sh', user: 'no-such-user' }));
      await plant.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'target is occupied',
    cause: /apply\.target-occupied: conf: at \S+ stands/,
    cure: /Move it away/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-occupied', { settings: { mqtt: undefined } });
      mkdirSync(join(device.opt, 'conf'), { recursive: true });
      writeFileSync(join(device.opt, 'conf', 'mine'), 'kept');
      publishFile(plant, join(device.opt, 'conf'), 'one');
      await plant.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'program dies',
    cause: /apply\.health-failed: run: health check alive failed/,
    cure: /holdfast logs/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-dies', { settings: { mqtt: undefined } });
      plant.write('canary', 'run.sh', '#!/bin/sh\necho "no licence" >&2\nexit 3\n', 0o755);
      plant.deploy('canary', 'run', processSpec({ blob: 'run.sh' }));
      await plant.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'program of another machine',
    cause: /run.*is no program for this machine/,
    cure: /built for this machine|holdfast logs/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-arch', { settings: { mqtt: undefined } });
      const elf = Buffer.alloc(256);
      elf.write('\u007fELF\u0002\u0001\u0001');
      elf.writeUInt16LE(2, 16);
      elf.writeUInt16LE(243, 18); // RISC-V
      plant.write('canary', 'run', elf, 0o755);
      plant.deploy('canary', 'run', processSpec({ blob: 'run' }));
      await plant.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'port of the metrics is in use',
    cause: /cannot listen at 127\.0\.0\.1:\d+/,
    cure: /Stop what uses the address/,
    async plant(world) {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
      world.later(() => server.close());
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      const settings = { mqtt: undefined, metrics: { listen: `127.0.0.1:${port}` } };
      const device = world.shared.device('press-port', { settings });
      await failsToStart(device);
      return device;
    },
  },
  {
    name: 'mistake in agent.yaml',
    cause: /agent\.yaml:\d+:\d+: .*unknown key "registrys"/,
    cure: /Correct the file at the place named/,
    async plant(world) {
      const device = world.shared.device('press-typo', { settings: { registrys: [] } });
      await failsToStart(device);
      return device;
    },
  },
  {
    name: 'root file is missing',
    cause: /no-such-root\.json/,
    cure: /Check that the file is there/,
    async plant(world) {
      const trust = { root: 'no-such-root.json' };
      const device = world.shared.device('press-root', { settings: { trust } });
      await failsToStart(device);
      return device;
    },
  },
  {
    name: 'demo root on a real device',
    cause: /trust\.demo-root|demo root/,
    cure: /allowDemo|holdfast init/,
    async plant(world) {
      const trust = { root: world.shared.root };
      const device = world.shared.device('press-demo', { settings: { trust } });
      await failsToStart(device);
      return device;
    },
  },
  {
    name: 'somebody else writes the same file',
    cause: /drift\.(found|flapping)/,
    cure: /holdfast resume|[Ff]ind (out )?who|writes/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-drift', { settings: { mqtt: undefined } });
      const target = join(device.opt, 'conf');
      plant.write('canary', 'conf', 'one\n');
      const spec = filesSpec({ conf: { blob: 'conf', target } }, { drift: 'report' });
      plant.deploy('canary', 'conf', spec);
      await plant.publish('canary');
      await looked(device);
      writeFileSync(target, 'by hand');
      await device.command(['apply']);
      await eventually('it is seen', async () => (await device.status()).channels[0]?.degraded);
      return device;
    },
  },
  {
    name: 'held after a rollback',
    cause: /held at 1\.1 after a rollback/,
    cure: /holdfast resume/,
    async plant(world) {
      const plant = await world.plant();
      const device = await settled(plant, 'press-held');
      publishFile(plant, join(device.opt, 'conf'), 'two');
      const { point } = await plant.publish('canary');
      await device.command(['apply']);
      await device.applied(point);
      await device.command(['rollback']);
      return device;
    },
  },
  {
    name: 'no source is configured',
    cause: /agent\.no-source|no source is configured|none configured/,
    cure: /Name a registry in agent\.yaml|bundle/,
    async plant(world) {
      const plant = await world.plant();
      const device = await settled(plant, 'press-none');
      await reconfigured(device, { registries: [] });
      return device;
    },
  },
];
