/** The samples of a long run as SVG: a panel for each series, its line of best fit drawn over it. Pure. */
import { type Sample, type Series, type Slope, WARM_UP } from './slopes.ts';

const WIDTH = 760;
const PANEL = 132;
const LEFT = 70;
const RIGHT = 20;
const TOP = 44;
const PLOT = 84;
const KIB_PER_MIB = 1024;

const NAMES: Readonly<Record<Series, readonly [title: string, unit: string, divisor: number]>> = {
  privateKib: ['private memory', 'MiB', KIB_PER_MIB],
  rssKib: ['resident memory', 'MiB', KIB_PER_MIB],
  handles: ['open handles', '', 1],
  threads: ['threads', '', 1],
  storeKib: ['state directory', 'MiB', KIB_PER_MIB],
};

export function chartOf(
  samples: readonly Sample[],
  slopes: readonly Slope[],
  title: string,
): string {
  const height = TOP + slopes.length * PANEL + 24;
  const span = Math.max(1, samples.at(-1)?.at ?? 1);
  const panels = slopes.map((slope, index) =>
    panelOf(samples, slope, { span, top: TOP + index * PANEL }),
  );
  const minutes = ticks(0, span / 60, 6).map((minute) => {
    const x = xAt(minute * 60, span);
    return text(x, height - 8, `${round(minute)} min`, 'middle');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="${LEFT}" y="20" font-size="14">${escaped(title)}</text>`,
    ...panels,
    ...minutes,
    '</svg>',
    '',
  ].join('\n');
}

interface Place {
  /** s on the axis */
  readonly span: number;
  readonly top: number;
}

function panelOf(samples: readonly Sample[], slope: Slope, { span, top }: Place): string {
  const { series } = slope;
  const [name, unit, divisor] = NAMES[series];
  const values = samples.map((sample) => sample[series] / divisor);
  const most = Math.max(1, ...values) * 1.15;
  const y = (value: number) => round(top + PLOT - (value / most) * PLOT);
  const points = samples.map(({ at }, index) => `${xAt(at, span)},${y(values[index] ?? 0)}`);
  const from = xAt(span * WARM_UP, span);
  const sign = slope.perHour < 0 ? '−' : '+';
  const rate = `${sign}${round(Math.abs(slope.perHour) / divisor, 2)} ${unit} an hour`;
  const grid = ticks(0, most, 3).map(
    (value) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>` +
      text(LEFT - 6, y(value) + 4, `${round(value)}`, 'end'),
  );
  return [
    ...grid,
    text(LEFT, top - 6, `${name}${unit ? `, ${unit}` : ''}`, 'start'),
    text(WIDTH - RIGHT, top - 6, rate, { fill: slope.grows ? '#b00' : '#060' }),
    `<polyline fill="none" stroke="#27a" stroke-width="1" points="${points.join(' ')}"/>`,
    `<line x1="${from}" x2="${xAt(span, span)}" y1="${y(slope.from / divisor)}" y2="${y(slope.to / divisor)}" stroke="${slope.grows ? '#b00' : '#060'}" stroke-width="1.5" stroke-dasharray="6 3"/>`,
  ].join('\n');
}

function xAt(seconds: number, span: number): number {
  return round(LEFT + (seconds / span) * (WIDTH - LEFT - RIGHT));
}

/** About `count` round numbers from `low` to `high`. */
function ticks(low: number, high: number, count: number): readonly number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? rough;
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, index) => low + index * step);
}

type Look = 'start' | 'middle' | 'end' | { readonly fill: string };

/** A colour goes with words at the right end. */
function text(x: number, y: number, words: string, look: Look): string {
  const [anchor, fill] = typeof look === 'string' ? [look, '#333'] : ['end', look.fill];
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${fill}">${escaped(words)}</text>`;
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
