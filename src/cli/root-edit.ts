/** `holdfast root add-key …`: the commands that change the draft of the next root, and `request`. */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Fleet } from '#publisher/fleet.ts';
import { knownScheme, readAnyKey, readKeyFile, readPublicKey } from '#publisher/keys.ts';
import type { Draft } from '#publisher/root-draft.ts';
import {
  addChannel,
  addKey,
  bumpEpoch,
  firstEpoch,
  removeChannel,
  removeKey,
  resetTime,
  setExpiry,
  setThreshold,
} from '#publisher/root-edit.ts';
import { changeDraft, discardMaking, makeRequest } from '#publisher/root-making.ts';
import { EXPECTED_TIME, parseInstant } from '#publisher/root-time.ts';
import type { RootKey } from '#state/root.ts';
import type { CliContext } from './context.ts';
import { type FleetOptions, finish, fleetCommand, openFleetOf } from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { type DiffView, diffText, draftDiff, requestText, requestView } from './root-view.ts';

type Edit = (fleet: Fleet, draft: Draft) => Result<Draft>;

interface DraftView extends DiffView {
  readonly file: string;
}

interface KeyFlags extends FleetOptions {
  readonly role: readonly string[];
  readonly until?: string;
  readonly scheme?: string;
}

interface ChannelFlags extends FleetOptions {
  readonly role?: string;
  readonly key: readonly string[];
}

export function registerRootEdits(root: Command, context: CliContext): void {
  registerKeys(root, context);
  registerChannels(root, context);
  registerTimes(root, context);
  edit(root, 'edit', 'begins a draft, to be changed in an editor').action((options: FleetOptions) =>
    runEdit(context, options, (_, draft) => ok(draft)),
  );
  fleetCommand(root, 'discard', 'drops the draft and the request of the next root').action(
    (options: FleetOptions) => {
      const fleet = openFleetOf(context, options);
      const done = fleet.ok ? discardMaking(context.platform.files, fleet.value) : fleet;
      const dropped = done.ok ? ok({ discarded: true }) : done;
      const text = () => 'nothing of the next root is left\n';
      finish(context, options.output, dropped, { text, name: () => '' });
    },
  );
  fleetCommand(root, 'request', 'makes the file that root keys sign, out of the draft').action(
    (options: FleetOptions) => {
      const fleet = openFleetOf(context, options);
      const made = fleet.ok ? makeRequest(context.platform.files, fleet.value) : fleet;
      const view = made.ok ? ok(requestView(made.value.file, made.value.request)) : made;
      finish(context, options.output, view, {
        text: (shown) => requestText(context, shown),
        name: ({ file }) => `${file}\n`,
      });
    },
  );
}

function registerKeys(root: Command, context: CliContext): void {
  edit(root, 'add-key', 'a public key, into the roles named')
    .argument('<name>', 'its name in the root')
    .argument('[file]', 'PEM, OpenSSH, minisign or signify; default: that name in keys/')
    .option('--role <name...>', 'root, or a role that signs channels; default: none yet', [])
    .option('--until <time>', `it counts no longer: ${EXPECTED_TIME}`)
    .option('--scheme <name>', 'what it signs by, where the file cannot tell')
    .action((name: string, file: string | undefined, options: KeyFlags) =>
      runEdit(context, options, (fleet, draft) => {
        const key = keyGiven(context, fleet, { name, file, scheme: options.scheme });
        if (!key.ok) return key;
        const until = timeOf(fleet, '--until', options.until);
        if (!until.ok) return until;
        const { role: roles } = options;
        return addKey(draft, { name, ...key.value, notAfter: until.value, roles });
      }),
    );
  edit(root, 'remove-key', 'a key, from one role or from the root')
    .argument('<name>')
    .option('--role <name>', 'from this role only')
    .action((name: string, options: FleetOptions & { readonly role?: string }) =>
      runEdit(context, options, (_, draft) => removeKey(draft, name, options.role ?? null)),
    );
  edit(root, 'set-threshold', 'how many keys of a role must sign')
    .argument('<role>')
    .argument('<n>')
    .action((role: string, n: string, options: FleetOptions) =>
      runEdit(context, options, (_, draft) => setThreshold(draft, role, Number(n))),
    );
}

