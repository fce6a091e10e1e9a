/**
 * SemVer precedence, for `min_agent_version` (check 15). One pass and a length cap, no nested
 * repetition: a hostile version costs nothing (ATTACKS P11).
 *
 * @see https://semver.org/spec/v2.0.0.html section 11
 */

const TEXT_MAX = 128;
const FORM =
  /^(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/;

export interface Version {
  readonly numbers: readonly bigint[];
  /** empty: a release */
  readonly prerelease: readonly string[];
}

/** Null for anything that is no SemVer 2.0.0 version. */
export function parseVersion(text: string): Version | null {
  const match = text.length <= TEXT_MAX ? FORM.exec(text) : null;
  if (!match) return null;
  const prerelease = match[4]?.split('.') ?? [];
  if (prerelease.some((part) => part === '' || /^0\d+$/.test(part))) return null;
  return { numbers: match.slice(1, 4).map((digits) => BigInt(digits)), prerelease };
}

/** Negative, zero or positive; build metadata is not compared. */
export function compareVersions(a: Version, b: Version): number {
  for (const [index, left] of a.numbers.entries()) {
    const right = b.numbers[index] ?? 0n;
    if (left !== right) return left < right ? -1 : 1;
  }
  if (a.prerelease.length === 0 || b.prerelease.length === 0) {
    return Math.sign(b.prerelease.length - a.prerelease.length); // a release is the newer
  }
  for (const [index, left] of a.prerelease.entries()) {
    const right = b.prerelease[index];
    if (right === undefined) return 1;
    const order = comparePart(left, right);
    if (order !== 0) return order;
  }
  return a.prerelease.length === b.prerelease.length ? 0 : -1;
}

/** Numbers by value and below words; words by their bytes. */
function comparePart(a: string, b: string): number {
  const numeric = [a, b].map((part) => /^\d+$/.test(part));
  if (numeric[0] && numeric[1]) return a.length === b.length ? order(a, b) : a.length - b.length;
  if (numeric[0] !== numeric[1]) return numeric[0] ? -1 : 1;
  return order(a, b);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
