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
let running: Bun.Subprocess | null = null;
process.on('SIGINT', () => {
  stopped = true;
  running?.kill('SIGTERM');
});

/** how often each control has to be caught, and the cuts that it may take each time */
const TRIALS = 3;
const TRIAL_CUTS = 40;
const LANES = 4;
/** changes in one log; images of it */
const CHANGES = 20;
const IMAGES_OF_A_LOG = 5_000;

/** What is taken out of the source: all that waits for the disk. */
const SYNCS: readonly (readonly [file: string, search: string, replace: string])[] = [
  ['platform/node/directory.ts', '  fsyncSync,\n', '  existsSync as fsyncSync,\n'],
  ['platform/node/file-handles.ts', '  fsyncSync,\n', '  existsSync as fsyncSync,\n'],
  ['store/lmdb.ts', 'overlappingSync: false,', 'overlappingSync: false, noSync: true,'],
];
const PARTS = ['src', 'scripts', 'targets', 'package.json', 'tsconfig.json'];
const LINKS = ['node_modules', '.cache'];

interface Tally {
  readonly bad: readonly string[];
}
interface Live extends Tally {
  readonly cuts: number;
  readonly held: number;
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
    env: { ...process.env, ...env },
    // Ctrl-C reaches a whole group: disks and agents in it would end at once.
    detached: true,
  });
  running = child;
  const text = await new Response(child.stdout).text();
  await child.exited;
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
  try {
    const kinds = [
      { name: 'no barriers', options: ['barrier=0'], env: {} },
      { name: 'no syncs', options: [], env: { HOLDFAST_EXECUTABLE: unsynced.executable } },
    ];
    let [caught, of] = [0, 0];
    for (const { name, options, env } of kinds) {
      for (let trial = 0; trial < TRIALS; trial += 1) {
        const args = [`${TRIAL_CUTS}`, `${seed + trial}`, '1', ...options];
        const tally = await part<Live>('live.ts', args, { ...env, HOLDFAST_POWER_CONTROL: '1' });
        const seen = tally.bad[0]?.split('\n')[0]?.slice(0, 160);
        console.log(`control, ${name}: ${seen ?? 'NOT SEEN'}`);
        caught += seen === undefined ? 0 : 1;
        of += 1;
      }
    }
    return { caught, of };
  } finally {
    rmSync(unsynced.tree, { recursive: true, force: true });
  }
}

async function main(cuts: number, images: number, seed: number): Promise<number> {
  await provide();
  const executable = await build(hostTarget());
  const env = { HOLDFAST_EXECUTABLE: executable };
  const bad: string[] = [];
  let cut = 0;
  if (cuts > 0) {
    const live = await part<Live>('live.ts', [`${cuts}`, `${seed}`, `${LANES}`], env);
    const { held, delivered, flushes, waiting, dirty, phases } = live;
    cut = live.cuts;
    bad.push(...live.bad);
    console.log(`live: ${cut} cuts in ${JSON.stringify(phases)}; ${flushes} flushes before them;`);
    console.log(`  ${dirty} found writes not flushed (${waiting} in all); ${held} held at ready;`);
    console.log(`  ${delivered} delivered statuses`);
  }
  let replayed = 0;
  for (let log = 0; replayed < images && !stopped; log += 1) {
    const wanted = Math.min(IMAGES_OF_A_LOG, images - replayed);
    const tally = await part<Replayed>(
      'replay.ts',
      [`${wanted}`, `${seed + log}`, `${CHANGES}`],
      env,
    );
    replayed += tally.images;
    bad.push(...tally.bad);
    const { started, mended } = tally;
    console.log(
      `replay: ${tally.images} images of ${tally.flushes} flushes, ${started} started; superblock torn: ${mended}`,
    );
  }
  for (const each of bad) console.log(each);
  const { caught, of } = stopped ? { caught: 0, of: 1 } : await controls(seed);
  const counted = `${cut} cuts, ${replayed} images, ${bad.length} bad`;
  console.log(`power cuts: ${counted}; controls: ${caught} of ${of} caught`);
  return bad.length === 0 && caught === of ? 0 : 1;
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
