/**
 * Runs a target on mutations of its seeds. What a target answers steers: an input with an answer that
 * was not there before joins the corpus of the run, so that later inputs go on from it. Coverage of
 * branches would steer better; the one fuzzer of JavaScript that has it needs GLIBC 2.38 and Node,
 * and this program runs on neither.
 *
 * A finding is an exception, an answer that breaks a target's promise, one input that takes longer
 * than SLOW_MS of the processor three times, or a heap that grows. It is shrunk, and told with seed and input.
 */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '../support/seeded-random.ts';
import { mutator, type Shape } from './mutate.ts';

export interface Target {
  readonly name: string;
  readonly shape: Shape;
  readonly seeds: readonly Uint8Array[];
  /** of its own dictionary */
  readonly words?: readonly string[];
  /** bytes of one input, where less than usual is enough */
  readonly sizeMax?: number;
  /** `ok`, or what it was refused for; throws when a promise is broken */
  run(input: Uint8Array): string | Promise<string>;
}

export interface FuzzRun {
  readonly executions: number;
  readonly accepted: number;
  /** different answers */
  readonly answers: number;
  readonly seconds: number;
  readonly slowestMs: number;
}

const SLOW_MS = 500;
const CORPUS_MAX = 512;
const GROWTH_MAX = 64 * 1024 * 1024;
const SHRINKS_MAX = 400;
const SHOWN_MAX = 600;
/** executions between two looks at the clock */
const BATCH = 16;

export async function fuzz(target: Target, ms: number, seed: number): Promise<FuzzRun> {
  const random = seededRandom(seed);
  const mutate = mutator(random, target);
  const corpus = [...target.seeds];
  const answers = new Set<string>();
  const any = () => corpus[Math.floor(random.unit() * corpus.length)] ?? new Uint8Array();
  let [executions, accepted, slowestMs] = [0, 0, 0];
  const execute = async (input: Uint8Array): Promise<void> => {
    const { answer, tookMs } = await judge(target, input, seed);
    executions += 1;
    slowestMs = Math.max(slowestMs, tookMs);
    if (answer === 'ok') accepted += 1;
    if (answers.has(answer)) return;
    answers.add(answer);
    if (corpus.length < CORPUS_MAX) corpus.push(input);
  };
  for (const input of target.seeds) await execute(input);
  const heap = heapBytes();
  const started = performance.now();
  while (performance.now() - started < ms) {
    for (let left = BATCH; left > 0; left -= 1) await execute(mutate(any(), any()));
  }
  const seconds = (performance.now() - started) / 1000;
  const growth = heapBytes() - heap;
  if (growth > GROWTH_MAX) throw new Error(`${target.name}: the heap grew by ${growth} bytes`);
  return { executions, accepted, answers: answers.size, seconds, slowestMs };
}

function heapBytes(): number {
  Bun.gc(true);
  return process.memoryUsage().heapUsed;
}

async function judge(target: Target, input: Uint8Array, seed: number) {
  const since = process.cpuUsage();
  let answer = '';
  try {
    answer = await target.run(input);
  } catch (error) {
    const bytes = await shrink(target, input, String(error));
    throw new Error(`${target.name}, seed ${seed}: ${error}\n${kept(target, bytes)}`);
  }
  let tookMs = cpuMs(since);
  // The collector or the compiler may have run meanwhile: only what is slow each time is slow.
  for (let again = 0; again < 2 && tookMs > SLOW_MS; again += 1) {
    const started = process.cpuUsage();
    await target.run(input);
    tookMs = Math.min(tookMs, cpuMs(started));
  }
  if (tookMs <= SLOW_MS) return { answer, tookMs };
  throw new Error(`${target.name}, seed ${seed}: took ${tookMs} ms\n${kept(target, input)}`);
}

/** of this process: what others do on the machine does not count */
function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

/** A finding as a file, for the one who repeats it. */
function kept(target: Target, input: Uint8Array): string {
  const file = join(tmpdir(), `holdfast-fuzz-${target.name.replace(/\W+/g, '-')}.bin`);
  writeFileSync(file, input);
  const shown = Buffer.from(input.subarray(0, SHOWN_MAX)).toString('base64');
  return `${input.length} bytes in ${file}, they start with (base64) ${shown}`;
}

/** The same exception from fewer bytes. */
async function shrink(target: Target, input: Uint8Array, text: string) {
  let bytes = input;
  let tries = 0;
  for (let size = input.length >> 1; size > 0 && tries < SHRINKS_MAX; size >>= 1) {
    for (let at = 0; at < bytes.length && tries < SHRINKS_MAX; tries += 1) {
      const shorter = new Uint8Array([...bytes.subarray(0, at), ...bytes.subarray(at + size)]);
      if ((await endOf(target, shorter)) === text) bytes = shorter;
      else at += size;
    }
  }
  return bytes;
}

async function endOf(target: Target, input: Uint8Array): Promise<string> {
  try {
    return await target.run(input);
  } catch (error) {
    return String(error);
  }
}
