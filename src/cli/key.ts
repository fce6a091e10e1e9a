/** `holdfast key create|list`: the keys of a fleet folder. */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { createKey, type KeyUse, listKeys } from '#publisher/keys.ts';
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
            ['NAME', 'USE', 'KEYID', 'ROLES'],
            keys.map(({ name, use, keyid, roles }) => [
              name,
              use,
              keyid.slice(0, 16),
              roles.join(', ') || '–',
            ]),
          ),
        name: (keys) => keys.map(({ use, name }) => `${use}/${name}\n`).join(''),
      });
    },
  );
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

function keysOf(context: CliContext, options: FleetOptions): Result<readonly KeyView[]> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const { directory, root } = fleet.value;
  const views: KeyView[] = [];
  for (const use of ['root', 'signing'] as const) {
    const keys = listKeys(context.platform, directory, use);
    if (!keys.ok) return keys;
    for (const { name, keyid } of keys.value) {
      const roles = root.roles.filter(({ keyids }) => keyids.includes(keyid)).map((r) => r.name);
      views.push({ name, use, keyid, roles });
    }
  }
  return ok(views);
}

async function create(
  context: CliContext,
  name: string,
  options: FleetOptions & { readonly root: boolean; readonly passphrase: boolean },
): Promise<Result<KeyView>> {
  if (!isId(name)) {
    const reason = `${JSON.stringify(name)}: use a-z, 0-9, "." and "-"`;
    return refuse('publish.option', { option: 'name', reason });
  }
  const use: KeyUse = options.root ? 'root' : 'signing';
  const passphrases = passphrasesOf(context, !options.passphrase);
  const passphrase = await passphrases(`${use}/${name}`, 'create');
  if (!passphrase.ok) return passphrase;
  const directory = resolvePath(context, options.fleet);
  const key = await createKey(context.platform, directory, { use, name }, passphrase.value);
  return key.ok ? ok({ name, use, keyid: key.value.keyid, roles: [] }) : key;
}
