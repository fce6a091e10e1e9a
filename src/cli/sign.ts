/** `holdfast sign`: signs what a channel's folder holds, and sends nothing. */
import type { Command } from 'commander';
import { ok, type Result } from '#errors/fault.ts';
import { readLine } from '#publisher/line.ts';
import { prepareChannel } from '#publisher/publish.ts';
import type { CliContext } from './context.ts';
import {
  channelOr,
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
} from './fleet-command.ts';
import {
  type PublishedView,
  publishedName,
  publishedText,
  type SignFlags,
  signOptions,
  viewOf,
} from './publish-view.ts';

export function registerSign(program: Command, context: CliContext): void {
  fleetCommand(program, 'sign', 'signs what is not signed yet into signed/, without a network')
    .argument('[channel]', 'needed where the fleet has several')
    .option('--allow-removal', 'deployments may go away without being asked', false)
    .option('--renew', 'a new number although nothing has changed', false)
    .action(async (channel: string | undefined, options: FleetOptions & SignFlags) => {
      finish(context, options.output, await sign(context, channel, options), {
        text: (view) => publishedText(context, view),
        name: publishedName,
      });
    });
}

async function sign(
  context: CliContext,
  named: string | undefined,
  options: FleetOptions & SignFlags,
): Promise<Result<PublishedView>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const channel = channelOr(fleet.value, named);
  if (!channel.ok) return channel;
  const { platform } = context;
  const line = await readLine(platform, fleet.value, channel.value, null);
  if (!line.ok) return line;
  const asked = signOptions(context, options);
  const prepared = await prepareChannel(platform, fleet.value, line.value, asked);
  if (!prepared.ok) return prepared;
  if (prepared.value.kind === 'unchanged')
    return ok(viewOf(prepared.value.head, { signed: 'elsewhere' }));
  const { signed, fresh } = prepared.value;
  return ok(viewOf(signed, { signed: fresh ? 'now' : 'before' }));
}
