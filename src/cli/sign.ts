/**
 * `holdfast sign`: signs what a channel's folder holds, and sends nothing. Where keys elsewhere must
 * sign, the statement waits, and `--attach` adds what they signed (docs/signing.md).
 */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { attachSignature, signersSoFar } from '#publisher/attach.ts';
import { type Fleet, fleetChannel } from '#publisher/fleet.ts';
import { keyidOfFile, readKeyFile, readPublicKey } from '#publisher/keys.ts';
import { readLine } from '#publisher/line.ts';
import { prepareChannel } from '#publisher/publish.ts';
import type { Waiting } from '#publisher/waiting.ts';
import { LIMITS } from '#state/limits.ts';
import { isId } from '#state/names.ts';
import type { CliContext } from './context.ts';
import {
  channelOr,
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
} from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import {
  type PublishedView,
  publishedName,
  publishedText,
  type SignFlags,
  signOptions,
  viewOf,
  warnOfEnds,
} from './publish-view.ts';

interface Flags extends FleetOptions, SignFlags {
  readonly detached: boolean;
  readonly attach?: string;
  readonly key?: string;
}

export function registerSign(program: Command, context: CliContext): void {
  fleetCommand(program, 'sign', 'signs what is not signed yet into signed/, without a network')
    .argument('[channel]', 'needed where the fleet has several')
    .option('--allow-removal', 'deployments may go away without being asked', false)
    .option('--renew', 'a new number although nothing has changed', false)
    .option('--detached', 'open no private key: all signatures are attached', false)
    .option('--attach <file>', 'a signature by another tool for the statement that waits')
    .option('--key <name>', 'with --attach: who must have signed, a key’s name or public key file')
    .action(async (channel: string | undefined, options: Flags) => {
      finish(context, options.output, await sign(context, channel, options), {
        text: (view) => publishedText(context, view),
        name: publishedName,
      });
    });
}

async function sign(
  context: CliContext,
  named: string | undefined,
  options: Flags,
): Promise<Result<PublishedView>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const channel = channelOr(fleet.value, named);
  if (!channel.ok) return channel;
  warnOfEnds(context, fleet.value, channel.value);
  const { platform } = context;
  if (options.attach !== undefined) {
    const { attach: file, key } = options;
    return attach(context, fleet.value, channel.value, { file, key: key ?? null });
  }
  if (options.key !== undefined) {
    return refuse('publish.option', { option: '--key', reason: 'it goes with --attach' });
  }
  const line = await readLine(platform, fleet.value, channel.value, null);
  if (!line.ok) return line;
  const asked = { ...signOptions(context, options), detached: options.detached };
  const prepared = await prepareChannel(platform, fleet.value, line.value, asked);
  if (!prepared.ok) return prepared;
  if (prepared.value.kind === 'unchanged')
    return ok(viewOf(prepared.value.head, { signed: 'elsewhere' }));
  if (prepared.value.kind === 'waiting') return waitingView(fleet.value, prepared.value.waiting);
  const { signed, fresh } = prepared.value;
  return ok(viewOf(signed, { signed: fresh ? 'now' : 'before' }));
}

async function attach(
  context: CliContext,
  fleet: Fleet,
  name: string,
  given: { readonly file: string; readonly key: string | null },
): Promise<Result<PublishedView>> {
  const { platform } = context;
  const line = await readLine(platform, fleet, name, null);
  if (!line.ok) return line;
  const { waiting, channel } = line.value;
  if (!waiting) return refuse('publish.nothing-waiting', { channel: name });
  const keyid = given.key === null ? ok(null) : keyidNamed(context, fleet, given.key);
  if (!keyid.ok) return keyid;
  const path = resolvePath(context, given.file);
  const file = platform.files.readFile(path, LIMITS.envelopeBytes);
  if (!file.ok) return file;
  const attached = await attachSignature(platform.files, fleet, channel, {
    waiting,
    file: file.value,
    keyid: keyid.value,
  });
  if (!attached.ok) return attached;
  return attached.value.kind === 'signed'
    ? ok(viewOf(attached.value.signed, { signed: 'now' }))
    : waitingView(fleet, attached.value.waiting);
}

/** A name in keys/signing, else the file of a public key. */
function keyidNamed(context: CliContext, fleet: Fleet, text: string): Result<string> {
  const { platform } = context;
  if (isId(text)) {
    const known = readPublicKey(platform, fleet.directory, { use: 'signing', name: text });
    if (known.ok) return ok(known.value.keyid);
    if (known.fault.code !== 'publish.key-missing') return known;
  }
  const file = readKeyFile(platform.files, resolvePath(context, text));
  return file.ok ? keyidOfFile(file.value) : file;
}

function waitingView(fleet: Fleet, waiting: Waiting): Result<PublishedView> {
  const { state, envelope, folder } = waiting;
  const channel = fleetChannel(fleet, state.channel);
  if (!channel.ok) return channel;
  const got = signersSoFar(fleet, channel.value, envelope);
  const { threshold } = channel.value.role;
  return ok(viewOf({ state, manifestDigest: '' }, { signed: 'waiting', got, threshold, folder }));
}
