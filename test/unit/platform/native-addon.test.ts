/** Where the addon is placed for a moment, and that nothing stays there. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AddonRefused, addonDirectories, loadAddon } from '#platform/bun/native-addon.ts';

const published = join(
  import.meta.dir,
  `../../../node_modules/@lmdb/lmdb-linux-${process.arch}/node.napi.glibc.node`,
);
const here = existsSync(published);
const onAddon = here ? test : test.skip;
const why = here ? '' : ' (no published addon for this machine)';

let under = '';
beforeAll(() => {
  under = mkdtempSync(join(tmpdir(), 'native-addon-'));
});
afterAll(() => rmSync(under, { recursive: true, force: true }));

describe('the directories that are tried', () => {
  test('private ones come first, the state directory last, each once', () => {
    const env = {
      BUN_TMPDIR: '/private',
      RUNTIME_DIRECTORY: '/run/holdfast:/run/second',
      TMPDIR: '/tmp',
      STATE_DIRECTORY: '/var/lib/holdfast',
    };
    expect(addonDirectories(env)).toEqual([
      '/private',
      '/run/holdfast',
      '/run/second',
      '/tmp',
      '/run',
      '/dev/shm',
      '/var/tmp',
      '/var/lib/holdfast',
    ]);
  });

  test('relative ones, which whoever chose the working directory controls, are left out', () => {
    expect(addonDirectories({ TMPDIR: 'here', BUN_TMPDIR: '' })).toEqual([
      '/run',
      '/tmp',
      '/dev/shm',
      '/var/tmp',
    ]);
  });
});

describe('loading', () => {
  onAddon(`skips directories that fail, and leaves nothing behind${why}`, () => {
    const bytes = readFileSync(published);
    const addon = loadAddon(bytes, ['/proc', join(under, 'missing'), under]);
    expect(addon).toHaveProperty('Env');
    expect(readdirSync(under)).toEqual([]);
  });

  test('of what is no addon is platform.addon with a reason for each directory', () => {
    try {
      loadAddon(new TextEncoder().encode('no addon'), ['/proc', under]);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(AddonRefused);
      if (!(error instanceof AddonRefused)) return;
      expect(error.fault.code).toBe('platform.addon');
      expect(error.fault.message).toContain('/proc: ');
      expect(error.fault.message).toContain(`${under}: `);
    }
    expect(readdirSync(under)).toEqual([]);
  });
});
