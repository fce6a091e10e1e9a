/** Removing trees: links, depth, mount points, names of any bytes. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import { systemFiles } from '#platform/node/files.ts';

const files = systemFiles();
const canMount = spawnSync('unshare', ['-m', 'true']).status === 0;
let root = '';

const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.fault.code);
function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}
function within<T>(path: string, work: (directory: Directory) => T): T {
  const directory = must(files.open(path));
  try {
    return work(directory);
  } finally {
    directory.close();
  }
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-tree-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('removing a tree', () => {
  test('removes links without following them, and names that are no UTF-8', () => {
    mkdirSync(`${root}/outside`);
    writeFileSync(`${root}/outside/kept`, '');
    mkdirSync(`${root}/tree/a/b`, { recursive: true });
    symlinkSync(`${root}/outside`, `${root}/tree/a/link`);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/tree/a/`), Buffer.from([0xff, 0xfe])]), '');
    execFileSync('mkfifo', [`${root}/tree/pipe`]);
    within(root, (directory) => {
      must(directory.removeTree('tree'));
      must(directory.removeTree('tree')); // nothing there: ok
      must(directory.symlink('only-a-link', 'outside'));
      must(directory.removeTree('only-a-link'));
    });
    expect(existsSync(`${root}/tree`)).toBe(false);
    expect(readdirSync(`${root}/outside`)).toEqual(['kept']);
  });

  test('a tree 600 directories deep needs no more than 64 handles', () => {
    const script = `
      import { systemFiles } from '#platform/node/files.ts';
      let deep = systemFiles().open('${root}', {}).value;
      for (let level = 0; level < 600; level++) {
        const next = deep.directory('d', { create: 0o700 }).value;
        next.write('f', new Uint8Array(1), 0o600);
        deep.close();
        deep = next;
      }
      deep.close();
      const top = systemFiles().open('${root}').value;
      console.log(JSON.stringify(top.removeTree('d')), top.list().value.length);`;
    const file = join(import.meta.dir, `../../../.deep-${process.pid}.ts`);
    writeFileSync(file, script);
    try {
      const command = `ulimit -n 64; exec "$0" "$1"`;
      const run = spawnSync('sh', ['-c', command, process.execPath, file], { encoding: 'utf8' });
      expect(run.stdout.trim()).toBe('{"ok":true} 0');
    } finally {
      rmSync(file);
    }
  });

  test.skipIf(!canMount)(
    'a mount point inside stops it before anything is touched (D21; needs mount)',
    () => {
      mkdirSync(`${root}/outside`);
      writeFileSync(`${root}/outside/kept`, '');
      mkdirSync(`${root}/tree/mounted`, { recursive: true });
      const bound = spawnSync('mount', ['--bind', `${root}/outside`, `${root}/tree/mounted`]);
      expect(bound.status).toBe(0);
      try {
        within(root, (directory) =>
          expect(codeOf(directory.removeTree('tree'))).toBe('platform.mount'),
        );
        expect(readdirSync(`${root}/outside`)).toEqual(['kept']);
      } finally {
        spawnSync('umount', [`${root}/tree/mounted`]);
      }
    },
  );
});
