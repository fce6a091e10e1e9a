/** Durations and sizes as people write them: "30s", "1m30s", "64Mi". Integers only, no sign, no space. */

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
]);
const DURATION =
  /^(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?(?:([0-9]{1,9})ms)?$/;

/** ms, or null for anything else. */
export function parseDuration(text: string): number | null {
  const match = text === '' ? null : DURATION.exec(text);
  if (match === null) return null;
  const factors = [...UNIT_MS.values()];
  return match.slice(1).reduce((sum, digits, index) => {
    return sum + Number(digits ?? 0) * (factors[index] ?? 0);
  }, 0);
}

/** The shortest spelling that `parseDuration` reads as the same. */
export function durationText(ms: number): string {
  let rest = ms;
  let text = '';
  for (const [unit, factor] of UNIT_MS) {
    const count = Math.floor(rest / factor);
    rest -= count * factor;
    if (count > 0) text += `${count}${unit}`;
  }
  return text === '' ? '0s' : text;
}

const UNIT_BYTES: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['Ki', 2 ** 10],
  ['Mi', 2 ** 20],
  ['Gi', 2 ** 30],
  ['Ti', 2 ** 40],
  ['k', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
]);

/** bytes, or null for anything else; units as in Kubernetes. */
export function parseSize(text: string): number | null {
  const match = /^([0-9]{1,15})([A-Za-z]{0,2})$/.exec(text);
  const factor = UNIT_BYTES.get(match?.[2] ?? '?');
  if (match?.[1] === undefined || factor === undefined) return null;
  const bytes = Number(match[1]) * factor;
  return Number.isSafeInteger(bytes) ? bytes : null;
}
