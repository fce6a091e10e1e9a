/** What the publisher's commands share: the fleet folder, passphrases, how they end. */
import { type Command, Option } from 'commander';
import { type Code, type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import { ordinaryNames } from '#publisher/channel-names.ts';
import { type Fleet, openFleet } from '#publisher/fleet.ts';
import type { Passphrases } from '#publisher/keys.ts';
import { type OpenRegistry, openFleetRegistry } from '#publisher/line.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { printed } from './local.ts';
import { resolvePath } from './paths.ts';
import { complain, FORMATS, type Format } from './render.ts';

export interface FleetOptions {
  readonly fleet: string;
  readonly output: Format;
}

/** bytes of a passphrase file */
const PASSPHRASE_BYTES = 4_096;

/** A command with `--fleet` and `-o`. */
export function fleetCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .addOption(
      new Option('-C, --fleet <dir>', 'the fleet folder').env('HOLDFAST_FLEET').default('.'),
    )
    .addOption(outputOption());
}

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print').choices([...FORMATS]).default('text');
}

export function openFleetOf(context: CliContext, options: FleetOptions): Result<Fleet> {
  const directory = resolvePath(context, options.fleet);
  return openFleet(context.platform, directory, context.version.buildTime);
}

/** `oci:DIR` and `oci-archive:FILE` with the path as the shell means it; all else as it is. */
export function bundleName(context: CliContext, text: string): string {
  const match = /^(oci|oci-archive):(.+)$/s.exec(text);
  return match?.[2] === undefined ? text : `${match[1]}:${resolvePath(context, match[2])}`;
}

/** The channel that was named, or the only one there is. */
export function channelOr(fleet: Fleet, named: string | undefined): Result<string> {
  if (named !== undefined) return ok(named);
  const [only, ...others] = ordinaryNames(fleet);
  if (only !== undefined && others.length === 0) return ok(only);
  const known = [...fleet.config.channels.keys()].join(', ');
  return refuse('publish.channel-unnamed', { known });
}

/** Runs `work` with the fleet's registry, `publish.no-registry` when it has none. */
export async function withRegistry<T>(
  context: CliContext,
  fleet: Fleet,
  work: (open: OpenRegistry) => Promise<Result<T>>,
): Promise<Result<T>> {
  const open = openFleetRegistry(context.platform, fleet);
  if (!open) return refuse('publish.no-registry', {});
  try {
    return await work(open);
  } finally {
    open.close();
  }
}

/** From HOLDFAST_PASSPHRASE_FILE, else the terminal; asked once for each key. */
export function passphrasesOf(context: CliContext, none = false): Passphrases {
  const { platform, terminal, env } = context;
  const known = new Map<string, string>();
  return async (key, purpose) => {
    if (none && purpose === 'create') return ok(null);
    const before = known.get(key);
    if (before !== undefined) return ok(before);
    const file = env.HOLDFAST_PASSPHRASE_FILE;
    const got =
      file === undefined || file === ''
        ? await typedPassphrase(terminal, key, purpose)
        : fromFile(platform.files.readFile(resolvePath(context, file), PASSPHRASE_BYTES), key);
    if (got.ok) known.set(key, got.value);
    return got;
  };
}

function fromFile(bytes: Result<Uint8Array>, key: string): Result<string> {
  if (!bytes.ok) return bytes;
  const text = new TextDecoder().decode(bytes.value).replace(/\r?\n$/, '');
  const reason = 'the file that HOLDFAST_PASSPHRASE_FILE names is empty';
  return text === '' ? refuse('publish.passphrase', { key, reason }) : ok(text);
}

async function typedPassphrase(
  terminal: CliContext['terminal'],
  key: string,
  purpose: 'open' | 'create',
): Promise<Result<string>> {
  const create = purpose === 'create';
  const typed = await terminal.askSecret(
    `${create ? 'New passphrase' : 'Passphrase'} for ${key}: `,
  );
  const no = (reason: string) => refuse('publish.passphrase', { key, reason });
  if (typed === null) return no('there is no terminal to ask at');
  if (typed === '') return no('nothing was typed');
  if (!create) return ok(typed);
  const again = await terminal.askSecret(`Again, for ${key}: `);
  return again === typed ? ok(typed) : no('the two were not the same');
}

/** Prints the value and ends with 0 or `code`, or says what is wrong and ends with its code. */
export function finish<T>(
  context: CliContext,
  output: Format,
  result: Result<T>,
  print: {
    readonly text: (value: T) => string;
    readonly name: (value: T) => string;
    readonly code?: (value: T) => number;
  },
): void {
  if (result.ok) {
    context.terminal.out(printed(output, result.value, print));
    context.exit(print.code?.(result.value) ?? EXIT.done);
  } else fail(context, result.fault);
}

export function fail(context: CliContext, why: Fault): void {
  complain(context.terminal, why);
  context.exit(publisherExit(why));
}

/** The exit code that a fault stands for, where several may have come up; null: none. */
export function codeOf(why: Pick<Fault, 'code'> | null): number | null {
  return why && publisherExit(why);
}

/** At the desk a plan that does not work out is a mistake in a file, not a failed change. */
const DISTRUSTED: ReadonlySet<Code> = new Set([
  'publish.head-unverified',
  'publish.former-head',
  'publish.root-forked',
]);

function publisherExit({ code }: Pick<Fault, 'code'>): number {
  if (DISTRUSTED.has(code)) return EXIT.refusedByTrust;
  return code.startsWith('plan.') ? EXIT.usage : exitCodeOf(code);
}
