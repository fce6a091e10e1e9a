/**
 * Man pages from the same commands that print `--help`: nothing is written twice. Only the macros of
 * man(7) that every formatter knows.
 * @see man(7), groff_man(7)
 */
import type { Argument, Command, Option } from 'commander';
import type { Version } from './context.ts';

export interface ManPage {
  /** `holdfast-root` of holdfast-root(1) */
  readonly name: string;
  readonly text: string;
}

/** FORMATS: Exit codes */
const EXITS: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'done'],
  ['1', 'diff, plan: there is a difference; wait: it did not come true'],
  ['2', 'the command line or a configuration is wrong'],
  ['3', 'refused: a check of trust failed'],
  ['4', 'no link'],
  ['5', 'no agent answers'],
  ['6', 'a change failed and was undone'],
  ['70', 'a broken assumption'],
];

/** holdfast(1), and one page for each command below it. */
export function manPages(program: Command, version: Version): readonly ManPage[] {
  const commands = visible(program);
  const own = pageOf(program, [], version, commands);
  return [own, ...commands.map((command) => pageOf(command, [program.name()], version, commands))];
}

function pageOf(
  command: Command,
  above: readonly string[],
  version: Version,
  siblings: readonly Command[],
): ManPage {
  const path = [...above, command.name()];
  const name = path.join('-');
  const date = new Date(version.buildTime).toISOString().slice(0, 10);
  const title = name.toUpperCase();
  const subs = above.length === 0 ? [] : visible(command);
  const text = [
    `.TH ${title} 1 ${date} "holdfast ${safe(version.version)}" "Holdfast"`,
    '.SH NAME',
    `${safe(name)} \\- ${safe(oneLine(command.description()))}`,
    '.SH SYNOPSIS',
    ...synopsis(command, path),
    ...subs.flatMap((sub) => ['.br', ...synopsis(sub, [...path, sub.name()])]),
    '.SH DESCRIPTION',
    paragraph(command.description()),
    ...details(command),
    ...subs.flatMap((sub) => section([...path, sub.name()], sub)),
    ...(above.length === 0 ? commandList(siblings) : []),
    '.SH EXIT STATUS',
    ...EXITS.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, safe(meaning)]),
    '.SH SEE ALSO',
    seeAlso(name, above.length === 0 ? siblings : []),
  ];
  return { name, text: `${text.filter((line) => line !== '').join('\n')}\n` };
}

function visible(command: Command): readonly Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((sub) => sub.name() !== 'help');
}

function synopsis(command: Command, path: readonly string[]): readonly string[] {
  const usage = command.createHelp().commandUsage(command);
  const rest = usage.slice(usage.indexOf(command.name()) + command.name().length).trim();
  return [`.B ${safe(path.join(' '))}`, safe(rest)];
}

/** A command of a command stands in the page of the one above it. */
function section(path: readonly string[], command: Command): readonly string[] {
  return [
    `.SH ${safe(path.slice(1).join(' ').toUpperCase())}`,
    paragraph(command.description()),
    ...details(command),
  ];
}

function details(command: Command): readonly string[] {
  const help = command.createHelp();
  const args = help.visibleArguments(command);
  const options = help.visibleOptions(command);
  return [
    ...args.flatMap((argument) => argumentRow(argument)),
    ...options.flatMap((option) => optionRow(option, help.optionDescription(option))),
  ];
}

function argumentRow(argument: Argument): readonly string[] {
  return ['.TP', `.I ${safe(argument.name())}`, safe(oneLine(argument.description))];
}

function optionRow(option: Option, description: string): readonly string[] {
  return ['.TP', `.B ${safe(option.flags)}`, safe(oneLine(description))];
}

function commandList(commands: readonly Command[]): readonly string[] {
  return [
    '.SH COMMANDS',
    ...commands.flatMap((command) => [
      '.TP',
      `.B ${safe(command.name())}`,
      safe(oneLine(command.description())),
    ]),
  ];
}

function seeAlso(name: string, commands: readonly Command[]): string {
  if (commands.length === 0) return '.BR holdfast (1)';
  return commands
    .map((one, at) => `.BR ${name}\\-${safe(one.name())} (1)${at + 1 < commands.length ? ',' : ''}`)
    .join('\n');
}

function paragraph(text: string): string {
  return `${safe(oneLine(text)).replace(/([^.])$/, '$1.')}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** Characters that roff would read as its own; others than ASCII by their number. */
function safe(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replaceAll('`', '\\(ga')
    .replaceAll("'", '\\(aq');
  const ascii = escaped.replace(
    /[^\x20-\x7e]/gu,
    (character) =>
      `\\[u${(character.codePointAt(0) ?? 63).toString(16).toUpperCase().padStart(4, '0')}]`,
  );
  return ascii.startsWith('.') ? `\\&${ascii}` : ascii;
}
