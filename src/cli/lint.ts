/** `holdfast lint`: what publish would refuse, and what is unwise; a line each, as compilers print them. */
import type { Command } from 'commander';
import type { Result } from '#errors/fault.ts';
import { fleetChannel } from '#publisher/fleet.ts';
import { lint } from '#publisher/lint.ts';
import type { Gravity, Remark } from '#publisher/remark.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import { type FleetOptions, fail, finish, fleetCommand, openFleetOf } from './fleet-command.ts';
import { type Painter, painter } from './render.ts';

interface Options extends FleetOptions {
  readonly channel?: string;
  readonly strict?: true;
}

export function registerLint(program: Command, context: CliContext): void {
  fleetCommand(program, 'lint', 'what publish would refuse, all of it, and what is unwise')
    .argument('[folder]', 'the fleet folder; default: --fleet')
    .option('--channel <name>', 'this channel’s documents alone')
    .option('--strict', 'ends with 1 when there are warnings')
    .action((folder: string | undefined, options: Options) => {
      const fleet = openFleetOf(
        context,
        folder === undefined ? options : { ...options, fleet: folder },
      );
      if (!fleet.ok) return fail(context, fleet.fault);
      const { channel } = options;
      const known = channel === undefined ? null : fleetChannel(fleet.value, channel);
      if (known && !known.ok && known.fault.code === 'publish.channel-unknown') {
        return fail(context, known.fault);
      }
      const found: Result<readonly Remark[]> = lint(context.platform, fleet.value, channel ?? null);
      finish(context, options.output, found, {
        text: (remarks) => remarksText(remarks, painter(context.terminal)),
        name: (remarks) => remarks.map((one) => `${placeText(one)}\n`).join(''),
        code: (remarks) => codeOf(remarks, options.strict === true),
      });
    });
}

function codeOf(remarks: readonly Remark[], strict: boolean): number {
  if (remarks.some(({ gravity }) => gravity === 'error')) return EXIT.usage;
  const warned = remarks.some(({ gravity }) => gravity === 'warning');
  return strict && warned ? EXIT.differs : EXIT.done;
}

function remarksText(remarks: readonly Remark[], paint: Painter): string {
  const word: Readonly<Record<Gravity, string>> = {
    error: paint.bad('error'),
    warning: paint.warn('warning'),
    note: paint.dim('note'),
  };
  const lines = remarks.map((one) => {
    const head = `${paint.strong(placeText(one))}: ${word[one.gravity]} ${one.code}: ${one.message}`;
    return `${head}\n${paint.dim('  →')} ${one.remedy}\n`;
  });
  const count = (gravity: Gravity) => remarks.filter((one) => one.gravity === gravity).length;
  const sum = `${count('error')} errors, ${count('warning')} warnings, ${count('note')} notes\n`;
  return lines.join('') + sum;
}

/** As editors and CI read it. */
function placeText({ file, line, column }: Remark): string {
  return line === 0 ? file : `${file}:${line}:${column}`;
}
