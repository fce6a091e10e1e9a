/** `holdfast doctor`: whether the mirrors of each channel show the same head. Pure. */
import type { Digest } from '#state/digest.ts';
import { type Finding, note } from './finding.ts';

export interface Shown {
  /** host and repository */
  readonly registry: string;
  readonly channel: string;
  readonly head: Digest;
}

/** Without a look at the signed statements nobody can say which of them is behind: the agent does. */
export function differing(heads: readonly Shown[]): readonly Finding[] {
  const first = new Map<string, Shown>();
  for (const shown of heads) if (!first.has(shown.channel)) first.set(shown.channel, shown);
  return heads
    .filter(({ channel, head }) => head !== first.get(channel)?.head)
    .map(({ registry, channel, head }) => {
      const other = first.get(channel)?.registry;
      const message = `${channel}: ${registry} shows ${head}, ${other} another head: one of them lags, or was pushed to by itself`;
      return note('registry', `${message}; \`holdfast explain\` says how far`);
    });
}
