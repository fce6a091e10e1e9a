/** The runtime `files`: what drift leaves behind. */
import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { value } from '../../support/store.ts';
import { filesWorld, SITE } from './files-world.ts';

const { at, fresh, conf, site } = filesWorld();

describe('drift', () => {
  test('what was found is kept before a repair, three copies at most, a mebibyte each', async () => {
    const runtime = fresh();
    const generation = conf('speed=1');
    value(await runtime.activate(generation, null));
    for (const found of ['first', 'second', 'third', 'x'.repeat(2 * 1024 * 1024)]) {
      writeFileSync(at('plc.conf'), found);
      expect(value(await runtime.keepFound(generation))).toHaveLength(1);
      value(await runtime.activate(generation, generation));
    }
    const folder = at('.holdfast/line/found');
    const kept = readdirSync(folder).sort();
    expect(kept.map((name) => name.slice(7))).toEqual(['plc.conf', 'plc.conf', 'plc.conf']);
    expect(readFileSync(`${folder}/${kept[0]}`, 'utf8')).toBe('second');
    expect(statSync(`${folder}/${kept[2]}`).size).toBe(1024 * 1024);
  });

  test('of a tree, the file that differs is kept', async () => {
    const runtime = fresh();
    value(await runtime.activate(site(SITE), null));
    writeFileSync(at('site/sub/run.sh'), 'edited');
    const [copy = ''] = value(await runtime.keepFound(site(SITE)));
    expect(readFileSync(copy, 'utf8')).toBe('edited');
  });

  test('a lost record of what stood there is a deviation, and made again', async () => {
    value(await fresh().activate(conf('speed=1'), null));
    rmSync(at('.holdfast'), { recursive: true });
    expect(value(await fresh().inspect(conf('speed=1'), 'stat'))).toHaveLength(1);
    value(await fresh().activate(conf('speed=1'), conf('speed=1')));
    expect(value(await fresh().inspect(conf('speed=1'), 'stat'))).toEqual([]);
    value(await fresh().deactivate(conf('speed=1')));
    expect(existsSync(at('plc.conf'))).toBe(false);
  });
});
