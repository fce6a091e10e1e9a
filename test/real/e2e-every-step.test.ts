/**
 * Step k of n fails, for every k and over both runtimes, in a change that also adds and removes:
 * every target and every program is back at the old digests, and no status ever said "applied".
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
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
/** in the order of their dependencies; `added` comes with the new state, `removed` goes with it */
const STEPS = ['conf', 'first', 'site', 'second', 'added'] as const;

let parts: Parts;
let plant: Plant;
let device: Device;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  device = plant.device('press-7');
  await device.start();
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

const journal = (id: string) => join(device.folder, `journal-${id}`);

function write(version: string, broken: string | null): void {
  const isNew = version !== 'old';
  const ids = isNew ? STEPS : STEPS.slice(0, 4);
  for (const [index, id] of ids.entries()) {
    const dependsOn = index === 0 ? [] : [STEPS[index - 1] ?? ''];
    if (id === 'first' || id === 'second') program(id, version, { broken, dependsOn });
    else files(id, version, { broken, dependsOn });
  }
  if (isNew) rmSync(join(plant.fleetFolder, 'channels/canary/removed.yaml'), { force: true });
  else files('removed', version, { broken, dependsOn: [] });
}

interface How {
  readonly broken: string | null;
  readonly dependsOn: readonly string[];
}

function files(id: string, version: string, { broken, dependsOn }: How): void {
  plant.write('canary', `${id}.conf`, `${id} ${version}\n`);
  plant.write('canary', `tree-${id}/page`, `${id} ${version}\n`);
  const conf = { blob: `${id}.conf`, target: join(device.opt, `${id}.conf`) };
  const tree = { blob: `tree-${id}`, target: join(device.opt, `tree-${id}`) };
  const hooks = broken === id ? { hooks: { reload: { command: ['/bin/false'] } } } : {};
  plant.deploy('canary', id, filesSpec({ conf, tree }, { dependsOn, ...hooks }));
}

function program(id: string, version: string, { broken, dependsOn }: How): void {
  const text = programText(version, journal(id));
  const ends = text.replace('\nwhile', '\nexit 3\nwhile');
  plant.write('canary', `bin/${id}`, broken === id ? ends : text, 0o755);
  plant.deploy('canary', id, processSpec({ blob: `bin/${id}` }, { dependsOn }));
}

/** What people and programs see; generations kept beside the targets are not in force. */
function inForce(): unknown {
  const seen = Object.entries(device.tree()).filter(([path]) => !path.includes('.holdfast'));
  const pages = ['conf', 'site', 'removed'].map((id) => device.read(`tree-${id}/page`));
  return { seen: Object.fromEntries(seen), pages };
}

describe('a change whose step fails', () => {
  let old = '';

  real(title('starts from a state that is in force'), async () => {
    write('old', null);
    old = (await plant.publish('canary')).point;
    await device.reports(old, ({ applied }) => applied === old);
  });

  for (const [index, id] of STEPS.entries()) {
    real(title(`step ${index + 1} of ${STEPS.length} (${id}): all is as before`), async () => {
      const before = inForce();
      write(`new-${id}`, id);
      const { point } = await plant.publish('canary', '--no-nudge', '--allow-removal');
      const ended = await device.command(['apply', '-o', 'json']);
      expect(ended.code).toBe(6);
      const code = id === 'first' || id === 'second' ? 'health' : 'reload';
      expect(JSON.parse(ended.out)).toMatchObject({ fault: { code: `apply.${code}-failed` } });
      expect(inForce()).toEqual(before);
      for (const each of ['first', 'second']) {
        expect(linesOf(journal(each)).at(-1)).toMatch(/^old /);
      }
      const running = programsOf(device.stateDir).length;
      expect(running).toBeGreaterThanOrEqual(2);
      const report = await device.reports(
        'the rejection',
        ({ desired, phase, refused }) =>
          desired === point && phase === 'IDLE' && refused?.code === `apply.${code}-failed`,
      );
      expect(report.applied).toBe(old);
      expect(Object.keys(report.health).sort()).toEqual([
        'conf',
        'first',
        'removed',
        'second',
        'site',
      ]);
      expect(device.allReports().filter(({ applied }) => applied === point)).toEqual([]);
    });
  }

  real(title('without a failure the same change is applied'), async () => {
    write('new', null);
    const { point } = await plant.publish('canary', '--allow-removal');
    const report = await device.reports(point, ({ applied }) => applied === point);
    expect(Object.keys(report.health).sort()).toEqual([...STEPS].sort());
    for (const each of ['first', 'second']) expect(linesOf(journal(each)).at(-1)).toMatch(/^new /);
    expect(device.read('tree-added/page')).toBe('added new\n');
    expect(Object.keys(device.tree())).not.toContain('removed.conf');
  });
});
