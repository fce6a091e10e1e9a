/**
 * `npm run faults [-- --only TEXT]`: faults as operators meet them, planted one after the other into
 * real parts (Mosquitto, docker-registry, small file systems) under the compiled agent. Each line says
 * what `explain` and `doctor` tell, and whether both name the cause and the cure. The last line is the
 * sum; the exit code is 1 when one is not named.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.ts';
import { hostTarget, ROOT } from './targets.ts';
import { provide } from './test-parts.ts';

interface Fault {
  readonly name: string;
  readonly lacking?: string | null;
}

interface Judged {
  readonly name: string;
  readonly explain: string;
  readonly doctor: string;
  readonly cause: boolean;
  readonly cure: boolean;
  readonly said: string;
}

interface Judging {
  judge(open: Open, fault: Fault): Promise<Judged>;
}

interface Open {
  remove(): Promise<void>;
}

interface Parts {
  remove(): Promise<void>;
}

const COLUMN = 62;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  await provide();
  await build(hostTarget());
  const support = (name: string) => import(join(ROOT, 'test/support', name));
  const { ALL_FAULTS } = (await support('faults/all.ts')) as { ALL_FAULTS: readonly Fault[] };
  const { judge } = (await support('faults/judge.ts')) as Judging;
  const { startParts } = (await support('plant.ts')) as { startParts(): Promise<Parts> };
  const { openWorld } = (await support('faults/world.ts')) as {
    openWorld(parts: Parts): Promise<Open>;
  };
  const chosen = ALL_FAULTS.filter(({ name }) => name.includes(values.only ?? ''));
  const parts = await startParts();
  const open = await openWorld(parts);
  console.log(row('fault', 'explain says', 'doctor says', ['cause', 'cure']));
  let named = 0;
  let judged = 0;
  for (const fault of chosen) {
    if (fault.lacking) {
      console.log(row(fault.name, `not planted: ${fault.lacking}`, '', ['–', '–']));
      continue;
    }
    judged += 1;
    const { name, explain, doctor, cause, cure, said } = await attempt(judge, open, fault);
    if (cause && cure) named += 1;
    console.log(row(name, explain, doctor, [cause ? 'yes' : 'no', cure ? 'yes' : 'no']));
    if (!(cause && cure)) console.error(said);
  }
  await open.remove();
  await parts.remove();
  console.log(`faults: ${named} named of ${judged}`);
  return named === judged && judged > 0 ? 0 : 1;
}

/** A fault that cannot be planted is not named, and does not end the others. */
async function attempt(judge: Judging['judge'], open: Open, fault: Fault): Promise<Judged> {
  try {
    return await judge(open, fault);
  } catch (error) {
    const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const nothing = { explain: 'could not be planted', doctor: '', cause: false, cure: false };
    return { name: fault.name, ...nothing, said };
  }
}

function row(name: string, explain: string, doctor: string, marks: readonly string[]): string {
  const texts = [explain, doctor].map((text) => cut(text).padEnd(COLUMN));
  const columns = [name.padEnd(36), ...texts, ...marks.map((mark) => mark.padEnd(5))];
  return columns.join(' ').trimEnd();
}

function cut(text: string): string {
  return text.length <= COLUMN ? text : `${text.slice(0, COLUMN - 1)}…`;
}

process.exit(await main());
