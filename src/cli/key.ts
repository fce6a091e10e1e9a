/** `holdfast key create|add|list`: the keys of a fleet folder. */
import { type Command, Option } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import {
  addKey,
  createKey,
  type KeyUse,
  knownScheme,
  listKeys,
  readKeyFile,
  SCHEME_NAMES,
} from '#publisher/keys.ts';
import { isId } from '#state/names.ts';
import type { CliContext } from './context.ts';
import {
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
  passphrasesOf,
} from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { columns } from './render.ts';

interface KeyView {
  readonly name: string;
  readonly use: KeyUse;
  readonly keyid: string;
  readonly scheme: string;
  /** the private key was never here */
  readonly elsewhere: boolean;
  /** of the root in force */
  readonly roles: readonly string[];
}

export function registerKey(program: Command, context: CliContext): void {
  const key = program.command('key').description('keys of the fleet folder');
  fleetCommand(key, 'list', 'all public keys, and the roles that the root gives them').action(
    (options: FleetOptions) => {
      finish(context, options.output, keysOf(context, options), {
        text: (keys) =>
          columns(
            ['NAME', 'USE', 'KEYID', 'SCHEME', 'PRIVATE KEY', 'ROLES'],
            keys.map(({ name, use, keyid, scheme, elsewhere, roles }) => [
              name,
              use,
              keyid.slice(0, 16),
              scheme,
              elsewhere ? 'elsewhere' : 'made here',
              roles.join(', ') || '–',
            ]),
          ),
        name: (keys) => keys.map(({ use, name }) => `${use}/${name}\n`).join(''),
      });
    },
  );
  registerAdd(key, context);
  fleetCommand(key, 'create', 'a new Ed25519 key; it signs once a root names it')
    .argument('<name>', 'its file name')
    .option('--root', 'a root key instead of a signing key', false)
    .option('--no-passphrase', 'the private key is not encrypted')
    .action(
      async (
        name: string,
        options: FleetOptions & { readonly root: boolean; readonly passphrase: boolean },
      ) => {
        const made = await create(context, name, options);
        finish(context, options.output, made, {
          text: (view) => `${view.use}/${view.name} ${view.keyid}\n`,
          name: (view) => `${view.use}/${view.name}\n`,
        });
      },
    );
}

function registerAdd(key: Command, context: CliContext): void {
  fleetCommand(key, 'add', 'somebody else’s public key, whose signatures are attached')
    .argument('<name>', 'its file name here')
    .argument('<file>', 'PEM, an OpenSSH .pub, or a key file of minisign or signify')
    .option('--root', 'a root key instead of a signing key', false)
    .addOption(
      new Option('--scheme <name>', 'what it signs by, where the file cannot tell').choices([
        ...SCHEME_NAMES,
      ]),
    )
    .action((name: string, file: string, options: AddFlags) => {
      finish(context, options.output, add(context, { name, file }, options), {
        text: ({ use, keyid, scheme, from }) => `${use}/${name} ${keyid} ${scheme} (${from})\n`,
        name: ({ use }) => `${use}/${name}\n`,
      });
    });
}

interface AddFlags extends FleetOptions {
  readonly root: boolean;
  readonly scheme?: string;
}

function add(
  context: CliContext,
  { name, file }: { readonly name: string; readonly file: string },
  options: AddFlags,
): Result<KeyView & { readonly from: string }> {
  const named = checkName(name);
  if (!named.ok) return named;
  const { platform } = context;
  const bytes = readKeyFile(platform.files, resolvePath(context, file));
  if (!bytes.ok) return bytes;
  const use: KeyUse = options.root ? 'root' : 'signing';
  const scheme = options.scheme === undefined ? null : knownScheme(options.scheme);
  const directory = resolvePath(context, options.fleet);
  const given = { file: bytes.value, scheme };
  const key = addKey(platform, directory, { use, name }, given);
  if (!key.ok) return key;
  const { keyid, elsewhere, from } = key.value;
  return ok({ name, use, keyid, scheme: key.value.scheme, elsewhere, roles: [], from });
}

function checkName(name: string): Result<undefined> {
  if (isId(name)) return ok();
  const reason = `${JSON.stringify(name)}: use a-z, 0-9, "." and "-"`;
  return refuse('publish.option', { option: 'name', reason });
}

function keysOf(context: CliContext, options: FleetOptions): Result<readonly KeyView[]> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const { directory, root } = fleet.value;
  const views: KeyView[] = [];
  for (const use of ['root', 'signing'] as const) {
    const keys = listKeys(context.platform, directory, use);
    if (!keys.ok) return keys;
    for (const { name, keyid, scheme, elsewhere } of keys.value) {
      const roles = root.roles.filter(({ keyids }) => keyids.includes(keyid)).map((r) => r.name);
      views.push({ name, use, keyid, scheme, elsewhere, roles });
    }
  }
  return ok(views);
}

async function create(
  context: CliContext,
  name: string,
  options: FleetOptions & { readonly root: boolean; readonly passphrase: boolean },
): Promise<Result<KeyView>> {
  const named = checkName(name);
  if (!named.ok) return named;
  const use: KeyUse = options.root ? 'root' : 'signing';
  const passphrases = passphrasesOf(context, !options.passphrase);
  const passphrase = await passphrases(`${use}/${name}`, 'create');
  if (!passphrase.ok) return passphrase;
  const directory = resolvePath(context, options.fleet);
  const key = await createKey(context.platform, directory, { use, name }, passphrase.value);
  if (!key.ok) return key;
  const { keyid, scheme, elsewhere } = key.value;
  return ok({ name, use, keyid, scheme, elsewhere, roles: [] });
}
