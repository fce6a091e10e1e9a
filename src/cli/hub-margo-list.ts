/** `holdfast hub margo`: what the clients of this Margo manager have told: devices, children, deployments. */
import { type Command, Option } from 'commander';
import type { MargoClientListing } from '#hub/margo-listing.ts';
import type { CliContext } from './context.ts';
import { finish } from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { columns, FORMATS, type Format } from './render.ts';

interface Options {
  readonly data: string;
  readonly output: Format;
}

export function registerHubMargo(hub: Command, context: CliContext): void {
  const { env } = context;
  hub
    .command('margo')
    .description('devices, children and deployments as the clients of this Margo manager tell them')
    .addOption(
      new Option('--data <folder>', 'the folder of the hub').default(
        env.HOLDFAST_HUB_DATA ?? 'hub-data',
      ),
    )
    .addOption(
      new Option('-o, --output <format>', 'how to print').choices([...FORMATS]).default('text'),
    )
    .action((options: Options, command: Command) => list(context, options, command));
}

async function list(context: CliContext, options: Options, command: Command): Promise<void> {
  const { listMargoClients } = await import('#hub/margo-listing.ts');
  // `--data` may stand before `margo` as well: it is the hub's.
  const own = command.getOptionValueSource('data') === 'default';
  const data = (own && command.parent?.opts<Options>().data) || options.data;
  const listed = listMargoClients(context.platform.files, resolvePath(context, data));
  finish(context, options.output, listed, { text: listText, name: listNames });
}

function listText(clients: readonly MargoClientListing[]): string {
  if (clients.length === 0) return 'No client has asked yet.\n';
  const rows = clients.flatMap(({ client, devices, deployments }) => [
    ...devices
      .filter(({ id }) => deployments.every(({ device }) => device !== id))
      .map(({ id }) => [id, '', '', '', '', client]),
    ...deployments.map((one) => [
      ...[one.device, one.id, one.state, one.adoptedManifestVersion, one.error, client],
    ]),
  ]);
  const head = ['DEVICE', 'DEPLOYMENT', 'STATE', 'MANIFEST', 'ERROR', 'CLIENT'];
  return rows.length > 0 ? columns(head, rows) : 'No client has told of a device yet.\n';
}

function listNames(clients: readonly MargoClientListing[]): string {
  return clients.flatMap(({ devices }) => devices.map(({ id }) => `${id}\n`)).join('');
}
