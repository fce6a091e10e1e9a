/** `holdfast diff`: what publishing a channel would change. Ends with 1 when it would. */
import type { Command } from 'commander';
import { ok, type Result } from '#errors/fault.ts';
import { type Difference, diffChannel } from '#publisher/diff.ts';
import { openFleetRegistry } from '#publisher/line.ts';
import { pointText } from '#state/point.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import {
  channelOr,
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
} from './fleet-command.ts';
import { bytesText, painter } from './render.ts';

type DiffView = Omit<Difference, 'base'> & { readonly base: string | null };

export function registerDiff(program: Command, context: CliContext): void {
  fleetCommand(program, 'diff', 'what publishing would change; exit code 1 when it would')
    .argument('[channel]', 'needed where the fleet has several')
    .option('--offline', 'against what was signed here, without the registry', false)
    .action(async (channel: string | undefined, options: FleetOptions & { offline: boolean }) => {
      finish(context, options.output, await diff(context, channel, options), {
        text: (view) => diffText(context, view),
        name: (view) =>
          [...view.added, ...view.changed.map(({ id }) => id), ...view.removed]
            .map((id) => `${id}\n`)
            .join(''),
        code: ({ same }) => (same ? EXIT.done : EXIT.differs),
      });
    });
}

async function diff(
  context: CliContext,
  named: string | undefined,
  options: FleetOptions & { readonly offline: boolean },
): Promise<Result<DiffView>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const channel = channelOr(fleet.value, named);
  if (!channel.ok) return channel;
  const open = options.offline ? null : openFleetRegistry(context.platform, fleet.value);
  const found = await diffChannel(
    context.platform,
    fleet.value,
    channel.value,
    open?.registry ?? null,
  );
  open?.close();
  if (!found.ok) return found;
  const { base, ...rest } = found.value;
  return ok({ ...rest, base: base ? pointText(base.point) : null });
}

function diffText(context: CliContext, view: DiffView): string {
  const paint = painter(context.terminal);
  const base = view.base ?? 'nothing published';
  if (view.same) return `${view.channel}: no difference from ${base}\n`;
  const lines = [
    ...view.added.map((id) => `${paint.good('+')} ${id}\n`),
    ...view.changed.map(({ id, what }) => `${paint.warn('~')} ${id}  ${what.join(', ')}\n`),
    ...view.removed.map((id) => `${paint.bad('-')} ${id}\n`),
    ...(view.terms ? [`${paint.warn('~')} audience, policy or agent version\n`] : []),
  ];
  const push = view.bytesToPush === null ? '' : `${bytesText(view.bytesToPush)} to push\n`;
  return `${view.channel}, against ${base}:\n${lines.join('')}${push}`;
}
