/** The commands of `holdfast`, one file each beside this one. */
import { Command, CommanderError } from 'commander';
import { EXIT } from './exit.ts';
import { buildVersion, versionLine } from './version.ts';

/** Runs one command line, without the program's own name; resolves to the exit code. */
export async function runCli(
  argv: readonly string[],
  _env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const program = new Command('holdfast')
    .description('Keeps edge devices at their signed desired state, whatever the link does.')
    .version(versionLine(buildVersion()))
    .exitOverride();
  try {
    await program.parseAsync(argv, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    // Commander has printed help, version or what is wrong with the command line.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    throw error;
  }
}
