/**
 * `npm run wear -- [--minutes N]`: what the agent makes a flash disk write, by what happens
 * (test/real/wear-run.ts), as counted by the kernel, and what that makes of an idle day. N minutes
 * without an event are measured; a day adds its polls and the one commit of the time floor, which are
 * measured by themselves. Needs root and a loop device.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { longRun } from './long-run.ts';

interface Wear {
  readonly what: string;
  readonly times: number;
  readonly commits: number;
  readonly processBytes: number;
  readonly deviceBytes: number;
  readonly deviceWrites: number;
}

/** agent.yaml's default interval of 5 minutes */
const POLLS_A_DAY = 288;
const SECONDS_A_DAY = 86_400;
const KIB = 1024;

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '5' } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.log('usage: npm run wear -- [--minutes N]');
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), 'holdfast-wear-'));
const file = join(folder, 'table.json');
const env = {
  HOLDFAST_WEAR_IDLE_SECONDS: String(Math.round(minutes * 60)),
  HOLDFAST_WEAR_TABLE: file,
};
const code = await longRun('./test/real/wear.test.ts', env, ['--timeout=120000']);
const table = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as readonly Wear[]) : [];
rmSync(folder, { recursive: true, force: true });
console.log(
  `${'each'.padEnd(26)} ${'commits'.padStart(8)} ${'process KiB'.padStart(12)} ${'device KiB'.padStart(11)} ${'writes'.padStart(7)}`,
);
for (const wear of table) console.log(rowOf(wear));
console.log(dayOf(table));
process.exit(code === 0 && table.length > 0 ? 0 : 1);

function rowOf({ what, times, ...all }: Wear): string {
  const each = (count: number, digits: number, width: number) =>
    (count / times).toFixed(digits).padStart(width);
  const bytes = `${each(all.processBytes / KIB, 2, 12)} ${each(all.deviceBytes / KIB, 2, 11)}`;
  return `${what.padEnd(26)} ${each(all.commits, 2, 8)} ${bytes} ${each(all.deviceWrites, 1, 7)}`;
}

/** The time floor's commit is taken as one of an apply: rows and pages of the same kind. */
function dayOf(table: readonly Wear[]): string {
  const of = (word: string) => table.find(({ what }) => what.startsWith(word));
  const [idle, poll, apply] = [of('idle'), of('poll'), of('apply')];
  if (!idle || !poll || !apply) return 'wear: not everything was measured';
  const commit = apply.commits === 0 ? 0 : apply.deviceBytes / apply.commits;
  const commits =
    (idle.commits / idle.times) * SECONDS_A_DAY + (poll.commits / poll.times) * POLLS_A_DAY + 1;
  const process =
    (idle.processBytes / idle.times) * SECONDS_A_DAY +
    (poll.processBytes / poll.times) * POLLS_A_DAY;
  const said = `${commits.toFixed(0)} commit, ${(commit / KIB).toFixed(0)} KiB on the device`;
  const rest = `${(process / KIB).toFixed(0)} KiB beside it by the process's own count`;
  return `wear: an idle day (${POLLS_A_DAY} polls, 1 commit of the time floor): ${said}, ${rest}`;
}
