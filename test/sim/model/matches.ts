/** Whether what is seen is a wanted state, whole and nothing beside it. */
import type { Seen } from './seen.ts';
import type { Wanted } from './wanted.ts';

const HELPER = ' helper';

/** Null: it is. Else the first difference, for people. */
export function disagreement(seen: Seen, wanted: Wanted): string | null {
  for (const [path, content] of Object.entries(wanted.files)) {
    const found = seen.files.get(path);
    if (found === undefined) return `${path} is missing`;
    if (found !== content) {
      return `${path} holds ${JSON.stringify(found.slice(0, 24))} (${found.length} bytes)`;
    }
  }
  for (const path of seen.files.keys()) {
    if (!(path in wanted.files)) return `${path} is left over`;
  }
  return programsDiffer(seen, wanted);
}

function programsDiffer({ programs }: Seen, wanted: Wanted): string | null {
  const counts = new Map<string, number>();
  for (const { version } of programs) counts.set(version, (counts.get(version) ?? 0) + 1);
  for (const [version, count] of counts) {
    const owner = version.endsWith(HELPER) ? version.slice(0, -HELPER.length) : version;
    const named = wanted.programs.find((each) => each === owner || each === `~${owner}`);
    if (named === undefined) return `${version} runs and should not`;
    if (count > 1) return `${version} runs ${count} times`;
  }
  for (const version of wanted.programs) {
    // `~`: it ends by itself now and then, and is started again.
    if (!version.startsWith('~') && !counts.has(version)) return `${version} does not run`;
  }
  return null;
}
