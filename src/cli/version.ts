/** What this program is. `scripts/build.ts` puts the record in place of HOLDFAST_BUILD. */
import type { Version } from './context.ts';

declare const HOLDFAST_BUILD: Version | undefined;

/** Run from source: a day in the past of every version, so that check 0 has a floor there too. */
const FROM_SOURCE: Version = {
  version: '0.1.0',
  commit: 'unknown',
  target: 'source',
  bun: 'unknown',
  lmdb: 'unknown',
  buildTime: 1_795_392_000_000, // 2026-11-23T00:00:00Z
};

export function buildVersion(): Version {
  return typeof HOLDFAST_BUILD === 'undefined' ? FROM_SOURCE : HOLDFAST_BUILD;
}

/** As `holdfast --version` prints it. */
export function versionLine(version: Version): string {
  const { commit, target, bun, lmdb } = version;
  return `holdfast ${version.version} (commit ${commit}, ${target}, bun ${bun}, lmdb ${lmdb})`;
}
