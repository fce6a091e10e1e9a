/** The changed copies of lmdb's sources are made of the version that is installed, or not at all. */
import { afterAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PATCHES, patchedSources } from '../../../scripts/lmdb-patches.ts';
import { ROOT } from '../../support/parts.ts';

const work = mkdtempSync(join(tmpdir(), 'holdfast-patches-'));
const LMDB = join(ROOT, 'node_modules/lmdb');
afterAll(() => rmSync(work, { recursive: true, force: true }));

describe('patches of lmdb', () => {
  test('each is in its copy as often as it says, and nothing else is changed', () => {
    const made = patchedSources(LMDB, work);
    for (const [source, path] of made) {
      let expected = readFileSync(join(LMDB, source), 'utf8');
      for (const { find, replace, times, ...patch } of PATCHES) {
        if (patch.source !== source) continue;
        expect(expected.split(find)).toHaveLength(times + 1);
        expected = expected.replaceAll(find, replace);
        expect(expected).not.toContain(find);
      }
      expect(readFileSync(path, 'utf8')).toBe(expected);
    }
  });

  test('another version of a source stops the build', () => {
    const other = join(work, 'lmdb');
    for (const { source } of PATCHES) {
      mkdirSync(dirname(join(other, source)), { recursive: true });
      cpSync(join(LMDB, source), join(other, source));
    }
    const last = PATCHES.at(-1)?.source ?? '';
    writeFileSync(join(other, last), 'int main(void) { return 0; }\n');
    expect(() => patchedSources(other, work)).toThrow(`${last} has`);
  });
});
