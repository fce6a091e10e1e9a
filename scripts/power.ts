/**
 * `npm run power -- --cuts N [--replay M] [--seed S]`: power cuts under the compiled agent (test/power),
 * N live and M replayed from the log of a disk, then the controls: a file system without barriers, and
 * an agent built without its syncs, both of which must be seen to lose. The last line is
 * `power cuts: N cuts, N images, N bad; controls: N of N caught`.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.ts';
import { run } from './run.ts';
import { hostTarget, ROOT } from './targets.ts';
import { provide } from './test-parts.ts';

/** Ctrl-C: the part ends after what is under way and tells its counts; no new one is begun. */
let stopped = false;
const running = new Set<Bun.Subprocess>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stopped = true;
    for (const child of running) child.kill('SIGTERM');
  });
}

/** how often each control has to be caught, and the cuts or images that it may take each time */
const TRIALS = 3;
const TRIAL_CUTS = 40;
const TRIAL_IMAGES = 60;
const TRIAL_CHANGES = 3;
/** devices beside each other: most wait for something most of the time */
const LANES = 10;
/** logs that are recorded and judged beside each other */
const LOGS = 2;
/** changes in one log; images of it */
const CHANGES = 20;
const IMAGES_OF_A_LOG = 5_000;

/** What is taken out of the source: all that waits for the disk. */
const SYNCS: readonly (readonly [file: string, search: string, replace: string])[] = [
  ['platform/node/directory.ts', '  fsyncSync,\n', '  existsSync as fsyncSync,\n'],
  ['platform/node/file-handles.ts', '  fsyncSync,\n', '  existsSync as fsyncSync,\n'],
  ['store/lmdb.ts', 'overlappingSync: false,', 'overlappingSync: false, noSync: true,'],
];
const PARTS = ['src', 'scripts', 'targets', 'package.json', 'package-lock.json', 'tsconfig.json'];
const LINKS = ['node_modules', '.cache'];

interface Tally {
  readonly bad: readonly string[];
}
interface Live extends Tally {
  readonly cuts: number;
  readonly early: number;
  readonly held: number;
  readonly givenUp: number;
  readonly delivered: number;
  readonly flushes: number;
  readonly waiting: number;
  readonly dirty: number;
  readonly phases: Readonly<Record<string, number>>;
}
interface Replayed extends Tally {
  readonly images: number;
  readonly started: number;
  readonly mended: number;
  readonly flushes: number;
}

async function part<T>(name: string, args: readonly string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, join(ROOT, 'test/power', name), ...args], {
    cwd: ROOT,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'HOLDFAST_POWER_CONTROL' in env ? 'ignore' : 'inherit',
    // Waits are for real parts on a machine that does other work as well.
    env: { HOLDFAST_PATIENCE: '4', ...process.env, ...env },
    // Ctrl-C reaches a whole group: disks and agents in it would end at once.
    detached: true,
  });
  running.add(child);
  const text = await new Response(child.stdout).text();
  await child.exited;
  running.delete(child);
  const last = text.trim().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`${name} ended without a tally\n${text}`);
  return JSON.parse(last) as T;
}

/** A build of the same source whose syncs do nothing. */
async function withoutSyncs(): Promise<{ readonly tree: string; readonly executable: string }> {
  const tree = mkdtempSync(join(tmpdir(), 'holdfast-unsynced-'));
  for (const each of PARTS) cpSync(join(ROOT, each), join(tree, each), { recursive: true });
  for (const each of LINKS) symlinkSync(join(ROOT, each), join(tree, each));
  for (const [file, search, replace] of SYNCS) {
    const path = join(tree, 'src', file);
    const text = readFileSync(path, 'utf8');
    if (text.split(search).length !== 2)
      throw new Error(`src/${file} does not hold once: ${search}`);
    writeFileSync(path, text.replace(search, replace));
  }
  await run([process.execPath, 'scripts/build.ts'], { cwd: tree });
  return { tree, executable: join(tree, 'dist/holdfast') };
}

