/**
 * A device that starts with nothing but itself: no network, the clock at 1970, every process gone and
 * the temporary file systems empty. And what happens when its disk starts in another machine.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/command.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import { type Device, holdfast, programsOf, treeOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { isRoot, program } from '../support/parts.ts';
import {
  filesSpec,
  linesOf,
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
const lacks = !isRoot
  ? 'needs root'
  : program('unshare') === null
    ? 'no unshare'
    : faketime
      ? null
      : 'no faketime';
const apart = missing === null && lacks === null ? test : test.skip;
const apartTitle = (what: string) => (lacks === null ? title(what) : `${what} (${lacks})`);
const STARTS = 20;

let parts: Parts;
let plant: Plant;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

/** A file, a directory, a program that needs both, checked by a command of the device. */
async function publish(device: Device): Promise<string> {
  const marker = join(device.folder, 'up');
  const lines = programText('one', join(device.folder, 'journal'));
  plant.write('canary', 'bin/run', lines.replace('\nwhile', `\ntouch ${marker}\nwhile`), 0o755);
  plant.write('canary', 'conf', 'speed=1\n');
  plant.write('canary', 'site/index.html', '<p>one</p>\n');
  const conf = { blob: 'conf', target: join(device.opt, 'conf') };
  const site = { blob: 'site', target: join(device.opt, 'site') };
  plant.deploy('canary', 'files', filesSpec({ conf, site }));
  const check = { name: 'up', exec: { command: ['/bin/cat', marker] }, interval: '100ms' };
  const data = [{ path: join(device.opt, 'data') }];
  plant.deploy(
    'canary',
    'program',
    processSpec({ blob: 'bin/run' }, { dependsOn: ['files'], health: [check], data }),
  );
  return (await plant.publish('canary')).point;
}

describe('a cold start', () => {
  apart(
    apartTitle(`without network, at 1970: healthy in 10 s, nothing recreated, ${STARTS} times`),
    async () => {
      const device = plant.device('press-cold');
      await device.start();
      const point = await publish(device);
      await device.applied(point);
      writeFileSync(join(device.opt, 'data/kept'), 'by the program');
      const journal = join(device.folder, 'journal');
      const seen = () => ({
        opt: device.tree(),
        inodes: ['conf', 'site/index.html', 'data/kept'].map((path) => {
          const { ino, mtimeMs } = statSync(join(device.opt, path));
          return { ino, mtimeMs };
        }),
        blobs: treeOf(join(device.stateDir, 'content')),
      });
      const before = seen();
      const history = await device.history();
      const wrap = ['unshare', '--net', ...AT_1970];
      for (let start = 0; start < STARTS; start += 1) {
        await device.stop('SIGKILL');
        for (const pid of programsOf(device.stateDir)) process.kill(pid, 'SIGKILL');
        rmSync(device.runDir, { recursive: true });
        rmSync(join(device.folder, 'up'), { force: true });
        const count = linesOf(journal).length;
        const from = performance.now();
        await device.start({ wrap });
        await eventually('everything is healthy', async () => {
          const [channel] = (await device.status()).channels;
          return channel?.deployments.every(({ health }) => health === 'healthy');
        });
        expect(performance.now() - from).toBeLessThan(10_000);
        expect(linesOf(journal)).toHaveLength(count + 1);
        expect(seen()).toEqual(before);
        const status = await device.status();
        expect(status.device.timeGrade).toBe('estimated');
        expect(status.channels[0]).toMatchObject({
          applied: { point },
          phase: 'idle',
          degraded: false,
        });
        // A cut is a crash to the agent, too: it must not end in safe mode, since nothing went wrong.
        expect(await device.history()).toEqual(history);
      }
      await device.stop();
      await device.start();
      const report = await device.reports(
        'the right time',
        ({ order }) => order[0] > BigInt(STARTS),
      );
      expect(report).toMatchObject({ applied: point, desired: point });
    },
  );
});

