/** What the commands that speak to the running agent share: where its sockets are, how they print. */
import { type Command, Option } from 'commander';
import type { Route } from '#control/api.ts';
import { type Asked, ask } from '#control/client.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { complain, FORMATS, type Format, structured } from './render.ts';

const RUN_DIR = '/run/holdfast';

export interface LocalOptions {
  readonly runDir: string;
  readonly output: Format;
}

/** A command with `--run-dir` and, where it prints something, `-o`. */
export function local(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .addOption(
      new Option('--run-dir <dir>', 'where the agent has its sockets')
        .env('HOLDFAST_RUN_DIR')
        .default(RUN_DIR),
    )
    .addOption(
      new Option('-o, --output <format>', 'how to print').choices([...FORMATS]).default('text'),
    );
}

/** `--channel`: which one, where a device follows several. */
export function ofChannel(command: Command, description: string): Command {
  return command.option('--channel <name>', description);
}

export interface ChannelOptions extends LocalOptions {
  readonly channel?: string;
}

/** As a question or a body carries it: left out where none was named. */
export function channelAsked({ channel }: ChannelOptions): { readonly channel?: string } {
  return channel === undefined ? {} : { channel };
}

/** Asks, prints, and ends with the exit code of the answer. */
export async function show<T>(
  context: CliContext,
  options: LocalOptions,
  route: Route,
  print: {
    readonly text: (value: T) => string;
    readonly name: (value: T) => string;
    readonly asked?: Asked;
  },
): Promise<T | null> {
  const answer = await ask<T>(context.platform.http, options.runDir, route, print.asked ?? {});
  if (!answer.ok) {
    complain(context.terminal, answer.fault);
    context.exit(exitCodeOf(answer.fault.code));
    return null;
  }
  const { value } = answer;
  context.terminal.out(printed(options.output, value, print));
  context.exit(EXIT.done);
  return value;
}

export function printed<T>(
  format: Format,
  value: T,
  print: { readonly text: (value: T) => string; readonly name: (value: T) => string },
): string {
  if (format === 'json' || format === 'yaml') return structured(format, value);
  return format === 'name' ? print.name(value) : print.text(value);
}
