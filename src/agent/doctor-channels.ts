/**
 * What `holdfast doctor` says of the channels that agent.yaml names: what the root knows of them, and
 * where the bounds of two overlap. Two channels may share a root (the one that comes second to a target
 * is refused, `plan.conflict`), but whoever signs either can then keep the other from a path.
 */
import type { Files } from '#platform/files.ts';
import { channelOf, type Root } from '#state/root.ts';
import type { AgentConfig } from './config.ts';
import type { ChannelSettings } from './config-channels.ts';
import { type Finding, weak } from './finding.ts';
import { MARGO_CHANNEL } from './margo-state.ts';

/** Channels that the root does not name: nothing of theirs is ever accepted. */
export function unknownChannels(
  root: Root,
  { channels }: Pick<AgentConfig, 'channels'>,
): readonly Finding[] {
  return channels
    .filter(({ name }) => name !== MARGO_CHANNEL && !channelOf(root, name))
    .map(({ name }) => {
      const named = root.channels.map((channel) => channel.name).join(', ');
      return {
        about: 'trust',
        severity: 'error',
        code: '',
        message: `the root names no channel "${name}" (it has: ${named})`,
        remedy: 'Correct channels[].name in agent.yaml, or add the channel to the root.',
      };
    });
}

/** Links followed: two names of one directory overlap as well. */
export function overlappingChannels(
  files: Pick<Files, 'realPath'>,
  { channels }: Pick<AgentConfig, 'channels'>,
): readonly Finding[] {
  const bounds = channels.map((channel) => ({ channel, roots: rootsOf(files, channel) }));
  return bounds.flatMap((one, index) =>
    bounds.slice(index + 1).flatMap((other) => {
      const shared = one.roots.flatMap((root) =>
        other.roots.flatMap((second) => inner(root, second)),
      );
      const [first] = shared;
      if (first === undefined) return [];
      return [
        weak(
          'channels',
          `${one.channel.name} and ${other.channel.name} may both write below ${first}`,
          'Give each channel target roots of its own (channels[].allow.roots in agent.yaml).',
        ),
      ];
    }),
  );
}

function rootsOf(files: Pick<Files, 'realPath'>, { allow }: ChannelSettings): readonly string[] {
  return allow.roots.map((root) => {
    const real = files.realPath(root);
    return real.ok ? real.value : root;
  });
}

/** The deeper one, where one lies in the other. */
function inner(one: string, other: string): readonly string[] {
  if (one === other || one.startsWith(below(other))) return [one];
  return other.startsWith(below(one)) ? [other] : [];
}

function below(directory: string): string {
  return directory.endsWith('/') ? directory : `${directory}/`;
}
