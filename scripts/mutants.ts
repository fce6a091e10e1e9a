/**
 * `npm run mutants [-- --quick] [-- --only TEXT]`: how sensitive the tests are. Each mutant is one
 * line taken out of a copy of the source: an fsync, a step of the undo, a health check, a count. The
 * tests named beside it must go red; the last line says how many did. A mutant that survives is a
 * promise without a test.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run } from './run.ts';
import { ROOT } from './targets.ts';

export interface Mutant {
  readonly name: string;
  /** below src/ */
  readonly file: string;
  readonly search: string;
  readonly replace: string;
  /** below test/; any of them has to fail */
  readonly tests: readonly string[];
  /** the tests run the compiled executable */
  readonly compiled: boolean;
}

const ORDER = ['crash/durable-order.test.ts'];
const STEPS = ['crash/fail-steps.test.ts'];
const LOOP = ['crash/crash-loop.test.ts'];
const KILL = ['crash/kill.test.ts'];
const CHANGE = ['unit/apply/transaction.test.ts'];

function compiled(
  name: string,
  [file, search, replace]: readonly [string, string, string],
  tests: readonly string[],
): Mutant {
  return { name, file, search, replace, tests, compiled: true };
}

function quick(
  name: string,
  [file, search, replace]: readonly [string, string, string],
  tests: readonly string[],
): Mutant {
  return { name, file, search, replace, tests, compiled: false };
}

export const MUTANTS: readonly Mutant[] = [
  quick(
    'undo leaves out its last step',
    ['apply/transaction.ts', 'of steps.toReversed()', 'of steps.slice(1).toReversed()'],
    CHANGE,
  ),
  quick(
    'the state is committed without proof',
    ['apply/transaction.ts', '  if (!proven.ok) return giveUp', '  if (false) return giveUp'],
    CHANGE,
  ),
  quick(
    'the acceptance does not raise the floor',
    ['apply/journal.ts', 'return order > 0 ? to : floor;', 'return floor;'],
    CHANGE,
  ),
  quick(
    'recovery does not count its tries',
    ['apply/journal.ts', 'tries: row.intent.tries + 1', 'tries: row.intent.tries'],
    CHANGE,
  ),
  quick(
    'the undo goes forward through the steps',
    ['apply/transaction.ts', 'of steps.toReversed()', 'of steps'],
    ['unit/apply/undo-order.test.ts'],
  ),
  quick(
    'the directory of content has no durable name',
    ['store/content.ts', 'isNew ? state.sync() : names', 'names'],
    ['crash/store-images.test.ts'],
  ),
  quick(
    'a state directory that was made has no durable name',
    ['store/open.ts', 'safe.ok && isNew ? parent.value.sync() : safe', 'safe'],
    ['crash/store-images.test.ts'],
  ),
  compiled(
    'a staged file is not synced',
    ['apply/stage.ts', 'return moded.ok ? writer.sync() : moded;', 'return moded;'],
    ORDER,
  ),
  compiled(
    'the directory of a target is not synced',
    ['apply/runtimes/files.ts', 'return at.parent.sync();', 'return ok(undefined);'],
    ORDER,
  ),
  compiled(
    'the names in the content store are not synced before the acceptance',
    ['apply/transaction.ts', 'const synced = content.sync();', 'const synced = ok(undefined);'],
    ORDER,
  ),
  compiled(
    'the shelf of generations is not synced',
    ['apply/generations.ts', 'const named = shelf.sync();', 'const named = ok(undefined);'],
    ORDER,
  ),
  compiled(
    'the place of an unpacked tree is not synced',
    ['apply/generations.ts', 'return renamed.ok ? place.sync() : renamed;', 'return renamed;'],
    ORDER,
  ),
  compiled(
    'an unpacked tree is not synced before it gets its name',
    [
      'apply/generations.ts',
      'const synced = place.syncEntry(part);',
      'const synced = ok(undefined);',
    ],
    ORDER,
  ),
  compiled(
    'a directory of a tree is not synced',
    [
      'apply/unpack.ts',
      'const synced = moded.ok ? directory.value.sync() : moded;',
      'const synced = moded;',
    ],
    ORDER,
  ),
  compiled(
    'a downloaded blob is not synced',
    ['store/part.ts', 'const synced = writer.sync();', 'const synced = ok();'],
    ORDER,
  ),
  compiled(
    'the time limit of a hook is not looked at',
    ['apply/runtimes/files.ts', 'if (code === 0 && !timedOut) {', 'if (code === 0 || timedOut) {'],
    STEPS,
  ),
  compiled(
    'declared health checks are not run',
    ['apply/health.ts', 'return [alive, ...health];', 'return [alive];'],
    STEPS,
  ),
  compiled(
    'whether a program is alive is not looked at',
    ['apply/health.ts', 'return [alive, ...health];', 'return health;'],
    STEPS,
  ),
  compiled(
    'a rolled-back generation is not compared with its blob',
    [
      'apply/generations.ts',
      'const wrong = await treeDiffers(tools, want, tree);',
      'const wrong = ok(null);',
    ],
    STEPS,
  ),
  compiled('crashes are not counted', ['agent/start-count.ts', 'crashes + 1', '0'], LOOP),
  compiled(
    'a cut try is tried again for ever',
    ['apply/recover.ts', 'intent.tries >= intent.attemptsMax', 'false'],
    LOOP,
  ),
  compiled(
    'a program that runs is not adopted',
    [
      'apply/runtimes/process-deployment.ts',
      'unit.adopt(program);\n    return ok(undefined);',
      'return unit.start();',
    ],
    KILL,
  ),
  compiled(
    'recovery looks for no remainders',
    [
      'apply/runtimes/process-deployment.ts',
      'const ended = await endAlive(env, next.id, previous, (token) => token.hex !== hex);',
      'const ended = ok(undefined);',
    ],
    KILL,
  ),
  compiled(
    'what a cut left in activating is not undone',
    [
      'apply/recover.ts',
      'return closed(await undo(context, change, cut, false));',
      "return ok({ kind: 'closed', outcome: null });",
    ],
    KILL,
  ),
  compiled(
    'a proof that was cut brings back only what had changed',
    ['apply/recover.ts', '!runsPrograms(next.deployment)', 'true'],
    KILL,
  ),
];

