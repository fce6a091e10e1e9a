/** The list of planted mutants is current, and two quick ones are caught; `npm run mutants`: all. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MUTANTS, planted } from '../../scripts/mutants.ts';
import { run } from '../support/command.ts';
import { ROOT } from '../support/parts.ts';
import { isThere } from '../tidy/tree.ts';

describe('a mutant', () => {
  for (const mutant of MUTANTS) {
    test(`has its one place in the source and its tests: ${mutant.name}`, () => {
      const text = readFileSync(join(ROOT, 'src', mutant.file), 'utf8');
      expect(planted(text, mutant)).not.toBe(text);
      expect(mutant.tests.filter((path) => !isThere(`test/${path}`))).toEqual([]);
    });
  }

  for (const only of ['undo leaves out', 'without proof']) {
    test(`is caught: ${only}`, async () => {
      const command = [process.execPath, 'scripts/mutants.ts', '--only', only];
      const ran = await run(command, { cwd: ROOT });
      expect(`${ran.out}${ran.err}`).toContain('1 of 1 mutants caught');
      expect(ran.code).toBe(0);
    }, 60_000);
  }
});
