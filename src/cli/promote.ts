/** `holdfast promote A B`: what A has, as the next state of B, signed by B's keys. */
import type { Command } from 'commander';
import { ok, type Result } from '#errors/fault.ts';
import { promote } from '#publisher/promote.ts';
import { pushPrepared } from '#publisher/publish.ts';
import type { CliContext } from './context.ts';
import {
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
  withRegistry,
} from './fleet-command.ts';
import { afterPush } from './publish.ts';
import {
  type PublishedView,
  publishedName,
  publishedText,
  pushReporter,
  type SignFlags,
  signOptions,
  warnOfEnds,
} from './publish-view.ts';

interface PromoteFlags extends FleetOptions, SignFlags {
  readonly nudge: boolean;
  readonly push: boolean;
}

export function registerPromote(program: Command, context: CliContext): void {
  fleetCommand(
    program,
    'promote',
    'brings what one channel has to another; no blob is pushed again',
  )
    .argument('<from>', 'the channel whose head is taken')
    .argument('<to>', 'the channel that gets it, signed by its own keys')
    .option('--allow-removal', 'deployments may go away without being asked', false)
    .option('--renew', 'a new number although nothing has changed', false)
    .option('--no-nudge', 'devices find it when they poll')
    .option('--push', 'the nudge carries all of it, for devices that reach only the broker', false)
    .action(async (from: string, to: string, options: PromoteFlags) => {
      finish(context, options.output, await run(context, { from, to }, options), {
        text: (view) => publishedText(context, view),
        name: publishedName,
      });
    });
}

async function run(
  context: CliContext,
  names: { readonly from: string; readonly to: string },
  options: PromoteFlags,
): Promise<Result<PublishedView>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const { platform } = context;
  warnOfEnds(context, fleet.value, names.to);
  return withRegistry(context, fleet.value, async ({ registry, beside }) => {
    const asked = { ...signOptions(context, options), registry };
    const promoted = await promote(platform, fleet.value, names, asked);
    if (!promoted.ok) return promoted;
    const { report, end } = pushReporter(context);
    const target = { channel: names.to, registry, beside, report };
    const pushed = await pushPrepared(platform, fleet.value, target, promoted.value.prepared);
    end();
    if (!pushed.ok) return pushed;
    return ok(
      await afterPush(context, fleet.value, pushed.value, {
        nudge: options.nudge,
        push: options.push,
        to: registry.name,
      }),
    );
  });
}
