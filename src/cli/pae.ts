/**
 * `holdfast pae`: the exact bytes that a signature is over, to a file or pipe for a tool that signs;
 * what they say goes to standard error.
 */
import { type Command, Option } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { PAYLOAD_KINDS, type PayloadKind, toSign } from '#publisher/pae.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import { fail } from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { pairs } from './render.ts';
import { writeOut } from './write-out.ts';

interface Flags {
  readonly out?: string;
  readonly type: PayloadKind;
}

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
  if (flags.out !== undefined) return writeOut(context, flags.out, bytes);
  if (terminal.outBytes(bytes)) return ok(undefined);
  const reason = 'the bytes are not for a terminal; name a file, or redirect';
  return refuse('publish.option', { option: '--out', reason });
}
