/**
 * `holdfast root sign` and `root add-signature`. Signing needs the request's file and a root key,
 * nothing else: no fleet folder, no network. What is signed is shown first, read from the bytes.
 */
import { type Command, Option } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { loadSigner } from '#publisher/keys.ts';
import { splitLast } from '#publisher/place.ts';
import { replaceFile, requestFile } from '#publisher/root-folder.ts';
import { keepRequest, nextVersion, openRequest } from '#publisher/root-making.ts';
import {
  addSignatures,
  judgeFollows,
  readRequest,
  signRequest,
  writeRequest,
} from '#publisher/root-request.ts';
import { LIMITS } from '#state/limits.ts';
import type { CliContext } from './context.ts';
import {
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
  outputOption,
  passphrasesOf,
} from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import type { Format } from './render.ts';
import { type RequestView, requestText, requestView } from './root-view.ts';

interface SignFlags {
  readonly key: string;
  readonly against?: string;
  readonly yes: boolean;
  readonly output: Format;
}

export function registerRootSign(root: Command, context: CliContext): void {
  root
    .command('sign')
    .description('adds a root key’s signature to a request; needs no fleet folder')
    .argument('<file>', 'what `root request` wrote')
    .requiredOption('--key <file>', 'the private root key, PEM')
    .option('--against <file>', 'the root that you hold yourself: the request must follow it')
    .option('-y, --yes', 'sign without being asked', false)
    .addOption(outputOption())
    .action(async (file: string, flags: SignFlags) => {
      finish(context, flags.output, await sign(context, file, flags), {
        text: (view) => requestText(context, view),
        name: (view) => `${view.file}\n`,
      });
    })
    .addOption(new Option('-C, --fleet <dir>').hideHelp());
  fleetCommand(root, 'add-signature', 'takes signatures into the request of this folder')
    .argument('<file...>', 'copies of the request that came back, or signatures by other tools')
    .action((files: readonly string[], options: FleetOptions) => {
      finish(context, options.output, add(context, files, options), {
        text: (view) => requestText(context, view),
        name: (view) => `${view.file}\n`,
      });
    });
}

async function sign(
  context: CliContext,
  file: string,
  flags: SignFlags,
): Promise<Result<RequestView>> {
  const { platform, terminal } = context;
  const path = resolvePath(context, file);
  const bytes = platform.files.readFile(path, LIMITS.envelopeBytes);
  if (!bytes.ok) return bytes;
  const request = readRequest(bytes.value, file);
  if (!request.ok) return request;
  if (flags.against !== undefined) {
    const own = platform.files.readFile(resolvePath(context, flags.against), LIMITS.rootBytes);
    const names = { file, against: flags.against };
    const follows = own.ok ? judgeFollows(request.value, own.value, names) : own;
    if (!follows.ok) return follows;
  }
  if (!flags.yes) {
    terminal.err(requestText(context, requestView(file, request.value)));
    const answer = await terminal.ask(
      `Sign root ${request.value.root.version} with ${flags.key}? [y/N] `,
    );
    if (!/^y(es)?$/i.test(answer?.trim() ?? '')) {
      const reason = 'it was not confirmed; answer yes, or give -y';
      return refuse('publish.root-signature', { file, reason });
    }
  }
  const key = resolvePath(context, flags.key);
  const signer = await loadSigner(platform, key, flags.key, passphrasesOf(context));
  if (!signer.ok) return signer;
  const signed = await signRequest(request.value, signer.value, file);
  if (!signed.ok) return signed;
  const wrote = replaceFile(platform.files, splitLast(path), writeRequest(signed.value));
  return wrote.ok ? ok(requestView(file, signed.value)) : wrote;
}

function add(
  context: CliContext,
  files: readonly string[],
  options: FleetOptions,
): Result<RequestView> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const { platform } = context;
  const name = `root/${requestFile(nextVersion(fleet.value))}`;
  const held = openRequest(platform.files, fleet.value);
  if (!held.ok) return held;
  if (!held.value) return refuse('publish.root-none', { what: 'request', file: name });
  let request = held.value;
  for (const file of files) {
    const bytes = platform.files.readFile(resolvePath(context, file), LIMITS.envelopeBytes);
    if (!bytes.ok) return bytes;
    const added = addSignatures(request, bytes.value, file);
    if (!added.ok) return added;
    request = added.value;
  }
  const kept = keepRequest(platform.files, fleet.value, request);
  return kept.ok ? ok(requestView(name, request)) : kept;
}
