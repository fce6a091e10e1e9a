/** What `get` and `describe` can show, under the names that hands type: kubectl's short forms too. */
import { InvalidArgumentError } from 'commander';
import type { StatusView } from '#control/api.ts';

const NOUNS = {
  device: ['device', 'devices', 'dev'],
  channel: ['channel', 'channels', 'ch'],
  deployment: ['deployment', 'deployments', 'deploy'],
  event: ['event', 'events', 'ev'],
  history: ['history', 'hist'],
} as const;

export type Noun = keyof typeof NOUNS;

export const NOUN_NAMES: readonly string[] = Object.keys(NOUNS);

/** A noun, and what `noun/name` names. */
export interface Named {
  readonly noun: Noun;
  readonly name: string | null;
}

export function nounOf(text: string): Named {
  const slash = text.indexOf('/');
  const word = slash < 0 ? text : text.slice(0, slash);
  const found = Object.entries(NOUNS).find(([, words]) => words.some((one) => one === word));
  if (!found) throw new InvalidArgumentError(`one of ${NOUN_NAMES.join(', ')}`);
  return { noun: found[0] as Noun, name: slash < 0 ? null : text.slice(slash + 1) };
}

/** One deployment with the channel that brought it. */
export type DeploymentRow = StatusView['channels'][number]['deployments'][number] & {
  readonly channel: string;
};

export function deploymentsOf({ channels }: StatusView): readonly DeploymentRow[] {
  return channels.flatMap(({ channel, deployments }) =>
    deployments.map((deployment) => ({ ...deployment, channel })),
  );
}

/** `site=a,line!=3`: all of them have to hold; null: it cannot be read. */
export function parseSelector(text: string): Selector {
  return text.split(',').map((term) => {
    const match = /^([^!=,\s]{1,128})(!?=)=?([^!=,]{0,128})$/.exec(term);
    if (!match) throw new InvalidArgumentError('key=value, key!=value, with commas between');
    return { key: match[1] ?? '', value: match[3] ?? '', not: match[2] === '!=' };
  });
}

export type Selector = readonly {
  readonly key: string;
  readonly value: string;
  readonly not: boolean;
}[];

export function selects(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  return selector.every(({ key, value, not }) => (labels[key] === value) !== not);
}