function registerChannels(root: Command, context: CliContext): void {
  edit(root, 'add-channel', 'a channel, and the role that signs it')
    .argument('<name>', 'or device.* for the channels of all devices')
    .option('--role <name>', 'default: channel.NAME')
    .option('--key <name...>', 'keys of the role, by their names in the root', [])
    .action((name: string, options: ChannelFlags) =>
      runEdit(context, options, (fleet, draft) => {
        const role = options.role ?? `channel.${name === 'device.*' ? 'device' : name}`;
        const epoch = firstEpoch(fleet, name);
        return addChannel(draft, { name, role, keys: options.key, epoch });
      }),
    );
  edit(root, 'remove-channel', 'a channel: nobody signs it any more')
    .argument('<name>')
    .action((name: string, options: FleetOptions) =>
      runEdit(context, options, (_, draft) => removeChannel(draft, name)),
    );
  edit(root, 'bump-epoch', 'starts a channel’s numbers again: stolen key, lost counter or server')
    .argument('<channel...>')
    .action((channels: readonly string[], options: FleetOptions) =>
      runEdit(context, options, (_, draft) =>
        channels.reduce<Result<Draft>>(
          (so, channel) => (so.ok ? bumpEpoch(so.value, channel) : so),
          ok(draft),
        ),
      ),
    );
}

function registerTimes(root: Command, context: CliContext): void {
  edit(root, 'set-expiry', 'when the root ends, or one of its keys')
    .argument('<time>', EXPECTED_TIME)
    .option('--key <name>', 'of this key instead')
    .action((time: string, options: FleetOptions & { readonly key?: string }) =>
      runEdit(context, options, (fleet, draft) => {
        const ms = timeOf(fleet, 'time', time);
        return ms.ok ? setExpiry(draft, ms.value ?? 0, options.key ?? null) : ms;
      }),
    );
  edit(root, 'time-reset', 'sets the time floor of every device, once')
    .argument('[time]', 'default: the time of this machine')
    .action((time: string | undefined, options: FleetOptions) =>
      runEdit(context, options, (fleet, draft) => {
        const ms = timeOf(fleet, 'time', time);
        return ms.ok ? resetTime(draft, ms.value ?? fleet.time.estimateMs) : ms;
      }),
    );
}

function edit(root: Command, name: string, description: string): Command {
  return fleetCommand(root, name, description);
}

/** Changes the draft and shows what it changes. */
export function runEdit(context: CliContext, options: FleetOptions, change: Edit): void {
  finish(context, options.output, changed(context, options, change), {
    text: (view) => `${diffText(context, view)}${view.file}\n`,
    name: ({ file }) => `${file}\n`,
  });
}

function changed(context: CliContext, options: FleetOptions, change: Edit): Result<DraftView> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const { files } = context.platform;
  const made = changeDraft(files, fleet.value, (draft) => change(fleet.value, draft));
  if (!made.ok) return made;
  const { draft, file } = made.value;
  return ok({ ...draftDiff(context.platform, fleet.value, draft), file });
}

/** From the file, else by its name in keys/signing or keys/root. */
function keyGiven(
  context: CliContext,
  fleet: Fleet,
  given: {
    readonly name: string;
    readonly file: string | undefined;
    readonly scheme: string | undefined;
  },
): Result<{ readonly spki: Uint8Array; readonly scheme: RootKey['scheme'] }> {
  const { name, file } = given;
  const scheme = given.scheme === undefined ? null : knownScheme(given.scheme);
  if (given.scheme !== undefined && !scheme) {
    return refuse('publish.option', { option: '--scheme', reason: `${given.scheme} is not known` });
  }
  if (file !== undefined) {
    const bytes = readKeyFile(context.platform.files, resolvePath(context, file));
    const key = bytes.ok ? readAnyKey(bytes.value) : bytes;
    return key.ok ? ok({ spki: key.value.spki, scheme: scheme ?? key.value.scheme }) : key;
  }
  for (const use of ['signing', 'root'] as const) {
    const key = readPublicKey(context.platform, fleet.directory, { use, name });
    if (key.ok) return ok({ spki: key.value.spki, scheme: scheme ?? key.value.scheme });
    if (key.fault.code !== 'publish.key-missing' || use === 'root') return key;
  }
  return refuse('publish.key-missing', { key: name, file: `keys/root/${name}.pub.pem` });
}

/** Null: not given. */
export function timeOf(
  fleet: Fleet,
  option: string,
  text: string | undefined,
): Result<number | null> {
  if (text === undefined) return ok(null);
  const ms = parseInstant(text, fleet.time.estimateMs);
  if (ms !== null) return ok(ms);
  return refuse('publish.option', { option, reason: `${text} is not ${EXPECTED_TIME}` });
}
