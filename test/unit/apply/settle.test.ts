/** Names that a killed agent has made and not synced, on a disk that loses all that was not synced. */
import { expect, test } from 'bun:test';
import { durablePlaces } from '#apply/places.ts';
import { settleNames } from '#apply/settle.ts';
import { openTarget } from '#apply/targets.ts';
import { steps } from '../../sim/world/crash.ts';
import { simFiles } from '../../sim/world/directory.ts';
import { disk } from '../../sim/world/disk.ts';
import { dice } from '../../sim/world/random.ts';
import { value } from '../../support/store.ts';

const STATE = '/var/lib/holdfast';

function flash() {
  const made = disk({ nowMs: () => 0, steps: steps(), from: undefined });
  made.plantDirectory(STATE);
  made.plantDirectory('/opt');
  const files = simFiles(made);
  const places = durablePlaces(files, STATE);
  const mkdir = (path: string): void => value(files.open(path, { create: 0o755 })).close();
  const cut = (): void => made.cut(dice('settle'), 'all');
  return { files, places, mkdir, cut, isThere: (path: string) => made.find(path) !== null };
}

const LEFT = [
  `${STATE}/content`,
  `${STATE}/identity/hub`,
  `${STATE}/generations/plc/slot/main`,
  '/opt/.holdfast/web/slot/site',
  '/opt/.holdfast/web/origin',
  '/srv/made',
] as const;

function leave({ places, mkdir }: ReturnType<typeof flash>): void {
  value(places.add('web', 'shelf', '/opt'));
  value(places.add('web', 'made', '/srv/made'));
  for (const path of LEFT) mkdir(path);
}

test('a power cut takes what nobody has synced', () => {
  const world = flash();
  leave(world);
  world.cut();
  expect(LEFT.filter(world.isThere)).toEqual([]);
});

test('what a start has settled stays', () => {
  const world = flash();
  leave(world);
  value(settleNames(world.files, STATE, durablePlaces(world.files, STATE)));
  world.cut();
  expect(LEFT.filter(world.isThere)).toEqual([...LEFT]);
});

test('a state directory with nothing in it is settled, and nothing is made in it', () => {
  const world = flash();
  value(settleNames(world.files, STATE, world.places));
  expect(world.isThere(`${STATE}/places`)).toBe(false);
});

test('a root of targets that had to be made is durable, with all that leads to it', () => {
  const world = flash();
  const rules = {
    ...{ files: world.files, places: world.places, roots: ['/srv/plc/conf'], protectedPaths: [] },
    clock: { monotonicMs: () => 0 },
  };
  const spot = value(openTarget(rules, 'plc', '/srv/plc/conf/a.conf', true));
  spot?.parent.close();
  world.cut();
  expect(world.isThere('/srv/plc/conf')).toBe(true);
});
