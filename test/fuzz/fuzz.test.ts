/**
 * Every parser of bytes from outside, fuzzed: it answers with a result, soon, in bounded memory, and
 * what has a writer comes back. Less than a second each here; `npm run fuzz -- --seconds S` for longer. Failures
 * name seed and input.
 */
import { afterAll, describe, expect, test } from 'bun:test';
import { ARCHIVES } from './archives.ts';
import { CONTAINERS } from './containers.ts';
import { fuzz } from './engine.ts';
import { ENROLMENT } from './enrolment.ts';
import { KEYS } from './keys.ts';
import { MARGO } from './margo.ts';
import { MARGO_OLDER } from './margo-older.ts';
import { MESSAGES } from './messages.ts';
import { ROWS } from './rows.ts';
import { TEXTS } from './texts.ts';
import { VALUES } from './values.ts';
import { WEB_SOCKETS } from './websocket.ts';

const only = process.env.HOLDFAST_FUZZ_ONLY ?? '';
const TARGETS = [
  ...MESSAGES,
  ...ROWS,
  ...ARCHIVES,
  ...TEXTS,
  ...WEB_SOCKETS,
  ...KEYS,
  ...ENROLMENT,
  ...VALUES,
  ...CONTAINERS,
  ...MARGO,
  ...MARGO_OLDER,
].filter(({ name }) => name.includes(only));
const total = process.env.HOLDFAST_FUZZ_TOTAL_SECONDS;
/** for each target */
const SECONDS = total === undefined ? 0.4 : Number(total) / TARGETS.length;
const SEED = Number(process.env.HOLDFAST_FUZZ_SEED ?? 1);
const SLACK_MS = 60_000;

let sum = 0;

describe('a parser of bytes from outside keeps its promises', () => {
  for (const target of TARGETS) {
    test(
      target.name,
      async () => {
        const run = await fuzz(target, SECONDS * 1000, SEED);
        sum += run.executions;
        const { executions, accepted, answers, seconds, slowestMs } = run;
        console.log(
          `fuzz: ${target.name}: ${executions} executions in ${seconds.toFixed(1)} s, ${accepted} accepted, ` +
            `${answers} answers, slowest ${slowestMs.toFixed(0)} ms`,
        );
        expect(executions).toBeGreaterThan(target.seeds.length);
        // Mutations that are all refused, or all taken, test little.
        expect([accepted > 0 || answers > 1, executions - accepted > 0]).toEqual([true, true]);
      },
      SECONDS * 1000 + SLACK_MS,
    );
  }
});

afterAll(() => {
  console.log(`fuzz: ${sum} executions of ${TARGETS.length} targets, seed ${SEED}`);
});
