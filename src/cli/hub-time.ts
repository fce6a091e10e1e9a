/**
 * `holdfast hub --time-key`: a time authority beside registry and broker, as `time serve` is one. It
 * speaks to the broker and reads the heads as fleet.yaml names them: as anybody would.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { ok, type Result } from '#errors/fault.ts';
import type { ServedTime } from '#publisher/time-serve.ts';
import type { CliContext } from './context.ts';
import { startAuthority } from './time-authority.ts';

export interface HubTimeFlags {
  readonly timeKey: readonly string[];
  readonly fleet: string;
  readonly timePort: number;
}

export function timeOptions(command: Command, context: CliContext): Command {
  const { env } = context;
  return command
    .option('--time-key <file...>', 'say what time it is, with these keys of the role time', [])
    .option('--fleet <dir>', 'with --time-key: the fleet folder', env.HOLDFAST_FLEET ?? '.')
    .option('--time-port <port>', 'with --time-key: for HTTP on loopback; 0: any', portOf, 5090);
}

/** Null: nobody asked for one. HTTP is for this host; devices elsewhere ask over MQTT. */
export async function startHubTime(
  context: CliContext,
  { timeKey: key, fleet, timePort: port }: HubTimeFlags,
): Promise<Result<ServedTime | null>> {
  if (key.length === 0) return ok(null);
  const flags = { fleet, key, listen: '127.0.0.1', port, insecure: false };
  return startAuthority(context, flags);
}

function portOf(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= 65_535)) throw new InvalidArgumentError('A port is a number up to 65535.');
  return number;
}