async function controls(seed: number): Promise<{ caught: number; of: number }> {
  const unsynced = await withoutSyncs();
  const control = { HOLDFAST_POWER_CONTROL: '1' };
  const without = { ...control, HOLDFAST_EXECUTABLE: unsynced.executable };
  const live = (trial: number, ...options: readonly string[]) =>
    ['live.ts', [`${TRIAL_CUTS}`, `${seed + trial}`, '1', ...options]] as const;
  const log = (trial: number) =>
    ['replay.ts', [`${TRIAL_IMAGES}`, `${seed + trial}`, `${TRIAL_CHANGES}`]] as const;
  const kinds = [
    { name: 'no barriers', of: (trial: number) => live(trial, 'barrier=0'), env: control },
    { name: 'no syncs', of: (trial: number) => live(trial), env: without },
    { name: 'no syncs, replayed', of: log, env: without },
  ];
  try {
    let [caught, of] = [0, 0];
    for (const kind of kinds) {
      for (let trial = 0; trial < TRIALS; trial += 1) {
        const [program, args] = kind.of(trial);
        const tally = await part<Tally>(program, args, kind.env);
        const seen = tally.bad[0]?.split('\n')[0]?.slice(0, 160);
        console.log(`control, ${kind.name}: ${seen ?? 'NOT SEEN'}`);
        caught += seen === undefined ? 0 : 1;
        of += 1;
      }
    }
    return { caught, of };
  } finally {
    rmSync(unsynced.tree, { recursive: true, force: true });
  }
}

interface Sum {
  cuts: number;
  images: number;
  readonly bad: string[];
}
type Env = Readonly<Record<string, string>>;

async function live(cuts: number, seed: number, env: Env, sum: Sum): Promise<void> {
  const tally = await part<Live>('live.ts', [`${cuts}`, `${seed}`, `${LANES}`], env);
  const { early, held, givenUp, delivered, flushes, waiting, dirty, phases } = tally;
  sum.cuts += tally.cuts;
  sum.bad.push(...tally.bad);
  console.log(`live: ${tally.cuts} cuts in ${JSON.stringify(phases)}, ${early} before a start was`);
  console.log(`  ready; ${flushes} flushes before them; ${dirty} found writes not flushed`);
  console.log(`  (${waiting} in all); ${held} held at ready; ${delivered} delivered statuses;`);
  console.log(`  ${givenUp} states given up after ${givenUp === 1 ? 'its' : 'their'} tries`);
}

/** Logs one after the other, each with the next seed; `turn` is shared by those beside each other. */
async function replays(images: number, turn: { seed: number; left: number }, env: Env, sum: Sum) {
  while (turn.left > 0 && !stopped) {
    const wanted = Math.min(IMAGES_OF_A_LOG, turn.left);
    turn.left -= wanted;
    turn.seed += 1;
    const args = [`${wanted}`, `${turn.seed - 1}`, `${CHANGES}`];
    const tally = await part<Replayed>('replay.ts', args, env);
    // No two images of a log are alike, and it may not give as many.
    turn.left += wanted - tally.images;
    sum.images += tally.images;
    sum.bad.push(...tally.bad);
    const { started, mended, flushes } = tally;
    const of = `${tally.images} images of ${flushes} flushes, seed ${args[1]}, ${started} started`;
    console.log(`replay: ${of}, ${mended} with a torn superblock; ${sum.images} of ${images}`);
    if (tally.images === 0) return;
  }
}

async function main(cuts: number, images: number, seed: number): Promise<number> {
  await provide();
  const executable = await build(hostTarget());
  const env = { HOLDFAST_EXECUTABLE: executable };
  const sum: Sum = { cuts: 0, images: 0, bad: [] };
  const turn = { seed, left: images };
  const logs = Array.from({ length: LOGS }, () => replays(images, turn, env, sum));
  await Promise.all([...logs, ...(cuts > 0 ? [live(cuts, seed, env, sum)] : [])]);
  for (const each of sum.bad) console.log(each);
  const { caught, of } = stopped ? { caught: 0, of: 1 } : await controls(seed);
  const counted = `${sum.cuts} cuts, ${sum.images} images, ${sum.bad.length} bad`;
  console.log(`power cuts: ${counted}; controls: ${caught} of ${of} caught`);
  return sum.bad.length === 0 && caught === of ? 0 : 1;
}

const { values } = parseArgs({
  options: {
    cuts: { type: 'string', default: '5000' },
    replay: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
  },
});
const [cuts, images, seed] = [Number(values.cuts), Number(values.replay), Number(values.seed)];
if (![cuts, images, seed].every((each) => Number.isInteger(each) && each >= 0)) {
  console.log('usage: npm run power -- --cuts N [--replay M] [--seed S]');
  process.exit(2);
}
process.exit(await main(cuts, images, seed));
