/**
 * What many samples of a long run say: the straight line through each series by least squares, after
 * a warm-up, and whether anything grows. Pure.
 */

export interface Sample {
  /** s since the start */
  readonly at: number;
  readonly privateKib: number;
  readonly rssKib: number;
  readonly handles: number;
  readonly threads: number;
  readonly storeKib: number;
}

export type Series = Exclude<keyof Sample, 'at'>;

export interface Slope {
  readonly series: Series;
  /** per hour, in the unit of the series */
  readonly perHour: number;
  /** of the line, at the first and the last sample after the warm-up */
  readonly from: number;
  readonly to: number;
  readonly grows: boolean;
}

/** share of the run that is left out: caches fill, pools reach their size */
export const WARM_UP = 0.25;

/**
 * How much a line may rise over the run before it is called growth: less than the noise of one
 * garbage collection, one connection under way. The store has bounds of its own (state/limits.ts)
 * and fills up to them.
 */
const RISE_MAX: Readonly<Record<Series, number>> = {
  privateKib: 4 * 1024,
  rssKib: 8 * 1024,
  handles: 2,
  threads: 2,
  storeKib: 4 * 1024,
};

export function slopesOf(samples: readonly Sample[]): readonly Slope[] {
  const series: readonly Series[] = ['privateKib', 'rssKib', 'handles', 'threads', 'storeKib'];
  const warm = samples.slice(Math.floor(samples.length * WARM_UP));
  return series.map((name) => slopeOf(warm, name));
}

function slopeOf(samples: readonly Sample[], series: Series): Slope {
  const line = leastSquares(samples.map((sample) => [sample.at, sample[series]]));
  const from = line.at(samples[0]?.at ?? 0);
  const to = line.at(samples.at(-1)?.at ?? 0);
  return { series, perHour: line.slope * 3_600, from, to, grows: to - from > RISE_MAX[series] };
}

/** @see any text on linear regression: slope = covariance / variance */
export function leastSquares(points: readonly (readonly [x: number, y: number])[]): {
  readonly slope: number;
  at(x: number): number;
} {
  const count = Math.max(1, points.length);
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count;
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = variance === 0 ? 0 : covariance / variance;
  return { slope, at: (x) => meanY + slope * (x - meanX) };
}
