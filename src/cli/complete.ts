/**
 * What may stand where the cursor is: commands, options and their values from the commands themselves;
 * ids from the running agent, channels from there or from the fleet folder. A line each, `value TAB description`;
 * `:files` asks the shell for names of files. Whatever fails offers nothing: a completion never talks.
 */
import type { Command, Option } from 'commander';
import type { StatusView } from '#control/api.ts';
import { ask } from '#control/client.ts';
import { readFleetConfig } from '#publisher/fleet-config.ts';
import type { CliContext } from './context.ts';
import { deploymentsOf, NOUN_NAMES, nounOf } from './nouns.ts';
import { resolvePath } from './paths.ts';

const FILES = ':files';
const RUN_DIR = '/run/holdfast';
/** ms: nobody waits longer for a TAB */
const ASK_MS = 1_000;
const FLEET_BYTES = 1024 * 1024;
const AWAITED = ['applied', 'applied=', 'recovered', 'idle', 'healthy'];

/** A command line up to the cursor, as far as it can be read. */
interface Line {
  readonly command: Command;
  readonly positional: readonly string[];
  /** by long name */
  readonly given: ReadonlyMap<string, string>;
  /** whose value comes next */
  readonly pending: Option | null;
  readonly current: string;
}

export async function candidatesOf(
  program: Command,
  context: CliContext,
  words: readonly string[],
): Promise<readonly string[]> {
  const line = readLine(program, joined(words));
  const found = await offered(line, context);
  return found.filter((one) => one === FILES || one.startsWith(line.current));
}

/** Bash takes `--for=applied` apart at the `=`. */
function joined(words: readonly string[]): readonly string[] {
  const out: string[] = [];
  for (const [at, word] of words.entries()) {
    if (word === '=' && out.at(-1)?.startsWith('--')) {
      if (at === words.length - 1) out.push('');
    } else out.push(word);
  }
  return out;
}

function readLine(program: Command, words: readonly string[]): Line {
  let command = program;
  let pending: Option | null = null;
  const positional: string[] = [];
  const given = new Map<string, string>();
  for (const word of words.slice(0, -1)) {
    if (pending) {
      given.set(pending.long ?? '', word);
      pending = null;
      continue;
    }
    if (word.startsWith('-') && word !== '-') {
      const [flag = '', value] = word.split('=', 2);
      const option = optionOf(command, flag);
      if (!option) continue;
      if (value !== undefined || !(option.required || option.optional)) {
        given.set(option.long ?? '', value ?? '');
      } else pending = option;
      continue;
    }
    const sub =
      positional.length === 0 ? command.commands.find((one) => one.name() === word) : undefined;
    if (sub) command = sub;
    else positional.push(word);
  }
  return { command, positional, given, pending, current: words.at(-1) ?? '' };
}

function optionOf(command: Command, flag: string): Option | null {
  for (let at: Command | null = command; at; at = at.parent) {
    const found = at.options.find(({ long, short }) => long === flag || short === flag);
    if (found) return found;
  }
  return null;
}

async function offered(line: Line, context: CliContext): Promise<readonly string[]> {
  const { command, pending, current } = line;
  if (pending) return valuesOf(pending, line, context);
  const inline = /^(--[\w-]+)=/.exec(current);
  const named = inline ? optionOf(command, inline[1] ?? '') : null;
  if (inline && named) {
    const values = await valuesOf(named, line, context);
    return values.filter((one) => one !== FILES).map((one) => `${inline[0]}${one}`);
  }
  if (current.startsWith('-')) return optionsOf(line);
  return positionalOf(line, context);
}

function optionsOf({ command, given }: Line): readonly string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .filter(({ long, variadic }) => variadic || !given.has(long ?? ''))
    .map((option) => `${option.long ?? option.short}\t${plain(option.description)}`);
}

async function positionalOf(line: Line, context: CliContext): Promise<readonly string[]> {
  const { command, positional } = line;
  const help = command.createHelp();
  const subs =
    positional.length === 0
      ? help.visibleCommands(command).map((sub) => `${sub.name()}\t${plain(sub.description())}`)
      : [];
  const { registeredArguments } = command;
  const argument =
    registeredArguments[positional.length] ??
    (registeredArguments.at(-1)?.variadic ? registeredArguments.at(-1) : undefined);
  if (!argument) return subs;
  if (argument.argChoices) return [...subs, ...argument.argChoices];
  switch (argument.name()) {
    case 'noun':
      return NOUN_NAMES;
    case 'name':
      return namesOf(positional[0] ?? '', line, context);
    case 'deployment':
      return namesOf('deployment', line, context);
    case 'channel':
      return channelsFor(line, context);
    case 'from':
    case 'to':
      return channelsOf(line, context);
    case 'command':
      return (
        command.parent
          ?.createHelp()
          .visibleCommands(command.parent)
          .map((one) => one.name()) ?? []
      );
    default:
      return [...subs, FILES];
  }
}

async function valuesOf(
  option: Option,
  line: Line,
  context: CliContext,
): Promise<readonly string[]> {
  if (option.argChoices) return option.argChoices;
  const { long = '' } = option;
  if (long === '--for') {
    return line.command.name() === 'wait' ? AWAITED : namesOf('deployment', line, context);
  }
  if (long === '--channel') return channelsFor(line, context);
  return /^<(file|dir|folder|bundle|path|key)/.test(/<.*>/.exec(option.flags)?.[0] ?? '')
    ? [FILES]
    : [];
}

/** From the running agent, which answers at once or not at all. */
async function namesOf(word: string, line: Line, context: CliContext): Promise<readonly string[]> {
  const noun = nounIn(word);
  const runDir = line.given.get('--run-dir') ?? context.env.HOLDFAST_RUN_DIR ?? RUN_DIR;
  const abort = new AbortController();
  const cancel = context.platform.clock.after(ASK_MS, () => abort.abort());
  const signal = abort.signal;
  const status = await ask<StatusView>(context.platform.http, runDir, 'status', { signal });
  cancel();
  if (!status.ok) return [];
  if (noun === 'device') return [status.value.device.id];
  if (noun === 'channel') return status.value.channels.map(({ channel }) => channel);
  if (noun !== 'deployment') return [];
  return deploymentsOf(status.value).map(({ id, health }) => `${id}\t${health}`);
}

function nounIn(word: string): string | null {
  try {
    return nounOf(word).noun;
  } catch {
    return null;
  }
}

/** Of the device where the command is for one, else of the fleet folder. */
async function channelsFor(line: Line, context: CliContext): Promise<readonly string[]> {
  const local = optionOf(line.command, '--run-dir') !== null;
  return local ? namesOf('channel', line, context) : channelsOf(line, context);
}

/** Of the fleet folder that the command would use. */
function channelsOf(line: Line, context: CliContext): readonly string[] {
  const folder = line.given.get('--fleet') ?? context.env.HOLDFAST_FLEET ?? '.';
  const directory = resolvePath(context, folder);
  const bytes = context.platform.files.readFile(`${directory}/fleet.yaml`, FLEET_BYTES);
  const config = bytes.ok ? readFleetConfig(bytes.value, directory) : bytes;
  return config.ok ? [...config.value.channels.keys()] : [];
}

function plain(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
