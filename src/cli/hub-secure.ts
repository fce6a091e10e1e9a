/** The options of `holdfast hub` that make it a hub with TLS: names, what devices are told, lives. */
import { type Command, InvalidArgumentError } from 'commander';
import { ok, type Result } from '#errors/fault.ts';
import type { SecureOptions } from '#hub/secure.ts';
import { LIMITS } from '#state/limits.ts';
import { isId } from '#state/names.ts';
import { parseDuration } from '#state/quantity.ts';
import type { CliContext } from './context.ts';
import { resolvePath } from './paths.ts';

export interface SecureFlags {
  readonly tls?: boolean;
  readonly name: readonly string[];
  readonly root?: string;
  readonly repository?: string;
  readonly channel?: string;
  readonly credentialLife: number;
  readonly renewGrace: number;
}

const DAY_MS = 86_400_000;
const LIFE_MAX_MS = 3_650 * DAY_MS;
const ALWAYS = ['localhost', '127.0.0.1', '::1'];

export function secureOptions(command: Command, context: CliContext): Command {
  const { env } = context;
  const names = env.HOLDFAST_HUB_NAMES?.split(',').filter((name) => name !== '') ?? [];
  return command
    .option('--tls', 'TLS by an authority of its own; devices enrol, operators have secrets')
    .option(
      '--name <host...>',
      'with --tls: names and addresses of this hub, the first for devices',
      names,
    )
    .option('--root <file>', 'with --tls: the root document that enrolled devices are given')
    .option('--repository <name>', 'with --tls: where devices look, as plant/state')
    .option('--channel <name>', 'with --tls: the channel that devices follow', channel)
    .option('--credential-life <duration>', 'with --tls: of a device, as 90d', life, 90 * DAY_MS)
    .option(
      '--renew-grace <duration>',
      'with --tls: how long after its end the device key alone renews it',
      grace,
      180 * DAY_MS,
    );
}

/** Null: no TLS. */
export function secureOf(
  context: CliContext,
  listen: string,
  flags: SecureFlags,
): Result<SecureOptions | null> {
  if (flags.tls !== true) return ok(null);
  const root =
    flags.root === undefined
      ? ok(null)
      : context.platform.files.readFile(resolvePath(context, flags.root), LIMITS.rootBytes);
  if (!root.ok) return root;
  const everywhere = ['0.0.0.0', '::'].includes(listen);
  const own = everywhere ? [] : [listen];
  return ok({
    names: [...new Set([...flags.name, ...own, ...ALWAYS])],
    root: root.value,
    repository: flags.repository ?? '',
    channel: flags.channel ?? '',
    lifeMs: flags.credentialLife,
    graceMs: flags.renewGrace,
  });
}

/** As durations are written everywhere: `90d`, `12h`, `1h30m`. */
export function timeSpan(text: string, maxMs: number): number {
  const ms = parseDuration(text) ?? 0;
  if (ms > 0 && ms <= maxMs) return ms;
  throw new InvalidArgumentError(`A time like 90d, 12h or 30m, up to ${maxMs / DAY_MS}d.`);
}

function life(text: string): number {
  return timeSpan(text, LIFE_MAX_MS);
}

function grace(text: string): number {
  return text === '0' ? 0 : timeSpan(text, LIFE_MAX_MS);
}

function channel(text: string): string {
  if (!isId(text)) throw new InvalidArgumentError('A channel name: a-z 0-9 . -');
  return text;
}
