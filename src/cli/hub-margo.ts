/** The options of `holdfast hub` that make it a Margo manager: its port, identity and what it serves. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Hub } from '#hub/hub.ts';
import type { MargoOptions } from '#hub/margo.ts';
import type { Listening } from '#platform/listener.ts';
import { LIMITS } from '#state/limits.ts';
import { MARGO_DIALECTS, type MargoDialect } from '#state/margo.ts';
import type { CliContext } from './context.ts';
import { resolvePath } from './paths.ts';

export interface MargoFlags {
  readonly margoPort?: number;
  readonly margoUrl?: string;
  readonly margoCert?: string;
  readonly margoKey?: string;
  readonly margoBundle?: string;
  readonly margoClients?: string;
  readonly margoServes?: string;
  readonly margoDialects?: readonly MargoDialect[];
  readonly margoAccepted?: string;
  readonly margoCa?: string;
  readonly root?: string;
}

export function margoOptions(command: Command): Command {
  return command
    .option('--margo-port <port>', 'be a Margo manager on this port; 0: any', port)
    .option(
      '--margo-dialects <list>',
      'those it speaks: rc3, rc2, pr1, with commas (default: rc3)',
      dialects,
    )
    .option(
      '--margo-cert <file>',
      'with --margo-port: its X.509-SVID, PEM, intermediates behind it',
    )
    .option('--margo-key <file>', 'with --margo-port: the key of it, PEM')
    .option('--margo-bundle <file>', 'with --margo-port: the trust bundle, a JWK set')
    .option('--margo-serves <repository:channel>', 'with --margo-port: as plant/state:stable')
    .option(
      '--margo-clients <file>',
      'accepted clients, a SPIFFE ID a line; default: all of its own',
    )
    .option(
      '--margo-accepted <file>',
      'with rc2, pr1: certificates that may onboard, a SHA-256 fingerprint a line',
    )
    .option('--margo-ca <file>', 'with rc2, pr1: the root CA that is shown to clients, PEM')
    .addOption(new Option('--margo-url <url>', 'how clients reach it, for discovery'));
}

/** Null: nobody asked for one. */
export async function startHubMargo(
  context: CliContext,
  flags: MargoFlags & { readonly data: string; readonly listen: string },
  { content: disk }: Pick<Hub, 'content'>,
): Promise<Result<Listening | null>> {
  const options = margoOf(context, flags);
  if (!options.ok) return options;
  if (!options.value) return ok(null);
  const { startMargo } = await import('#hub/margo.ts');
  const { platform } = context;
  const folder = resolvePath(context, flags.data);
  const parts = { platform, disk, folder, host: flags.listen };
  const started = await startMargo(parts, options.value);
  if (!started.ok) return started;
  const host = flags.listen.includes(':') ? `[${flags.listen}]` : flags.listen;
  context.terminal.out(`margo     https://${host}:${started.value.port}\n`);
  return started;
}

function margoOf(context: CliContext, flags: MargoFlags): Result<MargoOptions | null> {
  const { margoPort, margoCert, margoKey, margoServes, root, margoAccepted, margoCa } = flags;
  const { margoDialects: spoken = ['rc3'], margoBundle = spoken.includes('rc3') ? undefined : '' } =
    flags;
  if (margoPort === undefined) return ok(null);
  const [, repository, channel] = /^([^:]+):([^:]+)$/.exec(margoServes ?? '') ?? [];
  const needed = {
    ...{ margoCert, margoKey, margoBundle, repository, root },
    ...(spoken.some((one) => one !== 'rc3') && { margoAccepted }),
  };
  const missing = Object.entries(needed).find(([, value]) => value === undefined)?.[0];
  if (missing || !margoCert || !margoKey || !repository || !channel || !root) {
    return refuse('hub.margo-options', { missing: FLAG[missing ?? ''] ?? '--margo-serves' });
  }
  const bytes = context.platform.files.readFile(resolvePath(context, root), LIMITS.rootBytes);
  if (!bytes.ok) return bytes;
  const { margoClients, margoUrl } = flags;
  return ok({
    port: margoPort,
    url: margoUrl?.replace(/\/$/, '') ?? null,
    cert: resolvePath(context, margoCert),
    key: resolvePath(context, margoKey),
    bundle: resolvePath(context, margoBundle ?? ''),
    dialects: spoken,
    accepted: margoAccepted === undefined ? null : resolvePath(context, margoAccepted),
    ca: margoCa === undefined ? null : resolvePath(context, margoCa),
    clients: margoClients === undefined ? null : resolvePath(context, margoClients),
    repository,
    channel,
    root: bytes.value,
  });
}

const FLAG: Readonly<Record<string, string>> = {
  margoCert: '--margo-cert',
  margoKey: '--margo-key',
  margoBundle: '--margo-bundle',
  margoAccepted: '--margo-accepted',
  root: '--root',
};

function dialects(text: string): readonly MargoDialect[] {
  const named = text.split(',').map((one) => one.trim());
  const spoken = MARGO_DIALECTS.filter((one) => named.includes(one));
  if (spoken.length !== named.length) {
    throw new InvalidArgumentError(`Of ${MARGO_DIALECTS.join(', ')}, each once.`);
  }
  return spoken;
}

function port(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= 65_535)) throw new InvalidArgumentError('A port is a number up to 65535.');
  return number;
}
