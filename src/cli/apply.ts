/** `holdfast apply [BUNDLE]` and `holdfast rollback`: act now, watch, and end with the outcome. */

import type { Command } from 'commander';
import type { ProgressLine, TimeTakenView } from '#control/api.ts';
import { ask, askLines } from '#control/client.ts';
import type { Code } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { type ChannelOptions, channelAsked, type LocalOptions, local, ofChannel } from './local.ts';
import { resolvePath } from './paths.ts';
import { progressBar } from './progress.ts';
import { complain, painter, structured } from './render.ts';

interface ApplyOptions extends LocalOptions {
  readonly time?: string;
  readonly now?: boolean;
}

type End = Extract<ProgressLine, { kind: 'end' }>;

export function registerApply(program: Command, context: CliContext): void {
  local(program, 'apply', 'look now; with BUNDLE: apply this image layout (directory or tar)')
    .argument('[bundle]', 'an OCI image layout, directory or tar')
    .option('--time <file>', 'take this signed time statement first (`holdfast time sign`)')
    .option('--now', 'wait neither for the spread nor for a maintenance window')
    .action(async (bundle: string | undefined, options: ApplyOptions) => {
      if (options.time !== undefined && !(await takeTime(context, options, options.time))) return;
      const body = bundle === undefined ? {} : { bundle: resolvePath(context, bundle) };
      await act(context, options, 'apply', { ...body, now: options.now === true });
    });
  rollbackCommand(
    local(program, 'rollback', 'back to the previous proven state, held until `holdfast resume`'),
    context,
  );
}

/** `rollout undo` is the same command under another name. */
export function rollbackCommand(command: Command, context: CliContext): void {
  ofChannel(command, 'which; needed where this device follows several').action(
    (options: ChannelOptions) => act(context, options, 'rollback', channelAsked(options)),
  );
}

/** False: it does not count, and the command has ended. */
async function takeTime(
  context: CliContext,
  { runDir, output }: ApplyOptions,
  file: string,
): Promise<boolean> {
  const { platform, terminal } = context;
  const bytes = platform.files.readFile(resolvePath(context, file), LIMITS.timeBytes);
  const statement = bytes.ok ? new TextDecoder().decode(bytes.value) : '';
  const taken = bytes.ok
    ? await ask<TimeTakenView>(platform.http, runDir, 'time', { body: { statement } })
    : bytes;
  if (!taken.ok) {
    complain(terminal, taken.fault);
    context.exit(exitCodeOf(taken.fault.code));
    return false;
  }
  const { attested, at } = taken.value;
  const what = attested ? 'the time is attested' : at === 0 ? 'known before' : 'a lower bound';
  if (output === 'text') terminal.out(`time: ${what}\n`);
  return true;
}

export async function act(
  context: CliContext,
  options: LocalOptions,
  route: 'apply' | 'rollback',
  body: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { terminal, platform } = context;
  const bar = progressBar(terminal);
  let end: End | null = null;
  const asked = await askLines(platform.http, options.runDir, route, {
    body,
    onLine: (line) => {
      if (line.kind === 'end') end = line;
      else bar.update(line);
    },
  });
  bar.end();
  if (!asked.ok) {
    complain(terminal, asked.fault);
    return context.exit(exitCodeOf(asked.fault.code));
  }
  finish(context, options, end);
}

function finish(context: CliContext, { output }: LocalOptions, end: End | null): void {
  const { terminal } = context;
  if (!end) {
    const message = 'the agent ended before the change did';
    complain(terminal, {
      code: 'control.no-agent',
      message,
      remedy: 'Look with `holdfast status`.',
    });
    context.exit(EXIT.noAgent);
    return;
  }
  if (output === 'json' || output === 'yaml') terminal.out(structured(output, end));
  else terminal.out(endsText(end, context));
  if (end.fault && output !== 'json' && output !== 'yaml')
    complain(terminal, { ...end.fault, code: end.fault.code as Code });
  context.exit(end.fault ? exitCodeOf(end.fault.code as Code) : EXIT.done);
}

type Ending = Pick<End, 'result' | 'offered' | 'tookMs' | 'fault'>;

/** A line for each channel where there are several. */
function endsText(end: End, context: CliContext): string {
  if (!end.channels) return endText(end, context);
  return end.channels.map((one) => `${one.channel}: ${endText(one, context)}`).join('');
}

function endText(end: Ending, { terminal }: CliContext): string {
  const paint = painter(terminal);
  const took = end.tookMs === null ? '' : ` in ${end.tookMs} ms`;
  const offered = end.offered ? ` ${end.offered}` : '';
  const text = `${end.result}${offered}${took}`;
  return `${end.fault ? paint.warn(text) : paint.good(text)}\n`;
}
