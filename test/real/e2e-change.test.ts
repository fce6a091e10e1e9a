/**
 * The main job with the compiled executable, a real broker and a real registry: publish → nudge →
 * verify → apply → signed status, update, removal, and what a broken update leaves behind.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type Device, programsOf } from '../support/device.ts';
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
let device: Device;

/** speed.conf and a program, in one state. */
function write(speed: number, version: string): void {
  plant.write('canary', 'speed.conf', `speed=${speed}\n`);
  plant.deploy(
    'canary',
    'conf',
    filesSpec({ conf: { blob: 'speed.conf', target: join(device.opt, 'line/speed.conf') } }),
  );
  plant.write('canary', 'bin/run', programText(version, journal()), 0o755);
  plant.deploy('canary', 'program', processSpec({ blob: 'bin/run' }, { dependsOn: ['conf'] }));
}

/** What was staged beside a target stays for the next try, or until the agent is idle. */
function withoutStaged(tree: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(tree).filter(([path]) => !/\/\.holdfast-[0-9a-f-]+\.tmp$/.test(path));
  return Object.fromEntries(kept);
}

const journal = () => join(device.folder, 'journal');

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  device = plant.device('press-7', {
    settings: { device: { id: 'press-7', labels: { site: 'a' } } },
  });
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

describe('a published state reaches the device', () => {
  real(
    title('by a nudge: the file, the program and the signed status are the new ones'),
    async () => {
      await device.start();
      await device.reports('that nothing is applied', ({ applied }) => applied === '');
      write(1, 'one');
      const published = await plant.publish('canary');
      expect(published).toMatchObject({ point: '1.1', nudged: true, signed: 'now' });
      const report = await device.reports('1.1', ({ applied }) => applied === '1.1');
      expect(report).toMatchObject({
        desired: '1.1',
        appliedDigest: published.stateDigest,
        phase: 'IDLE',
        degraded: false,
        refused: null,
        health: { conf: 'healthy', program: 'healthy' },
        labels: { site: 'a' },
      });
      expect(device.read('line/speed.conf')).toBe('speed=1\n');
      expect(linesOf(journal())).toHaveLength(1);
      expect(programsOf(device.stateDir).length).toBeGreaterThan(0);
      expect((await device.status()).lastLook).toMatchObject({ wake: 'nudge' });
    },
  );

  real(title('an update changes what differs and restarts nothing else'), async () => {
    const before = linesOf(journal());
    write(2, 'one');
    await plant.publish('canary');
    await device.reports('1.2', ({ applied }) => applied === '1.2');
    expect(device.read('line/speed.conf')).toBe('speed=2\n');
    expect(linesOf(journal())).toEqual(before);
    const { ino } = statSync(join(device.opt, 'line/speed.conf'));
    write(2, 'two');
    await plant.publish('canary');
    await device.reports('1.3', ({ applied }) => applied === '1.3');
    const [first, ended, second] = linesOf(journal());
    expect([first, ended, second].map((line) => line?.split(' ')[0])).toEqual([
      'one',
      'end',
      'two',
    ]);
    expect(statSync(join(device.opt, 'line/speed.conf')).ino).toBe(ino);
  });

  real(title('the same content gives no new number and no work'), async () => {
    const [newest] = await device.history();
    expect(await plant.publish('canary')).toMatchObject({ point: '1.3', signed: 'before' });
    const ended = await device.command(['apply', '-o', 'json']);
    expect(JSON.parse(ended.out)).toMatchObject({ result: 'unchanged', fault: null });
    expect((await device.history())[0]?.number).toBe(newest?.number);
  });
});

describe('R21: the removal guard', () => {
  real(title('publish refuses to remove without being told, and says what'), async () => {
    plant.unwrite('canary', 'program.yaml');
    const refused = await plant.holdfast(['publish', 'canary', '-y']);
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain('program');
    expect((await device.status()).channels[0]?.applied?.point).toBe('1.3');
  });

  real(title('allowed, the program is stopped and its target given back'), async () => {
    const published = await plant.publish('canary', '--allow-removal');
    await device.reports(published.point, ({ applied }) => applied === published.point);
    expect(linesOf(journal()).at(-1)).toBe('end two');
    expect(programsOf(device.stateDir)).toEqual([]);
    expect(device.read('line/speed.conf')).toBe('speed=2\n');
  });
});

