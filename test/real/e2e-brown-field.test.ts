/**
 * Devices that were in use before Holdfast came, and that people go on touching: what stood there is
 * kept and comes back, hand edits are healed or reported, and nothing is fought over for ever.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { endChild } from '../support/command.ts';
import { type Device, treeOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
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

/** Each test has a channel's folder of its own: the plant's is emptied. */
function clear(): void {
  for (const id of ['files', 'program', 'other']) {
    rmSync(join(plant.fleetFolder, 'channels/canary', `${id}.yaml`), { force: true });
  }
}

const publish = async () => (await plant.publish('canary', '--allow-removal', '--no-nudge')).point;

async function apply(device: Device): Promise<{ result: string; fault: { code: string } | null }> {
  const ended = await device.command(['apply', '-o', 'json']);
  return JSON.parse(ended.out) as { result: string; fault: { code: string } | null };
}

/** What people see below a root; what Holdfast keeps beside it is left out. */
function visible(device: Device): Record<string, string> {
  const kept = Object.entries(device.tree()).filter(([path]) => !path.includes('.holdfast'));
  return Object.fromEntries(kept);
}

/** A file and a directory. */
function deployFiles(device: Device, version: string, adopt: boolean): void {
  plant.write('canary', 'conf', `${version}\n`);
  plant.write('canary', 'site/index.html', `<p>${version}</p>\n`);
  rmSync(join(plant.fleetFolder, 'channels/canary/site/new'), { force: true });
  const conf = { blob: 'conf', target: join(device.opt, 'line/conf') };
  const site = { blob: 'site', target: join(device.opt, 'line/site'), adopt };
  plant.deploy('canary', 'files', filesSpec({ conf, site }));
}

/** What stood on the device before. */
function settle(device: Device): void {
  mkdirSync(join(device.opt, 'line/site/deep'), { recursive: true });
  writeFileSync(join(device.opt, 'line/conf'), 'by hand\n', { mode: 0o640 });
  writeFileSync(join(device.opt, 'line/other'), 'not ours\n');
  writeFileSync(join(device.opt, 'line/site/index.html'), '<p>by hand</p>\n');
  writeFileSync(join(device.opt, 'line/site/deep/page'), 'deep\n');
}

