/**
 * `npm run simulate:planted [-- --only TEXT] [--jobs K] [--seeds N]`: each planted bug (list.ts) by itself in a
 * copy of the source in a temporary folder, and the simulator on it until a run fails. The last line
 * says how many were found; ends with 1 when one was not.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { planted } from '../../../scripts/mutants.ts';
import { FIELD_EVERY, FIELD_REST } from '../field/schedule.ts';
import type { Sum } from '../simulate.ts';
import { PARTS_AT, WIDE_EVERY } from '../width/schedule.ts';
import { PLANTED, type PlantedBug } from './list.ts';

const ROOT = join(import.meta.dir, '../../..');
/** what a copy needs to simulate itself */
const PARTS = ['src', 'test/sim', 'scripts', 'package.json', 'tsconfig.json'];
const NOTHING: PlantedBug = { name: 'none', file: '', search: '', replace: '', seeds: 20 };

export interface Hunt {
  /** the seed whose run failed first; null: none did */
  readonly seed: number | null;
  readonly runs: number;
  /** the violation, or why it could not run */
  readonly says: string;
}

export function copyTree(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-planted-'));
  for (const part of PARTS) cpSync(join(ROOT, part), join(path, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The bug is planted, hunted and taken out again. */
export async function hunt(tree: string, bug: PlantedBug): Promise<Hunt> {
  const file = join(tree, 'src', bug.file);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, planted(text, { ...bug, tests: [], compiled: false }));
  try {
    return await simulate(tree, bug.seeds, bug);
  } finally {
    writeFileSync(file, text);
  }
}

type Among = Pick<PlantedBug, 'wide' | 'field' | 'parts'>;

function rangeOf({ wide, field, parts }: Among): readonly string[] {
  if (parts) return ['--seed', `${PARTS_AT}`, '--step', `${WIDE_EVERY}`];
  if (wide) return ['--seed', `${WIDE_EVERY - 1}`, '--step', `${WIDE_EVERY}`];
  if (field) return ['--seed', `${FIELD_REST}`, '--step', `${FIELD_EVERY}`];
  return ['--seed', '1'];
}

/** Until a run fails, or `runs` have not. */
export async function simulate(tree: string, runs: number, of: Among = {}): Promise<Hunt> {
  const sim = join(tree, 'test/sim');
  const range = rangeOf(of);
  const flags = [...range, '--runs', String(runs), '--stop-at-first'];
  const command = [`--preload=${sim}/known-signatures.ts`, `${sim}/simulate.ts`, ...flags];
  const child = Bun.spawn([process.execPath, ...command], {
    cwd: tree,
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  const lines = out.trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`the simulation ended without its sum\n${error}`);
  const sum = JSON.parse(last) as Sum;
  return { seed: sum.seeds[0] ?? null, runs: sum.runs, says: lines.at(-2) ?? '' };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '400' },
    },
  });
  const { only } = values;
  const left = PLANTED.filter(({ name }) => only === undefined || name.includes(only)).reverse();
  const count = left.length;
  const clean = copyTree();
  const before = await simulate(clean.path, NOTHING.seeds);
  clean.remove();
  if (before.seed !== null) {
    console.log(`seed ${before.seed} fails without any planted bug: ${before.says}`);
    return 1;
  }
  let found = 0;
  const work = async (): Promise<void> => {
    const tree = copyTree();
    for (let bug = left.pop(); bug; bug = left.pop()) {
      const seeds = Math.min(bug.seeds, Number(values.seeds));
      const { seed, runs, says } = await hunt(tree.path, { ...bug, seeds });
      if (seed !== null) found += 1;
      const where = seed === null ? `NOT FOUND in ${runs} runs` : `found in ${runs} runs`;
      console.log(`${where.padEnd(22)}  ${bug.name}  (${says.slice(0, 100)})`);
    }
    tree.remove();
  };
  await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, work));
  console.log(`${found} of ${count} planted bugs found`);
  return found === count ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
