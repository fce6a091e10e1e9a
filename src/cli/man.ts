/** `holdfast man`: the man pages, made from the commands themselves. */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { resolvePath } from './paths.ts';
import { complain } from './render.ts';
import { type ManPage, manPages } from './roff.ts';

const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;

export function registerMan(program: Command, context: CliContext): void {
  program
    .command('man')
    .description('man pages: prints one as roff (holdfast man | man -l -), or writes all of them')
    .argument('[command]', 'of which command; default: holdfast itself')
    .option('--dir <folder>', 'writes every page there, as NAME.1: /usr/local/share/man/man1')
    .action((command: string | undefined, options: { readonly dir?: string }) => {
      const pages = manPages(program, context.version);
      const done =
        options.dir === undefined
          ? print(context, pages, command)
          : write(context, pages, resolvePath(context, options.dir));
      if (done.ok) return context.exit(EXIT.done);
      complain(context.terminal, done.fault);
      context.exit(exitCodeOf(done.fault.code));
    });
}

function print(
  { terminal }: CliContext,
  pages: readonly ManPage[],
  command: string | undefined,
): Result<void> {
  const name = command === undefined ? 'holdfast' : `holdfast-${command.replace(/^holdfast-/, '')}`;
  const page = pages.find((one) => one.name === name);
  if (!page) return refuse('config.no-page', { name });
  terminal.out(page.text);
  return ok(undefined);
}

function write(
  { platform, terminal }: CliContext,
  pages: readonly ManPage[],
  folder: string,
): Result<void> {
  const directory = platform.files.open(folder, { follow: true, create: FOLDER_MODE });
  if (!directory.ok) return directory;
  try {
    for (const { name, text } of pages) {
      const working = `.${name}.1.writing`;
      directory.value.removeTree(working);
      const wrote = directory.value.write(working, Buffer.from(text), FILE_MODE);
      const named = wrote.ok ? directory.value.rename(working, `${name}.1`) : wrote;
      if (!named.ok) return named;
    }
    terminal.out(`${pages.length} pages in ${folder}\n`);
    return directory.value.sync();
  } finally {
    directory.value.close();
  }
}
