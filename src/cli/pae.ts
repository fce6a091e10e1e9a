/**
 * `holdfast pae`: the exact bytes that a signature is over, to a file or pipe for a tool that signs;
 * what they say goes to standard error.
 */
import { type Command, Option } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { PAYLOAD_KINDS, type PayloadKind, toSign } from '#publisher/pae.ts';
import { splitLast } from '#publisher/place.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import { fail } from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { pairs } from './render.ts';

interface Flags {
  readonly out?: string;
  readonly type: PayloadKind;
}

const FILE_MODE = 0o644;

export function registerPae(program: Command, context: CliContext): void {
  program
    .command('pae')
    .description('prints the exact bytes that a signature is over (the PAE of DSSE)')
    .argument('<what>', 'a folder below signed/, a DSSE envelope, or a payload')
    .option('--out <file>', 'a new file, instead of standard output')
    .addOption(
      new Option('--type <kind>', 'what a bare payload is')
        .choices([...PAYLOAD_KINDS])
        .default('state'),
    )
    .action(async (what: string, flags: Flags) => {
      const done = await print(context, what, flags);
      if (done.ok) context.exit(EXIT.done);
      else fail(context, done.fault);
    });
}

async function print(context: CliContext, what: string, flags: Flags): Promise<Result<void>> {
  const { platform, terminal } = context;
  const found = await toSign(platform.files, resolvePath(context, what), flags.type);
  if (!found.ok) return found;
  const { bytes, says } = found.value;
  terminal.err(pairs(says));
  if (flags.out !== undefined) return write(context, resolvePath(context, flags.out), bytes);
  if (terminal.outBytes(bytes)) return ok(undefined);
  const reason = 'the bytes are not for a terminal; name a file, or redirect';
  return refuse('publish.option', { option: '--out', reason });
}

function write({ platform }: CliContext, path: string, bytes: Uint8Array): Result<void> {
  const { directory, name } = splitLast(path);
  const folder = platform.files.open(directory, { follow: true });
  if (!folder.ok) return folder;
  const wrote = folder.value.write(name, bytes, FILE_MODE);
  folder.value.close();
  return wrote;
}
