/** `holdfast nudge`: tells the fleet once more where a channel is. */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { readLine } from '#publisher/line.ts';
import { nudge } from '#publisher/nudge.ts';
import { LIMITS } from '#state/limits.ts';
import { readEnvelope } from '#wire/envelope.ts';
import type { CliContext } from './context.ts';
import {
  channelOr,
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
  withRegistry,
} from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { type PublishedView, publishedName, publishedText, viewOf } from './publish-view.ts';
import { complain } from './render.ts';

interface NudgeFlags extends FleetOptions {
  readonly push: boolean;
  readonly time?: string;
}

export function registerNudge(program: Command, context: CliContext): void {
  fleetCommand(program, 'nudge', 'tells devices over MQTT to look at a channel now')
    .argument('[channel]', 'needed where the fleet has several')
    .option('--push', 'carry all of it, for devices that reach only the broker', false)
    .option('--time <file>', 'carry this time statement for everyone (`holdfast time sign`)')
    .action(async (channel: string | undefined, options: NudgeFlags) => {
      finish(context, options.output, await run(context, channel, options), {
        text: (view) => publishedText(context, view),
        name: publishedName,
      });
    });
}

async function run(
  context: CliContext,
  named: string | undefined,
  options: NudgeFlags,
): Promise<Result<PublishedView>> {
  const opened = openFleetOf(context, options);
  if (!opened.ok) return opened;
  const fleet = opened.value;
  const channel = channelOr(fleet, named);
  if (!channel.ok) return channel;
  return withRegistry(context, fleet, async ({ registry }) => {
    const line = await readLine(context.platform, fleet, channel.value, registry);
    if (!line.ok) return line;
    const { head } = line.value;
    const where = registry.name;
    if (!head) return refuse('publish.nothing-signed', { channel: channel.value, where });
    const time = readTime(context, options.time);
    if (!time.ok) return time;
    const sent = await nudge(context.platform, fleet, head, {
      push: options.push,
      time: time.value,
    });
    if (!sent.ok) return sent;
    const { carried, tooLarge } = sent.value;
    if (tooLarge) complain(context.terminal, tooLarge, 'warning');
    return ok(viewOf(head, { signed: 'before', to: where, nudged: true, carried }));
  });
}

/** Devices judge it; here, that it is an envelope at all. */
function readTime({ platform, cwd }: CliContext, file: string | undefined) {
  if (file === undefined) return ok(null);
  const bytes = platform.files.readFile(resolvePath({ cwd }, file), LIMITS.timeBytes);
  return bytes.ok ? readEnvelope(bytes.value) : bytes;
}
