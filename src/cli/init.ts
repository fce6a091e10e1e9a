/** `holdfast init`: a new fleet folder with keys, root, fleet.yaml and examples. */
import { type Command, Option } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { EVERY_DEVICE } from '#publisher/fleet.ts';
import { initFleet } from '#publisher/init.ts';
import { readKeyFile } from '#publisher/keys.ts';
import { isId } from '#state/names.ts';
import type { CliContext } from './context.ts';
import { finish, outputOption, passphrasesOf } from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { type Format, painter, pairs } from './render.ts';

interface InitFlags {
  readonly name?: string;
  readonly channel: readonly string[];
  readonly signer: readonly string[];
  readonly rootKeys: string;
  readonly rootThreshold?: string;
  readonly timeKey: boolean;
  readonly demo: boolean;
  readonly examples: boolean;
  readonly registry?: string;
  readonly mqtt?: string;
  readonly insecure: boolean;
  readonly passphrase: boolean;
  readonly output: Format;
}

interface InitView {
  readonly folder: string;
  readonly fleet: string;
  readonly root: string;
  readonly channels: readonly string[];
  readonly takeOffline: readonly string[];
  /** stays where `time serve` or the hub runs; null: none was made */
  readonly timeKey: string | null;
  readonly demo: boolean;
}

const CHANNELS = ['canary', 'stable'];
const ROOT_KEYS_MAX = 16;

export function registerInit(program: Command, context: CliContext): void {
  program
    .command('init')
    .description('a new fleet: keys, root document, fleet.yaml, one example of each runtime')
    .argument('<dir>', 'the fleet folder, new or empty')
    .option('--name <text>', 'the fleet’s name (default: the folder’s)')
    .option('--channel <name...>', 'channels of the fleet', CHANNELS)
    .option('--signer <channel=file...>', 'channels signed elsewhere, by this public key', [])
    .option('--root-keys <n>', 'how many root keys', '1')
    .option('--root-threshold <n>', 'how many of them must sign a root (default: more than half)')
    .option('--registry <url>', 'https://host/repository')
    .option('--mqtt <url>', 'mqtts://host[:port]')
    .option('--insecure', 'plain http and mqtt beyond this host, for a bench', false)
    .option('--time-key', 'a key that says what time it is, for devices without a clock', false)
    .option('--demo', 'keys stay together; agents need trust.allowDemo', false)
    .option('--no-examples', 'channels stay empty')
    .option('--no-passphrase', 'private keys are not encrypted')
    .addOption(outputOption())
    .action(async (dir: string, flags: InitFlags) => {
      const made = await init(context, dir, flags);
      finish(context, flags.output, made, {
        text: (view) => initText(context, view),
        name: (view) => `${view.fleet}\n`,
      });
    })
    .addOption(new Option('-y, --yes').hideHelp());
}

async function init(context: CliContext, dir: string, flags: InitFlags): Promise<Result<InitView>> {
  const bad = flags.channel.find((name) => !isId(name) && name !== EVERY_DEVICE);
  if (bad !== undefined) return wrong('--channel', `${JSON.stringify(bad)} is no channel name`);
  const rootKeys = Number(flags.rootKeys);
  const rootThreshold = Number(flags.rootThreshold ?? Math.floor(rootKeys / 2) + 1);
  if (!isCount(rootKeys, ROOT_KEYS_MAX)) return wrong('--root-keys', `not 1 to ${ROOT_KEYS_MAX}`);
  if (!isCount(rootThreshold, rootKeys)) return wrong('--root-threshold', `not 1 to ${rootKeys}`);
  const signers = readSigners(context, flags);
  if (!signers.ok) return signers;
  const directory = resolvePath(context, dir);
  const made = await initFleet(context.platform, {
    directory,
    name: flags.name ?? directory.slice(directory.lastIndexOf('/') + 1),
    channels: [...new Set(flags.channel)],
    signers: signers.value,
    rootKeys,
    rootThreshold,
    timeKey: flags.timeKey,
    demo: flags.demo,
    examples: flags.examples,
    registry: flags.registry ?? null,
    mqtt: flags.mqtt ?? null,
    insecure: flags.insecure,
    buildTimeMs: context.version.buildTime,
    passphrases: passphrasesOf(context, !flags.passphrase),
  });
  if (!made.ok) return made;
  const { root, rootKeys: keys } = made.value;
  return ok({
    folder: directory,
    fleet: root.fleet,
    root: `${directory}/root/1.root.json`,
    channels: root.channels.map(({ name }) => name),
    takeOffline: flags.demo ? [] : keys.map(({ name }) => `${directory}/keys/root/${name}.pem`),
    timeKey: flags.timeKey ? `${directory}/keys/signing/time.pem` : null,
    demo: root.demo,
  });
}

/** `stable=ops.pub`: the bytes of each file by channel. */
function readSigners(
  context: CliContext,
  { signer, channel: channels }: InitFlags,
): Result<ReadonlyMap<string, Uint8Array>> {
  const signers = new Map<string, Uint8Array>();
  for (const text of signer) {
    const at = text.indexOf('=');
    const channel = text.slice(0, Math.max(at, 0));
    if (!channels.includes(channel))
      return wrong('--signer', `${text}: name a channel, = and a file`);
    const file = resolvePath(context, text.slice(at + 1));
    const bytes = readKeyFile(context.platform.files, file);
    if (!bytes.ok) return bytes;
    signers.set(channel, bytes.value);
  }
  return ok(signers);
}

function isCount(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= most;
}

function wrong(option: string, reason: string): Result<never> {
  return refuse('publish.option', { option, reason });
}

function initText(context: CliContext, view: InitView): string {
  const paint = painter(context.terminal);
  const offline = view.takeOffline.map((file) => `  ${file}\n`).join('');
  const keys = view.demo
    ? paint.warn(
        'A demo fleet: all keys lie together, and agents refuse its root unless trust.allowDemo is set.\n',
      )
    : `Take the root keys offline now; only changes of the root need them:\n${offline}`;
  return (
    pairs([
      ['fleet', view.fleet],
      ['folder', view.folder],
      ['channels', view.channels.join(', ')],
      ['root', `${view.root}  (give this file to every device: trust.root)`],
    ]) +
    `\n${keys}${timeText(view)}\nNext: edit channels/, then  holdfast publish ${view.channels[0] ?? ''} --fleet ${view.folder}\n`
  );
}

function timeText({ timeKey, folder }: InitView): string {
  if (timeKey === null) return '';
  return (
    'The time key is an online key: it says what time it is, and signs no state. It stays where\n' +
    `  holdfast time serve --fleet ${folder}   (or  holdfast hub --time-key)  runs:\n  ${timeKey}\n`
  );
}