describe('L16: a disk in another machine', () => {
  const machineId = '/etc/machine-id';
  const moves = apart;
  /** Starts the agent on a machine with this id. */
  const onMachine = (id: string) => {
    const file = join(plant.folder, `machine-${id}`);
    writeFileSync(file, `${id.repeat(32)}\n`);
    const script = `mount --bind ${file} ${machineId} && exec "$@"`;
    return { wrap: ['unshare', '--mount', 'sh', '-c', script, 'sh'] };
  };

  moves(apartTitle('makes a new identity, keeps the state, and says so'), async () => {
    const device = plant.device('golden', { settings: { device: {} } });
    await device.start(onMachine('a'));
    const point = await publish(device);
    await device.applied(point);
    const first = (await device.status()).device;
    await plant.watch.until(first.id, point, ({ applied }) => applied === point);
    const starts = linesOf(join(device.folder, 'journal'));
    await device.stop();
    await device.start(onMachine('a'));
    expect((await device.status()).device.id).toBe(first.id);
    await device.stop();
    await device.start(onMachine('b'));
    const second = (await device.status()).device;
    expect(second.id).not.toBe(first.id);
    expect(second.key).not.toBe(first.key);
    const report = await plant.watch.until(second.id, 'identity.new', ({ events }) =>
      events.includes('identity.new'),
    );
    expect(report.applied).toBe(point);
    expect(linesOf(join(device.folder, 'journal'))).toEqual(starts);
    await device.remove();
  });

  real(title('prepare-image removes identity and outbox: two copies are two devices'), async () => {
    const device = plant.device('image', { settings: { device: {} } });
    await device.start();
    const point = await publish(device);
    await device.applied(point);
    const { id } = (await device.status()).device;
    await device.command(['stop']);
    await device.stop();
    const prepared = await run([holdfast, 'prepare-image', '--config', device.configFile]);
    expect(prepared).toMatchObject({ code: 0, err: '' });
    expect(Object.keys(treeOf(device.stateDir)).filter((path) => path.includes('key'))).toEqual([]);
    const ids = [id];
    for (const name of ['copy-1', 'copy-2']) {
      const copy = plant.device(name, {
        settings: {
          device: {},
          channels: [{ name: 'canary', allow: { roots: [device.opt] } }],
        },
      });
      cpSync(device.stateDir, copy.stateDir, { recursive: true, verbatimSymlinks: true });
      await copy.start();
      const made = (await copy.status()).device;
      expect(ids).not.toContain(made.id);
      expect(made.boot).toBe('1');
      ids.push(made.id);
      await plant.watch.until(made.id, point, ({ applied }) => applied === point);
      await copy.command(['stop']);
      await copy.stop();
    }
  });

  real(title('copied without it, both are found out: identity.cloned'), async () => {
    const device = plant.device('twin', { settings: { device: {} } });
    await device.start();
    const { id } = (await device.status()).device;
    await device.stop();
    const copy = plant.device('twin-copy', { settings: { device: {} } });
    cpSync(device.stateDir, copy.stateDir, { recursive: true, verbatimSymlinks: true });
    await Promise.all([device.start(), copy.start()]);
    expect((await copy.status()).device.id).toBe(id);
    await eventually(
      'one of them says it',
      () => plant.watch.all(id).some(({ events }) => events.includes('identity.cloned')),
      60_000,
    );
    await Promise.all([device.stop(), copy.stop()]);
  });
});

describe('L07: a damaged store', () => {
  real(title('is set aside and rebuilt; the floor stands and programs run on'), async () => {
    const device = plant.device('damaged');
    await device.start();
    const point = await publish(device);
    await device.applied(point);
    const starts = linesOf(join(device.folder, 'journal'));
    await device.stop();
    const file = join(device.stateDir, 'store/data.mdb');
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.subarray(0, bytes.length >> 1));
    await device.start();
    await device.applied(point);
    expect((await device.status()).channels[0]?.desired?.point).toBe(point);
    await device.reports('it', ({ events }) => events.includes('store.quarantined'));
    expect(linesOf(join(device.folder, 'journal'))).toEqual(starts);
    expect(device.read('conf')).toBe('speed=1\n');
  });
});
