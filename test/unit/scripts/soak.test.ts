/** Slopes of a long run: what grows is called so, what only shakes is not; the picture shows each. */
import { describe, expect, test } from 'bun:test';
import { chartOf } from '../../../scripts/soak/chart.ts';
import { leastSquares, type Sample, slopesOf } from '../../../scripts/soak/slopes.ts';
import { seededRandom } from '../../support/seeded-random.ts';

const { unit } = seededRandom(7);

/** One sample a second for 20 minutes; `more` is added a second. */
function run(more: Partial<Record<keyof Sample, number>>): readonly Sample[] {
  return Array.from({ length: 1_200 }, (_, at) => ({
    at,
    privateKib: 30_000 + unit() * 8_000 + at * (more.privateKib ?? 0),
    rssKib: 80_000 + unit() * 8_000,
    handles: Math.round(23 + unit() * 2 + at * (more.handles ?? 0)),
    threads: 7 + (unit() < 0.1 ? 1 : 0),
    storeKib: 400,
  }));
}

const growing = (samples: readonly Sample[]) =>
  slopesOf(samples)
    .filter(({ grows }) => grows)
    .map(({ series }) => series);

describe('the verdict', () => {
  test('noise around a level does not grow', () => expect(growing(run({}))).toEqual([]));
  test('one handle in two minutes does', () =>
    expect(growing(run({ handles: 1 / 120 }))).toEqual(['handles']));
  test('20 MiB of private memory an hour do', () =>
    expect(growing(run({ privateKib: (20 * 1024) / 3_600 }))).toEqual(['privateKib']));
});

test('the slope of a straight line is its own', () => {
  const line = leastSquares([1, 2, 3, 10].map((x) => [x, 3 * x - 4]));
  expect(line.slope).toBeCloseTo(3);
  expect(line.at(100)).toBeCloseTo(296);
});

test('each series has its panel and its line, and names are no markup', () => {
  const samples = run({});
  const svg = chartOf(samples, slopesOf(samples), 'a < b & c');
  expect(svg.match(/<polyline/g)).toHaveLength(5);
  expect(svg.match(/stroke-dasharray/g)).toHaveLength(5);
  expect(svg).toContain('a &lt; b &amp; c');
  expect(svg).not.toContain('NaN');
});
