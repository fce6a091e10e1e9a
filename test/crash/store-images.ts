/**
 * The store against every power cut that a disk allows: real LMDB, driven by the agent's own store,
 * recorded under strace from its first byte on; the states that the disk may then hold, at every
 * operation and in between; each opened by another process, through the store's own guard, and
 * compared with what had been acknowledged. A death by signal is found by the line that is missing.
 *
 * Run as a program: `store-images.ts IMAGES SEED`; the last line is the sum.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopOnSignal } from '../power/stop.ts';
import { type Image, makeCrashDisk, WAYS, type Way, writeImage } from '../support/crash-disk.ts';
import { type DiskOp, makeTracedTree, tracedWithBytes } from '../support/disk-trace.ts';
import { program } from '../support/parts.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** Why it cannot run here; null: it can. */
export const missing: string | null = program('strace') === null ? 'no strace' : null;

export interface Asked {
  readonly images: number;
  readonly seed: number;
  /** where it says how far it is */
  say?(line: string): void;
  /** asked between two recordings */
  stopped?(): boolean;
  /** in place of what the disk did: for controls */
  spoil?(ops: readonly DiskOp[]): readonly DiskOp[];
}

export interface Tally {
  readonly images: number;
  readonly operations: number;
  readonly commits: number;
  readonly processes: number;
  /** what was found, by way */
  readonly ways: Readonly<Record<Way, number>>;
  readonly bad: readonly string[];
}

const CHILD = new URL('image-child.ts', import.meta.url).pathname;
/** images that one process opens; a death is looked at again, one image a process */
const BATCH = 64;
const CHECKERS = 2;
/** images of one recording, so that there are many first starts as well */
const PER_RECORDING = 500;
/** of the first start and of the second */
const COMMITS = [30, 40] as const;
/** The state directory itself is made by the first start. */
const STATE = 'state';

interface Recording {
  readonly ops: readonly DiskOp[];
  readonly seed: number;
}

interface Case {
  readonly folder: string;
  readonly image: Image;
  readonly title: string;
  readonly way: Way;
  /** sums that a store may have after this cut */
  readonly allowed: ReadonlySet<string>;
  /** the words that may stand for how it came up */
  readonly ups: ReadonlySet<string>;
}

