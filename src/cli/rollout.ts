/**
 * `holdfast rollout status|undo|pause|resume`: kubectl's words for what `wait`, `rollback`, `pause`
 * and `resume` do. Where a device follows several
 * channels, --channel says whose.
 */
import type { Command } from 'commander';
import { rollbackCommand } from './apply.ts';
import type { CliContext } from './context.ts';
import { type LocalOptions, local } from './local.ts';
import { pauseCommand, resumeCommand } from './operator.ts';
import { showRollout, timeoutOf } from './wait.ts';

export function registerRollout(program: Command, context: CliContext): void {
  const rollout = program
    .command('rollout')
    .description('status, undo, pause and resume, as kubectl calls them');
  local(rollout, 'status', 'waits until the newest accepted state is applied and healthy')
    .option('--timeout <duration>', '0s: look once', timeoutOf, 300_000)
    .action((options: LocalOptions & { readonly timeout: number }) =>
      showRollout(context, options),
    );
  rollbackCommand(local(rollout, 'undo', 'the same as `holdfast rollback`'), context);
  pauseCommand(local(rollout, 'pause', 'the same as `holdfast pause`'), context);
  resumeCommand(local(rollout, 'resume', 'the same as `holdfast resume`'), context);
}
