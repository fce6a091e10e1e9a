/** `holdfast apply [BUNDLE]` and `holdfast rollback`: act now, watch, and end with the outcome. */

import type { Command } from 'commander';
import type { ProgressLine } from '#control/api.ts';
import { askLines } from '#control/client.ts';
import type { Code } from '#errors/fault.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { type LocalOptions, local } from './local.ts';
import { resolvePath } from './paths.ts';
import { progressBar } from './progress.ts';
import { complain, painter, structured } from './render.ts';

type End = Extract<ProgressLine, { kind: 'end' }>;

export function registerApply(program: Command, context: CliContext): void {
  local(program, 'apply', 'look now; with BUNDLE: apply this image layout (directory or tar)')
    .argument('[bundle]', 'an OCI image layout, directory or tar')
    .action((bundle: string | undefined, options: LocalOptions) =>
      act(
        context,
        options,
        'apply',
        bundle === undefined ? {} : { bundle: resolvePath(context, bundle) },
      ),
    );
  actCommand(program, context, {
    name: 'rollback',
    route: 'rollback',
    description: 'back to the previous proven state, held until `holdfast resume`',
  });
}

/** `rollout undo` is the same command under another name. */
export function actCommand(
  parent: Command,
  context: CliContext,
  command: { readonly name: string; readonly route: 'rollback'; readonly description: string },
): void {
  local(parent, command.name, command.description).action((options: LocalOptions) =>
    act(context, options, command.route, {}),
  );
}

async function act(
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
  else terminal.out(endText(end, context));
  if (end.fault && output !== 'json' && output !== 'yaml')
    complain(terminal, { ...end.fault, code: end.fault.code as Code });
  context.exit(end.fault ? exitCodeOf(end.fault.code as Code) : EXIT.done);
}

function endText(end: End, { terminal }: CliContext): string {
  const paint = painter(terminal);
  const took = end.tookMs === null ? '' : ` in ${end.tookMs} ms`;
  const offered = end.offered ? ` ${end.offered}` : '';
  const text = `${end.result}${offered}${took}`;
  return `${end.fault ? paint.warn(text) : paint.good(text)}\n`;
}