describe('a broken update', () => {
  const bad = {
    name: 'answers',
    tcp: { host: '127.0.0.1', port: 1 },
    interval: '100ms',
    retries: 2,
  };

  real(
    title('whose check fails is undone whole, and no status ever said that it was applied'),
    async () => {
      write(2, 'two');
      await device.applied((await plant.publish('canary')).point);
      const before = { tree: device.tree(), lines: linesOf(journal()).length };
      write(3, 'three');
      plant.deploy(
        'canary',
        'program',
        processSpec({ blob: 'bin/run' }, { dependsOn: ['conf'], health: [bad] }),
      );
      const broken = await plant.publish('canary');
      const report = await device.reports(
        'the rejection',
        ({ refused, phase }) => refused?.code === 'apply.health-failed' && phase === 'IDLE',
      );
      expect(report.applied).toBe('1.5');
      expect(report.refused?.attack).toBe(false);
      await device.reports('the event', ({ events }) => events.includes('state.rejected'));
      expect(device.tree()).toEqual(before.tree);
      const told = linesOf(journal()).slice(before.lines);
      expect(told.map((line) => line.replace(/ \d+$/, ''))).toEqual([
        'end two',
        'three',
        'end three',
        'two',
      ]);
      expect(device.allReports().filter(({ applied }) => applied === broken.point)).toEqual([]);
    },
  );

  real(title('is not tried again when it is offered again'), async () => {
    const lines = linesOf(journal());
    const [newest] = await device.history();
    const nudged = await plant.holdfast(['nudge', 'canary', '-o', 'json']);
    expect(nudged.code).toBe(0);
    const again = await device.command(['apply', '-o', 'json']);
    expect(again.code).toBe(6);
    expect(JSON.parse(again.out)).toMatchObject({
      result: 'refused',
      fault: { code: 'apply.health-failed' },
    });
    expect(linesOf(journal())).toEqual(lines);
    expect((await device.history())[0]).toEqual(newest as never);
  });

  real(title('gives way to a newer one, and the refusal is gone'), async () => {
    write(4, 'four');
    const { point } = await plant.publish('canary');
    const report = await device.reports(point, ({ applied }) => applied === point);
    expect(report.refused).toBeNull();
    expect(device.read('line/speed.conf')).toBe('speed=4\n');
    expect(linesOf(journal()).at(-1)).toMatch(/^four /);
  });

  for (const [what, change, code] of [
    [
      'whose program is missing from its blob',
      () => plant.deploy('canary', 'program', processSpec({ blob: 'bin', command: ['nothing'] })),
      'apply.program-missing',
    ],
    [
      'whose program ends at once',
      () => plant.write('canary', 'bin/run', '#!/bin/sh\nexit 3\n', 0o755),
      'apply.health-failed',
    ],
    [
      'whose reload hook fails',
      () =>
        plant.deploy(
          'canary',
          'conf',
          filesSpec(
            { conf: { blob: 'speed.conf', target: join(device.opt, 'line/speed.conf') } },
            { hooks: { reload: { command: ['/bin/false'] } } },
          ),
        ),
      'apply.reload-failed',
    ],
    [
      'whose target lies outside the allowed roots',
      () =>
        plant.deploy(
          'canary',
          'conf',
          filesSpec({ conf: { blob: 'speed.conf', target: join(device.folder, 'elsewhere') } }),
        ),
      'plan.target-outside-roots',
    ],
  ] as const) {
    real(title(`${what}: ${code}, everything as before`), async () => {
      write(4, 'four');
      await plant.publish('canary', '--renew');
      const { point } = await plant.publish('canary');
      await device.applied(point);
      const before = device.tree();
      write(9, 'nine');
      change();
      const broken = await plant.publish('canary', '--no-nudge');
      const ended = await device.command(['apply', '-o', 'json']);
      expect(JSON.parse(ended.out)).toMatchObject({ fault: { code } });
      expect(ended.code).toBe(6);
      expect(withoutStaged(device.tree())).toEqual(withoutStaged(before));
      expect((await device.status()).channels[0]).toMatchObject({
        applied: { point },
        phase: 'idle',
      });
      expect(programsOf(device.stateDir).length).toBeGreaterThan(0);
      expect(device.allReports().filter(({ applied }) => applied === broken.point)).toEqual([]);
    });
  }
});
