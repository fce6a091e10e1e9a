/**
 * An agent in odd surroundings: hardly any file handles, and locales and time zones that change how
 * careless programs read numbers, letters and times. The compiled executable ends in the same state
 * as anywhere, byte for byte, or refuses with a code and changes nothing.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { type Device, programsOf } from '../support/device.ts';
import { fetchArtifact } from '../support/forge.ts';
import {
  filesSpec,
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

/** more directories than handles are left */
const DEEP = 'a/b/c/d/e/f/g/h/i/j/k/l/m/n';

/** Files below deep directories, and a program, at the targets of this device. */
function write(channel: string, device: Device, speed: number, into = plant): void {
  for (const name of ['ıstanbul', 'İZMİR', 'straße', 'plain']) {
    into.write(channel, `site/${DEEP}/${name}/${speed}.conf`, `speed=${speed},5\n`);
  }
  const site = { blob: 'site', target: join(device.opt, 'site') };
  into.deploy(channel, 'site', filesSpec({ site }));
  into.write(channel, 'run.sh', programText(String(speed), join(device.folder, 'lines')), 0o755);
  into.deploy(channel, 'program', processSpec({ blob: 'run.sh', command: ['run.sh'] }));
}

describe('B11: 32 file handles', () => {
  const few = ['sh', '-c', 'ulimit -n 32; exec "$0" "$@"'];
  /** what is being staged stands beside the generations, under a name that nothing looks up */
  const settled = (device: Device) =>
    Object.entries(device.tree()).filter(([path]) => !path.includes('.part-'));

  real(
    title('platform.handles: the old state runs on, and the new one comes with more handles'),
    async () => {
      const device = plant.device('narrow', { channel: 'canary' });
      write('canary', device, 1);
      await plant.publish('canary');
      await device.start();
      await device.applied('1.1');
      const [programs, old] = [programsOf(device.stateDir), settled(device)];
      expect(programs.length).toBeGreaterThan(0);
      await device.stop();

      write('canary', device, 2);
      await plant.publish('canary');
      await device.start({ wrap: few });
      const report = await device.reports(
        'what it lacks',
        ({ waitingFor }) => waitingFor === 'platform.handles',
      );
      expect(report).toMatchObject({ applied: '1.1', desired: '1.1', refused: null });
      expect(settled(device).filter(([path]) => !path.startsWith('.holdfast'))).toEqual(
        old.filter(([path]) => !path.startsWith('.holdfast')),
      );
      expect(programs.every((pid) => programsOf(device.stateDir).includes(pid))).toBe(true);
      expect((await device.command(['status'])).code).toBe(0);
      await device.stop();

      await device.start();
      await device.applied('1.2');
      expect(device.read(`site/${DEEP}/plain/2.conf`)).toBe('speed=2,5\n');
      expect(Object.keys(device.tree()).filter((path) => path.includes('.part-'))).toEqual([]);
    },
    60_000,
  );
});

describe('L14: odd locales and time zones', () => {
  const ODD: readonly Readonly<Record<string, string>>[] = [
    { LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8', TZ: 'Pacific/Kiritimati' },
    { LC_ALL: 'de_DE.ISO-8859-1', LC_NUMERIC: 'de_DE', TZ: 'America/St_Johns' },
    { LANG: '../../../../etc/passwd', LC_ALL: '%n%s', TZ: ':/etc/passwd' },
    { LANG: 'x'.repeat(10_000), TZ: 'x'.repeat(10_000) },
  ];
  const shown = (env: Readonly<Record<string, string>>) => JSON.stringify(env).slice(0, 70);
  const contents = async () => {
    const { blobs, deployments, documents } = (await fetchArtifact(own.registry, 'stable')).state;
    return { blobs, deployments, documents };
  };
  let own: Plant;
  let plain: { readonly tree: unknown; readonly contents: unknown };

  beforeAll(async () => {
    if (missing !== null) return;
    own = await makePlant(parts);
    const device = own.device('odd', { channel: 'stable' });
    write('stable', device, 1, own);
    await own.publish('stable');
    await device.start();
    await device.applied('1.1');
    plain = { tree: device.tree(), contents: await contents() };
    await device.remove();
  });
  afterAll(() => own?.remove());

  for (const env of ODD) {
    real(title(`the same bytes are published and applied with ${shown(env)}`), async () => {
      const told = await own.holdfast(['publish', 'stable', '-y', '--renew', '-o', 'json'], {
        env,
      });
      expect(told.code).toBe(0);
      const { point } = JSON.parse(told.out) as { readonly point: string };
      expect(await contents()).toEqual(plain.contents as Awaited<ReturnType<typeof contents>>);
      // The same folders as before, emptied: targets are absolute paths.
      const device = own.device('odd', { channel: 'stable', env });
      await device.start();
      await device.applied(point);
      expect(device.tree()).toEqual(plain.tree as ReturnType<typeof device.tree>);
      const { lastLook } = await device.status();
      expect(Math.abs((lastLook?.at ?? 0) - Date.now())).toBeLessThan(60_000);
      const times = device.log().match(/"time":"[^"]*"/g) ?? [];
      expect(times.length).toBeGreaterThan(0);
      expect(times.filter((time) => !/"\d{4}-\d\d-\d\dT[\d:.]+Z"$/.test(time))).toEqual([]);
      for (const args of [['status'], ['history'], ['explain']]) {
        expect((await device.command(args, { env })).code).toBe(0);
      }
      await device.remove();
    });
  }
});
