/**
 * `npm run soak -- --minutes N [--seed S] [--out FILE.svg]`: a long life in little time
 * (test/real/soak-run.ts): changes, nudges, polls, refused states, cut connections, broker restarts.
 * Draws memory, handles, threads and disk with their slopes; the last line tells whether any grows.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { longRun } from './long-run.ts';
import { chartOf } from './soak/chart.ts';
import { type Sample, type Slope, slopesOf } from './soak/slopes.ts';

interface Ran {
  readonly samples: readonly Sample[];
  readonly counts: Readonly<Record<string, number>>;
  readonly reconnects: number;
  readonly seed: number;
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
    /** samples of an earlier run, drawn anew */
    from: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0) || !Number.isInteger(Number(values.seed))) {
  console.log('usage: npm run soak -- --minutes N [--seed S] [--out FILE.svg]');
  process.exit(2);
}
const ran = values.from ? read(values.from) : await soak();
if (ran === null) process.exit(1);
const slopes = slopesOf(ran.samples);
const done = Object.entries(ran.counts).map(([deed, count]) => `${count} ${deed}`);
const title = `${minutesOf(ran.samples)} min: ${done.slice(0, 4).join(', ')}`;
if (values.out) writeFileSync(values.out, chartOf(ran.samples, slopes, title));
const told = slopes.map(slopeText).join(', ');
const grows = slopes.some((slope) => slope.grows);
console.log(
  `soak: ${done.join(', ')}, ${ran.reconnects} reconnects; slopes an hour: ${told}; ${grows ? 'grows' : 'ok'}`,
);
process.exit(grows ? 1 : 0);

async function soak(): Promise<Ran | null> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-soak-'));
  const file = join(folder, 'samples.json');
  const code = await longRun('./test/real/soak.test.ts', {
    HOLDFAST_SOAK_SECONDS: String(Math.round(minutes * 60)),
    HOLDFAST_SOAK_SEED: values.seed,
    HOLDFAST_SOAK_SAMPLES: file,
  });
  const result = existsSync(file) ? read(file) : null;
  rmSync(folder, { recursive: true, force: true });
  if (code !== 0) console.log('the run itself failed: see above');
  return code === 0 ? result : null;
}

function read(file: string): Ran {
  return JSON.parse(readFileSync(file, 'utf8')) as Ran;
}

function minutesOf(samples: readonly Sample[]): number {
  return Math.round((samples.at(-1)?.at ?? 0) / 60);
}

function slopeText({ series, perHour }: Slope): string {
  const kib = series.endsWith('Kib');
  const name = kib ? series.slice(0, -3) : series;
  const number = kib ? `${(perHour / 1024).toFixed(2)} MiB` : perHour.toFixed(2);
  return `${name} ${number}`;
}
