/** `holdfast doctor`: whether the mirrors of one channel show the same head. Pure. */
import type { Digest } from '#state/digest.ts';
import { type Finding, note } from './finding.ts';

export interface Shown {
  /** host and repository */
  readonly registry: string;
  readonly head: Digest;
}

/** Without a look at the signed statements nobody can say which of them is behind: the agent does. */
export function differing(heads: readonly Shown[]): readonly Finding[] {
  const [first, ...others] = heads;
  return others
    .filter(({ head }) => head !== first?.head)
    .map(({ registry, head }) => {
      const message = `${registry} shows ${head}, ${first?.registry} another head: one of them lags, or was pushed to by itself`;
      return note('registry', `${message}; \`holdfast explain\` says how far`);
    });
}
