/** `holdfast publish`: signs what is unsigned, then pushes it, or writes a bundle. */
import type { Command } from 'commander';
import { ok, type Result } from '#errors/fault.ts';
import { readBundle, writeBundle } from '#publisher/bundle.ts';
import type { Fleet } from '#publisher/fleet.ts';
import { readLine } from '#publisher/line.ts';
import { nudge } from '#publisher/nudge.ts';
import {
  type Published,
  prepareChannel,
  publishChannel,
  pushPrepared,
  stillWaiting,
} from '#publisher/publish.ts';
import type { CliContext } from './context.ts';
import {
  bundleName,
  channelOr,
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
  withRegistry,
} from './fleet-command.ts';
import { warnOfDocuments } from './publish-remarks.ts';
import {
  type PublishedView,
  publishedName,
  publishedText,
  pushReporter,
  type SignFlags,
  signOptions,
  viewOf,
  warnOfEnds,
} from './publish-view.ts';
import { complain } from './render.ts';

interface PublishFlags extends FleetOptions, SignFlags {
  readonly to?: string;
  readonly from?: string;
  readonly nudge: boolean;
  readonly push: boolean;
}

export function registerPublish(program: Command, context: CliContext): void {
  fleetCommand(program, 'publish', 'signs what is unsigned, pushes it, moves the channel, nudges')
    .argument('[channel]', 'needed where the fleet has several')
    .option('--to <bundle>', 'oci:DIR or oci-archive:FILE instead of the registry')
    .option('--from <bundle>', 'push a state signed earlier, as it is')
    .option('--allow-removal', 'deployments may go away without being asked', false)
    .option('--renew', 'a new number although nothing has changed', false)
    .option('--no-nudge', 'devices find it when they poll')
    .option('--push', 'the nudge carries all of it, for devices that reach only the broker', false)
    .option('-y, --yes', 'asks nothing; removals still need --allow-removal', false)
    .action(async (channel: string | undefined, options: PublishFlags) => {
      finish(context, options.output, await publish(context, channel, options), {
        text: (view) => publishedText(context, view),
        name: publishedName,
      });
    });
}

async function publish(
  context: CliContext,
  named: string | undefined,
  options: PublishFlags,
): Promise<Result<PublishedView>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const channel = channelOr(fleet.value, named);
  if (!channel.ok) return channel;
  warnOfEnds(context, fleet.value, channel.value);
  if (options.from === undefined) warnOfDocuments(context, fleet.value, channel.value);
  if (options.to !== undefined) {
    return toBundle(context, fleet.value, {
      ...options,
      channel: channel.value,
      to: bundleName(context, options.to),
    });
  }
  return withRegistry(context, fleet.value, async ({ registry, beside }) => {
    const { report, end } = pushReporter(context);
    const target = { channel: channel.value, registry, beside, report };
    const published =
      options.from === undefined
        ? await publishChannel(context.platform, fleet.value, target, {
            ...signOptions(context, options),
            report,
          })
        : await fromBundle(context, fleet.value, {
            ...target,
            from: bundleName(context, options.from),
          });
    end();
    if (!published.ok) return published;
    return ok(
      await afterPush(context, fleet.value, published.value, {
        nudge: options.nudge,
        push: options.push,
        to: registry.name,
      }),
    );
  });
}

async function fromBundle(
  { platform }: CliContext,
  fleet: Fleet,
  target: Parameters<typeof pushPrepared>[2] & { readonly from: string },
): Promise<Result<Published>> {
  const signed = await readBundle(platform.files, fleet, target.channel, target.from);
  if (!signed.ok) return signed;
  const prepared = { kind: 'signed', signed: signed.value, fresh: false } as const;
  return pushPrepared(platform, fleet, target, prepared);
}

async function toBundle(
  context: CliContext,
  fleet: Fleet,
  options: PublishFlags & { readonly channel: string; readonly to: string },
): Promise<Result<PublishedView>> {
  const { platform } = context;
  const line = await readLine(platform, fleet, options.channel, null);
  if (!line.ok) return line;
  const prepared = await prepareChannel(platform, fleet, line.value, signOptions(context, options));
  if (!prepared.ok) return prepared;
  if (prepared.value.kind === 'unchanged')
    return ok(viewOf(prepared.value.head, { signed: 'elsewhere' }));
  if (prepared.value.kind === 'waiting') return stillWaiting(fleet, prepared.value.waiting);
  const { signed, fresh } = prepared.value;
  const wrote = writeBundle(platform.files, options.to, signed);
  if (!wrote.ok) return wrote;
  return ok(viewOf(signed, { signed: fresh ? 'now' : 'before', to: options.to, moved: true }));
}

/** The state is published whether or not the broker is there: a nudge that fails is a warning. */
export async function afterPush(
  context: CliContext,
  fleet: Fleet,
  {
    head,
    signed,
    pushed,
    forms,
  }: Pick<Published, 'head' | 'signed' | 'pushed'> & Partial<Published>,
  how: {
    readonly nudge: boolean;
    readonly push: boolean;
    readonly to: string;
    /** the nudge carries the roots at least */
    readonly roots?: boolean;
  },
): Promise<PublishedView> {
  const margoOci = forms ? { margoOci: forms } : {};
  const view = viewOf(head, { signed, to: how.to, moved: pushed === 'moved', ...margoOci });
  // also when it was there already: the run before may have been cut right here
  if (!how.nudge || !fleet.config.mqtt) return view;
  const sent = await nudge(context.platform, fleet, head, how);
  if (!sent.ok) complain(context.terminal, sent.fault);
  else if (sent.value.tooLarge) complain(context.terminal, sent.value.tooLarge, 'warning');
  return { ...view, nudged: sent.ok, carried: sent.ok && sent.value.carried };
}
