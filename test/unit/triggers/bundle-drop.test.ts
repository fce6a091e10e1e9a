/** triggers/bundle-drop.ts: what is told of a stick, when, and that nothing is done to it. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { systemFiles } from '#platform/node/files.ts';
import { bundleDrop, type Lying } from '#triggers/bundle-drop.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { codeOf, scratch, value } from '../../support/store.ts';

let place: ReturnType<typeof scratch>;
beforeEach(() => {
  place = scratch('drop');
});
afterEach(() => place.remove());

function watch(again: (path: string) => boolean = () => false) {
  const clock = manualClock();
  const wakes: string[] = [];
  const told: (readonly Lying[])[] = [];
  const stop = bundleDrop({
    ...{ clock, files: systemFiles(), directories: [place.path, `${place.path}/absent`], again },
    tell: (lying) => void told.push(lying),
  }).start((wake) => void wakes.push(wake.kind === 'bundle' ? wake.path : wake.kind));
  return { wakes, told, stop, look: (times = 1) => clock.advance(times * 5_000) };
}

function layout(name: string): string {
  const path = `${place.path}/${name}`;
  mkdirSync(`${path}/blobs/sha256`, { recursive: true });
  writeFileSync(`${path}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(`${path}/index.json`, '{}');
  return path;
}

describe('a bundle', () => {
  test('that grows is not told before it stayed the same for two looks', async () => {
    const { wakes, told, stop, look } = watch();
    await look(0);
    for (const text of ['a', 'ab', 'abc']) {
      writeFileSync(`${place.path}/b.tar`, text);
      await look();
      expect(wakes).toEqual([]);
    }
    expect(told.at(-1)).toEqual([{ path: `${place.path}/b.tar`, settled: false, problem: null }]);
    await look();
    expect(wakes).toEqual([`${place.path}/b.tar`]);
    expect(told.at(-1)?.[0]?.settled).toBe(true);
    stop();
  });

  test('that is a directory waits while blobs are added, and is told again when it changed', async () => {
    const { wakes, stop, look } = watch();
    await look(0);
    const path = layout('stick');
    for (const blob of ['a', 'b', 'c']) {
      writeFileSync(`${path}/blobs/sha256/${blob}`, blob);
      await look();
    }
    expect(wakes).toEqual([]);
    await look(3);
    expect(wakes).toEqual([path]);
    writeFileSync(`${path}/index.json`, '{"manifests":[]}');
    await look(2);
    expect(wakes).toEqual([path, path]);
    stop();
  });

  test('the watched directory itself may be: a stick mounted there', async () => {
    const { wakes, stop, look } = watch();
    const path = layout('x');
    for (const name of readdirSync(path)) renameSync(`${path}/${name}`, `${place.path}/${name}`);
    rmSync(path, { recursive: true });
    await look(2);
    expect(wakes).toEqual([place.path]);
    stop();
  });

  test('pulled and put in again is told again, though every stamp is the same', async () => {
    const { wakes, told, stop, look } = watch();
    const path = layout('stick');
    await look(3);
    renameSync(path, `${place.path}-away`);
    await look(1);
    expect(told.at(-1)).toEqual([]);
    renameSync(`${place.path}-away`, path);
    await look(2);
    expect(wakes).toEqual([path, path]);
    stop();
  });

  test('is told once more where the agent asks for it', async () => {
    let wanted = false;
    const { wakes, stop, look } = watch(() => wanted);
    layout('stick');
    await look(5);
    expect(wakes.length).toBe(1);
    wanted = true;
    await look(2);
    expect(wakes.length).toBe(3);
    stop();
  });
});

describe('what a stick may hold', () => {
  test('links are told and not followed; names that would steer a terminal are passed over', async () => {
    const { wakes, told, stop, look } = watch();
    symlinkSync('/etc/shadow', `${place.path}/link.tar`);
    symlinkSync('/etc', `${place.path}/directory`);
    writeFileSync(`${place.path}/\u001b]0;owned\u0007.tar`, '');
    mkdirSync(`${place.path}/fifo.tar`);
    await look(3);
    expect(wakes).toEqual([]);
    expect(told.at(-1)?.map(({ path, problem }) => [path, problem?.code])).toEqual([
      [`${place.path}/link.tar`, 'source.layout'],
    ]);
    stop();
  });

  test('more than 1,000 names: said so, not read through', async () => {
    for (let n = 0; n < 1_010; n += 1) writeFileSync(`${place.path}/n${n}`, '');
    const { told, stop, look } = watch();
    await look(2);
    expect(told.at(-1)?.[0]).toMatchObject({
      path: place.path,
      problem: { message: expect.stringContaining('more than 1000 names') },
    });
    stop();
  });

  test('of 200 bundles 64 are told', async () => {
    for (let n = 0; n < 200; n += 1) writeFileSync(`${place.path}/b${n}.tar`, 'x');
    const { wakes, told, stop, look } = watch();
    await look(3);
    expect([wakes.length, told.at(-1)?.length]).toEqual([64, 64]);
    stop();
  });

  test('a directory that is far larger than the names asked for is not listed at all', () => {
    for (let n = 0; n < 60; n += 1) writeFileSync(`${place.path}/${'n'.repeat(200)}${n}`, '');
    const directory = value(systemFiles().open(place.path, { follow: true, untouched: true }));
    expect(codeOf(directory.list({ max: 1 }))).toBe('platform.too-large');
    expect(value(directory.list({ max: 50 })).length).toBe(50);
    expect(value(directory.list()).length).toBe(60);
    directory.close();
  });
});
