/** `holdfast pause`, `resume`, `stop`: what an operator decides on the device. */
import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import {
  type ChannelOptions,
  channelAsked,
  type LocalOptions,
  local,
  ofChannel,
  show,
} from './local.ts';

export function registerOperator(program: Command, context: CliContext): void {
  pauseCommand(
    local(program, 'pause', 'no change and no repair until `holdfast resume`; what runs, runs on'),
    context,
  );
  resumeCommand(
    local(program, 'resume', 'ends a pause, a rollback hold, safe mode; repairs again'),
    context,
  );
  local(program, 'stop', 'stops the programs in reverse order, then the agent').action(
    async (options: LocalOptions) => {
      await show(context, options, 'stop', { text: () => 'stopped\n', name: () => 'stopped\n' });
    },
  );
}

/** `rollout pause` is the same command under another one. */
export function pauseCommand(command: Command, context: CliContext): void {
  ofChannel(command, 'this one alone; without it the whole device')
    .option('--reason <text>', 'shown in status', '')
    .action(async (options: ChannelOptions & { readonly reason: string }) => {
      const asked = { body: { reason: options.reason, ...channelAsked(options) } };
      await show(context, options, 'pause', {
        asked,
        text: () => 'paused\n',
        name: () => 'paused\n',
      });
    });
}

export function resumeCommand(command: Command, context: CliContext): void {
  ofChannel(command, 'this one alone; without it everything').action(
    async (options: ChannelOptions) => {
      const asked = { body: channelAsked(options) };
      const told = () => 'resumed\n';
      await show(context, options, 'resume', { asked, text: told, name: told });
    },
  );
}
