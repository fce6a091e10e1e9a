/** `holdfast seal`: a secret from standard input into the values document of one device. */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type KeySource, type Sealed, seal } from '#publisher/seal.ts';
import { LIMITS } from '#state/limits.ts';
import { deviceChannel } from '#state/values.ts';
import { decodeText } from '#wire/text.ts';
import type { CliContext } from './context.ts';
import { type FleetOptions, finish, fleetCommand, openFleetOf } from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { pairs } from './render.ts';

interface SealFlags extends FleetOptions {
  readonly device: string;
  readonly channel?: string;
  readonly name: string;
  readonly document: string;
  readonly status?: string;
  readonly key?: string;
  readonly deviceKey?: string;
  readonly keepNewline: boolean;
}

interface SealedView extends Sealed {
  readonly device: string;
  readonly channel: string;
}

export function registerSeal(program: Command, context: CliContext): void {
  fleetCommand(program, 'seal', 'seals a value from standard input to one device')
    .requiredOption('--device <id>', 'the one that shall read it')
    .requiredOption('--name <name>', 'what deployments call it: valueFrom: { deviceValue: NAME }')
    .option('--channel <name>', 'device.ID, which is the default')
    .option('--document <id>', 'channels/device.ID/<id>.yaml', 'values')
    .option('--status <file>', 'its signed status, instead of asking the broker')
    .option('--key <file>', 'its identity/sealing.pub.pem, brought by hand')
    .option('--device-key <sha256>', 'its device key as `holdfast doctor` shows it, once')
    .option('--keep-newline', 'a line break at the end belongs to the value', false)
    .action(async (options: SealFlags) => {
      finish(context, options.output, await sealed(context, options), {
        text: (view) => sealedText(view),
        name: ({ channel, name }) => `${channel}/${name}\n`,
      });
    });
}

async function sealed(context: CliContext, options: SealFlags): Promise<Result<SealedView>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const { device, name, document } = options;
  const from = sourceOf(context, options);
  if (!from.ok) return from;
  const text = await secretText(context, options);
  if (!text.ok) return text;
  const channel = options.channel ?? deviceChannel(device);
  const given = { device, channel, name, document, text: text.value, from: from.value };
  const done = await seal(context.platform, fleet.value, given);
  return done.ok ? ok({ ...done.value, device, channel }) : done;
}

function sourceOf(context: CliContext, options: SealFlags): Result<KeySource> {
  const { key, status, deviceKey = null } = options;
  if (key !== undefined && (status !== undefined || deviceKey !== null)) {
    const reason = 'it is brought by hand: without --status and --device-key';
    return refuse('publish.option', { option: '--key', reason });
  }
  if (key !== undefined) return ok({ kind: 'key', file: resolvePath(context, key) });
  return ok(
    status === undefined
      ? { kind: 'broker', pin: deviceKey }
      : { kind: 'status', file: resolvePath(context, status), pin: deviceKey },
  );
}

/** Never an argument: those stand in the process table and in the history of the shell. */
async function secretText(
  { terminal }: CliContext,
  { name, keepNewline }: SealFlags,
): Promise<Result<string>> {
  if (terminal.interactive) {
    const typed = await terminal.askSecret(`Value of ${name}: `);
    return typed ? ok(typed) : refuse('values.secret', { reason: 'nothing was typed' });
  }
  const bytes = await terminal.input(LIMITS.valueBytes + 2);
  if (!bytes) {
    return refuse('values.secret', { reason: `it has more than ${LIMITS.valueBytes} bytes` });
  }
  const text = decodeText(bytes);
  if (text === null) return refuse('values.secret', { reason: 'it is not UTF-8' });
  return ok(keepNewline ? text : text.replace(/\r?\n$/, ''));
}

function sealedText({ device, channel, name, file }: SealedView): string {
  return `${pairs([
    ['sealed', `${name}, for ${device} alone`],
    ['document', file],
  ])}\nNext: holdfast publish ${channel}\n`;
}