describe('what stood there before', () => {
  real(
    title('a directory is not taken without adopt, and nothing else of the state is in force'),
    async () => {
      clear();
      const device = plant.device('brown-1');
      settle(device);
      const before = visible(device);
      deployFiles(device, 'one', false);
      await publish();
      await device.start();
      expect((await apply(device)).fault?.code).toBe('apply.target-occupied');
      expect(visible(device)).toEqual(before);
      expect((await device.status()).channels[0]?.applied).toBeNull();
      await device.stop();
    },
  );

  real(
    title('adopted, it is kept, and comes back byte for byte when the deployment goes'),
    async () => {
      clear();
      const device = plant.device('brown-2');
      settle(device);
      const before = visible(device);
      deployFiles(device, 'one', true);
      const point = await publish();
      await device.start();
      await device.applied(point);
      expect(device.read('line/conf')).toBe('one\n');
      expect(device.read('line/site/index.html')).toBe('<p>one</p>\n');
      expect(lstatSync(join(device.opt, 'line/site')).isSymbolicLink()).toBe(true);
      expect(device.read('line/other')).toBe('not ours\n');
      clear();
      await publish();
      expect((await apply(device)).result).toBe('applied');
      expect(visible(device)).toEqual(before);
      await device.stop();
    },
  );

  real(title('a first state that fails gives it back, too'), async () => {
    clear();
    const device = plant.device('brown-3');
    settle(device);
    const before = visible(device);
    deployFiles(device, 'one', true);
    plant.write('canary', 'bin/run', '#!/bin/sh\nexit 3\n', 0o755);
    plant.deploy('canary', 'program', processSpec({ blob: 'bin/run' }, { dependsOn: ['files'] }));
    await publish();
    await device.start();
    await eventually('the rejection', async () => {
      const [channel] = (await device.status()).channels;
      return channel?.refused?.code === 'apply.health-failed' && channel.phase === 'idle';
    });
    expect(visible(device)).toEqual(before);
    await device.stop();
  });

  real(
    title('a program that Holdfast did not start is not touched; its port makes the update fail'),
    async () => {
      clear();
      const device = plant.device('brown-4');
      const journal = join(device.folder, 'journal');
      const server = createServer((socket) => socket.end());
      const port = await new Promise<number>((resolve) => {
        server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
      });
      const foreign: ChildProcess = spawn('sleep', ['1000'], { stdio: 'ignore' });
      const text = programText('one', journal);
      // As a server that finds its port taken: it ends.
      const probe = `#!/usr/bin/env bash\nif (: < /dev/tcp/127.0.0.1/${port}) 2>/dev/null; then exit 98; fi\n`;
      plant.write('canary', 'bin/run', probe + text.split('\n').slice(1).join('\n'), 0o755);
      plant.deploy('canary', 'program', processSpec({ blob: 'bin/run' }));
      await publish();
      await device.start();
      await eventually('the rejection', async () => {
        const [channel] = (await device.status()).channels;
        return channel?.refused?.code === 'apply.health-failed' && channel.phase === 'idle';
      });
      expect(foreign.exitCode).toBeNull();
      expect(server.listening).toBe(true);
      await new Promise((resolve) => server.close(resolve));
      await plant.publish('canary', '--renew');
      await device.applied((await plant.publish('canary')).point);
      expect(linesOf(journal)).toHaveLength(1);
      expect(foreign.exitCode).toBeNull();
      await endChild(foreign, 'SIGKILL');
      await device.stop();
    },
  );
});

describe('rollback', () => {
  real(title('works after somebody edited the generation that it goes back to'), async () => {
    clear();
    const device = plant.device('edited');
    deployFiles(device, 'one', true);
    await device.start();
    await publish();
    expect((await apply(device)).result).toBe('applied');
    const old = join(device.opt, 'line', linkOf(join(device.opt, 'line/site')));
    deployFiles(device, 'two', true);
    await publish();
    expect((await apply(device)).result).toBe('applied');
    const edited = join(old, 'index.html');
    expect(existsSync(edited)).toBe(true);
    writeFileSync(edited, '<p>edited by hand</p>\n');
    writeFileSync(join(old, 'planted'), 'something\n');
    expect((await device.command(['rollback'])).code).toBe(0);
    expect(device.read('line/site/index.html')).toBe('<p>one</p>\n');
    expect(existsSync(join(device.opt, 'line/site/planted'))).toBe(false);
    expect(device.read('line/conf')).toBe('one\n');
    await device.stop();
  });
});

function linkOf(path: string): string {
  return String(treeOf(join(path, '..'))[path.split('/').at(-1) ?? '']).replace('link ', '');
}