export async function storeImages(asked: Asked): Promise<Tally> {
  const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const folder = mkdtempSync(join(base, 'holdfast-images-'));
  const seen = new Set<string>();
  const ways = Object.fromEntries(WAYS.map((way) => [way, 0])) as Record<Way, number>;
  let told = 0;
  const tally = { images: 0, operations: 0, commits: 0, processes: 0, ways, bad: [] as string[] };
  try {
    for (let round = 0; tally.images < asked.images && !asked.stopped?.(); round += 1) {
      const recorded = await record(folder, asked.seed + round, round);
      const ops = asked.spoil?.(recorded.ops) ?? recorded.ops;
      tally.operations += ops.length;
      tally.commits += ops.filter(isAck).length;
      const wanted = Math.min(PER_RECORDING, asked.images - tally.images);
      const before = tally.images;
      const cases = imagesOf({ ops, seed: recorded.seed }, folder, { wanted, seen });
      const work = () => checker(cases, tally);
      await Promise.all(Array.from({ length: CHECKERS }, work));
      if (tally.images === before) throw new Error('a recording gave no new image');
      for (const bad of tally.bad.slice(told)) asked.say?.(bad);
      told = tally.bad.length;
      asked.say?.(`${tally.images} images, ${told} bad`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return tally;
}

const isAck = (op: DiskOp) => op.kind === 'says' && op.line.startsWith('ack ');

/** The first start ends at one of its first calls that change the disk or wait for it. */
function killAt(seed: number): readonly string[] {
  const { unit } = seededRandom(seed * 17);
  const call = ['mkdir', 'fsync', 'rename', 'fdatasync', 'pwrite64'][Math.floor(unit() * 5)];
  const when = 1 + Math.floor(unit() * unit() * 12);
  return ['-e', `inject=${call}:signal=SIGKILL:when=${when}`];
}

/**
 * First start, kill, second start. Every second time the kill comes early; every third time the store
 * was damaged between the two.
 */
async function record(folder: string, seed: number, round: number): Promise<Recording> {
  const top = join(folder, 'device');
  const state = join(top, STATE);
  rmSync(top, { recursive: true, force: true });
  mkdirSync(top, { mode: 0o700 });
  const tree = makeTracedTree(top);
  for (const [session, commits] of COMMITS.entries()) {
    const trace = join(folder, `trace-${session}`);
    const command = [process.execPath, CHILD, 'work', state, `${seed}${session}`, `${commits}`];
    const killed = session === 0 && round % 2 === 1 ? killAt(seed) : [];
    const child = Bun.spawn([...tracedWithBytes(trace, killed), ...command], {
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'pipe',
    });
    const said = await new Response(child.stderr).text();
    await child.exited;
    tree.read(trace);
    if (session > 0 && tree.ops.filter(isAck).length < 1)
      throw new Error(`nothing was recorded: ${said}`);
    if (session === 0 && round % 3 === 2 && existsSync(join(state, 'store/data.mdb'))) {
      const noise = Buffer.from(seededRandom(seed).bytes(9_000));
      writeFileSync(join(state, 'store/data.mdb'), noise);
      tree.damage(`${STATE}/store/data.mdb`, noise);
    }
  }
  return { ops: tree.ops, seed };
}

/** Images along the recording, no two alike, spread over all of its operations. */
function* imagesOf(
  { ops, seed }: Recording,
  folder: string,
  { wanted, seen }: { wanted: number; seen: Set<string> },
): Generator<Case> {
  const { unit } = seededRandom(seed);
  const disk = makeCrashDisk();
  const acks = ops.filter(isAck).map((op) => (op.kind === 'says' ? op.line.slice(4) : ''));
  let acknowledged = 0;
  let damaged = false;
  let made = 0;
  for (const [at, op] of ops.entries()) {
    if (isDamage(ops, at)) damaged = true;
    const due = Math.ceil(((at + 1) * wanted) / ops.length);
    for (let tries = 0; made < due && tries < 40; tries += 1) {
      const way = WAYS[Math.floor(unit() * WAYS.length)] ?? 'all';
      const image = disk.cut(way, unit, unit() < 0.5 ? op : undefined);
      const sum = sumOf(image);
      // What may still come true differs between moments; the same bytes need one look a moment.
      const key = `${sum} ${acknowledged} ${damaged}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const known = acks.slice(Math.max(0, acknowledged - 1), acknowledged + 1);
      const open = acknowledged === 0 || damaged;
      made += 1;
      yield {
        ...{ folder: join(folder, `image-${made}`), image, way },
        title: `seed ${seed}, operation ${at} (${op.kind}), ${way}`,
        allowed: new Set(damaged ? [acks[0] ?? '', ...known] : known.length ? known : acks),
        ups: new Set(
          open ? ['created', 'opened', ...(damaged ? ['quarantined'] : [])] : ['opened'],
        ),
      };
    }
    disk.done(op);
    if (isAck(op)) {
      acknowledged += 1;
      damaged = false;
    }
  }
}

/** The whole file is replaced by no program's write: what `damage` puts there. */
function isDamage(ops: readonly DiskOp[], at: number): boolean {
  const [cut, write, sync] = ops.slice(at, at + 3);
  return cut?.kind === 'truncate' && write?.kind === 'write' && sync?.kind === 'sync'
    ? write.bytes.length === 9_000
    : false;
}

function sumOf({ entries }: Image): string {
  const hash = createHash('sha256');
  for (const [path, bytes] of entries)
    hash.update(`\n${path} ${bytes?.length}\n`).update(bytes ?? '');
  return hash.digest('base64').slice(0, 22);
}

async function checker(cases: Generator<Case>, tally: MutableTally): Promise<void> {
  for (;;) {
    const batch: Case[] = [];
    while (batch.length < BATCH) {
      const { value, done } = cases.next();
      if (done) break;
      batch.push(value);
    }
    if (batch.length === 0) return;
    await judge(batch, tally);
    for (const { folder } of batch) rmSync(folder, { recursive: true, force: true });
  }
}

interface MutableTally {
  images: number;
  processes: number;
  readonly ways: Record<Way, number>;
  readonly bad: string[];
}

/** The batch in one process; when it dies, those up to its death again, each in its own. */
async function judge(batch: readonly Case[], tally: MutableTally): Promise<void> {
  const { answers, death } = await opened(batch, tally);
  const [only] = batch;
  if (death !== null && batch.length > 1) {
    const begun = batch.slice(0, answers.size + 1);
    const before = tally.bad.length;
    for (const each of begun) await judge([each], tally);
    const last = begun.at(-1)?.title;
    if (tally.bad.length === before) tally.bad.push(`${last}: died with ${death}, not alone`);
    const rest = batch.slice(begun.length);
    if (rest.length > 0) await judge(rest, tally);
    return;
  }
  if (death !== null) tally.bad.push(`${only?.title}: the process died with ${death}`);
  for (const each of batch) {
    const answer = answers.get(each.folder);
    if (answer) tally.bad.push(...faultsOf(each, answer));
    tally.images += 1;
    tally.ways[each.way] += 1;
  }
}

interface Answer {
  readonly recovered: string;
  readonly sum: string;
  readonly faults: readonly string[];
}

async function opened(batch: readonly Case[], tally: MutableTally) {
  for (const { image, folder } of batch) {
    rmSync(folder, { recursive: true, force: true });
    writeImage(image, folder);
  }
  tally.processes += 1;
  const child = Bun.spawn([process.execPath, CHILD, 'check'], {
    stdin: new Blob([batch.map(({ folder }) => `${folder}\n`).join('')]),
    stdout: 'pipe',
    stderr: 'ignore',
  });
  const text = await new Response(child.stdout).text();
  const code = await child.exited;
  const answers = new Map<string, Answer>();
  for (const line of text.split('\n')) {
    const [, folder = '', json = ''] = /^end (\S+) (.*)$/.exec(line) ?? [];
    if (folder !== '') answers.set(folder, JSON.parse(json) as Answer);
  }
  const whole = code === 0 && answers.size === batch.length;
  return { answers, death: whole ? null : (child.signalCode ?? `code ${code}`) };
}

function faultsOf({ title, allowed, ups }: Case, { recovered, sum, faults }: Answer) {
  const found = [...faults];
  if (!ups.has(recovered)) found.push(`it was ${recovered}`);
  // Nothing was acknowledged: what was made afresh is as empty as at the first start.
  else if (!allowed.has(sum)) found.push(`${recovered}, it holds what no commit was`);
  return found.length === 0 ? [] : [`${title}: ${found.join('; ')}`];
}

export function summary(tally: Tally): readonly string[] {
  const { images, operations, commits, processes, ways, bad } = tally;
  const by = WAYS.map((way) => `${way} ${ways[way]}`).join(', ');
  return [
    `${operations} operations of ${commits} commits; opened in ${processes} processes; ${by}`,
    `store images: ${images} images, ${bad.length} bad`,
  ];
}

if (import.meta.main) {
  const [images = '2000', seed = '1'] = process.argv.slice(2);
  const tally = await storeImages({
    ...{ images: Number(images), seed: Number(seed) },
    say: (line) => console.log(line),
    stopped: stopOnSignal(),
  });
  for (const line of summary(tally)) console.log(line);
  process.exit(tally.bad.length === 0 ? 0 : 1);
}