/** What a tree needs to build and test itself. */
const PARTS = [
  'src',
  'test',
  'scripts',
  'targets',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
];
const LINKS = ['node_modules', '.cache'];
/** kills are few here: every mutant named for them breaks most */
const ENV = {
  ...{ HOLDFAST_KILL_CYCLES: '60', HOLDFAST_KILL_SEED: '1' },
  HOLDFAST_STORE_IMAGES: '600',
};

async function isRed(tree: string, { tests, compiled }: Pick<Mutant, 'tests' | 'compiled'>) {
  if (compiled) await run([process.execPath, 'scripts/build.ts'], { cwd: tree });
  const files = tests.map((path) => `./test/${path}`);
  const command = [process.execPath, 'test', '--bail', '--timeout', '60000', ...files];
  const executable = { HOLDFAST_EXECUTABLE: join(tree, 'dist/holdfast') };
  const ran = await run(command, { cwd: tree, mayFail: true, env: { ...ENV, ...executable } });
  return { red: ran.code !== 0, said: ran.stdout + ran.stderr };
}

/** The text with the mutant in it; its place must be there exactly once. */
export function planted(text: string, { name, file, search, replace }: Mutant): string {
  const [before, after, ...more] = text.split(search);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`"${name}": src/${file} does not hold once: ${search}`);
  }
  return before + replace + after;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } },
  });
  const { only } = values;
  const chosen = MUTANTS.filter(
    ({ name, compiled }) =>
      !(values.quick && compiled) && (only === undefined || name.includes(only)),
  );
  const tree = mkdtempSync(join(tmpdir(), 'holdfast-mutants-'));
  try {
    for (const part of PARTS) cpSync(join(ROOT, part), join(tree, part), { recursive: true });
    for (const link of LINKS) symlinkSync(join(ROOT, link), join(tree, link));
    if (!(await isGreen(tree, chosen))) return 1;
    let survived = 0;
    for (const mutant of chosen) {
      const path = join(tree, 'src', mutant.file);
      const text = readFileSync(path, 'utf8');
      writeFileSync(path, planted(text, mutant));
      const { red } = await isRed(tree, mutant);
      writeFileSync(path, text);
      if (!red) survived += 1;
      console.log(`${red ? 'caught  ' : 'SURVIVED'}  ${mutant.name}`);
    }
    console.log(`${chosen.length - survived} of ${chosen.length} mutants caught`);
    return survived === 0 && chosen.length > 0 ? 0 : 1;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** Without a mutant every named test passes: otherwise red says nothing. */
async function isGreen(tree: string, chosen: readonly Mutant[]): Promise<boolean> {
  const needed = new Map(chosen.flatMap(({ tests, compiled }) => tests.map((t) => [t, compiled])));
  for (const [path, compiled] of needed) {
    const { red, said } = await isRed(tree, { tests: [path], compiled });
    if (red) console.log(`${path} fails without any mutant:\n${said.slice(-4_000)}`);
    if (red) return false;
  }
  return true;
}

if (import.meta.main) process.exit(await main());