describe('drift', () => {
  /** A wake looks for drift; this one changes nothing else. */
  const wake = (device: Device) => device.command(['apply']);
  let device: Device;

  real(
    title('files that were edited, removed or retyped by hand are healed, and it is told'),
    async () => {
      clear();
      device = plant.device('drift');
      const journal = join(device.folder, 'journal');
      deployFiles(device, 'one', true);
      plant.write('canary', 'bin/run', programText('one', journal), 0o755);
      plant.deploy('canary', 'program', processSpec({ blob: 'bin/run' }));
      await device.start();
      await publish();
      expect((await apply(device)).result).toBe('applied');
      const whole = visible(device);
      const starts = linesOf(journal);
      writeFileSync(join(device.opt, 'line/conf'), 'edited\n');
      rmSync(join(device.opt, 'line/site'));
      mkdirSync(join(device.opt, 'line/site'));
      writeFileSync(join(device.opt, 'line/site/index.html'), 'a directory by hand\n');
      await eventually('it is healed', async () => {
        await wake(device);
        return Bun.deepEquals(visible(device), whole);
      });
      const report = await device.reports('it', ({ events }) => events.includes('drift.repaired'));
      expect(report.applied).not.toBe('');
      expect(linesOf(journal)).toEqual(starts);
      expect(foundCopies(device)).toEqual(
        expect.arrayContaining(['edited\n', 'a directory by hand\n']),
      );
    },
  );

  real(title('a program killed by hand runs again'), async () => {
    const journal = join(device.folder, 'journal');
    const pid = Number(linesOf(journal).at(-1)?.split(' ')[1]);
    const count = linesOf(journal).length;
    process.kill(pid, 'SIGKILL');
    await eventually('it runs again', () => linesOf(journal).length > count);
    await eventually('status counts it', async () => {
      const [channel] = (await device.status()).channels;
      return channel?.deployments.some(
        ({ restarts, health }) => restarts === 1 && health === 'healthy',
      );
    });
  });

  real(title('paused, nothing is repaired; resumed, it is'), async () => {
    await device.command(['pause']);
    writeFileSync(join(device.opt, 'line/conf'), 'edited while paused\n');
    await wake(device);
    await eventually(
      'it is seen',
      async () => {
        await wake(device);
        return (await device.status()).channels[0]?.degraded;
      },
      40_000,
    );
    expect(device.read('line/conf')).toBe('edited while paused\n');
    await device.command(['resume']);
    await eventually(
      'it is healed',
      async () => {
        await wake(device);
        return device.read('line/conf') === 'one\n';
      },
      40_000,
    );
  });

  real(title('what somebody changes again and again is left to him: drift.flapping'), async () => {
    let edits = 0;
    await eventually(
      'flapping',
      async () => {
        if (device.read('line/conf') === 'one\n') {
          edits += 1;
          writeFileSync(join(device.opt, 'line/conf'), `edit ${edits}\n`);
        }
        await wake(device);
        return device.allReports().some(({ events }) => events.includes('drift.flapping'));
      },
      60_000,
    );
    expect(edits).toBeLessThanOrEqual(4);
    expect(device.read('line/conf')).toBe(`edit ${edits}\n`);
    expect((await device.status()).channels[0]?.degraded).toBe(true);
    await device.command(['resume']);
    await eventually(
      'the operator settles it',
      async () => {
        await wake(device);
        return device.read('line/conf') === 'one\n';
      },
      40_000,
    );
    await device.stop();
  });

  real(title("drift: report tells and leaves it; once: true is the device's own"), async () => {
    clear();
    const other = plant.device('report');
    plant.write('canary', 'conf', 'one\n');
    const conf = { blob: 'conf', target: join(other.opt, 'conf') };
    const own = { blob: 'conf', target: join(other.opt, 'own'), once: true };
    plant.deploy('canary', 'files', filesSpec({ conf, own }, { drift: 'report' }));
    await other.start();
    await publish();
    expect((await apply(other)).result).toBe('applied');
    writeFileSync(join(other.opt, 'own'), 'mine\n');
    writeFileSync(join(other.opt, 'conf'), 'edited\n');
    await eventually(
      'it is told',
      async () => {
        await wake(other);
        return other.allReports().some(({ events }) => events.includes('drift.found'));
      },
      40_000,
    );
    expect(other.read('conf')).toBe('edited\n');
    expect(other.read('own')).toBe('mine\n');
    expect((await other.status()).channels[0]?.degraded).toBe(true);
  });
});

/** Texts of what a repair found and kept. */
function foundCopies(device: Device): readonly string[] {
  return Object.entries(device.tree())
    .filter(([path, kind]) => path.includes('/found') && kind.startsWith('file'))
    .map(([path]) => readFileSync(join(device.opt, path), 'utf8'));
}
