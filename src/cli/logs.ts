/** `holdfast logs DEPLOYMENT`: what a supervised program printed. */
import type { Command } from 'commander';
import { askBytes } from '#control/client.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { positive } from './history.ts';
import { type LocalOptions, local } from './local.ts';
import { complain } from './render.ts';

interface Options extends LocalOptions {
  readonly component?: string;
  readonly lines: number;
  readonly follow?: boolean;
}

export function registerLogs(program: Command, context: CliContext): void {
  local(program, 'logs', 'what a program of a deployment printed')
    .argument('<deployment>')
    .option('-c, --component <name>', 'one program of several')
    .option('-n, --lines <count>', 'the last lines', positive, 100)
    .option('-f, --follow', 'go on as it prints')
    .action((deployment: string, options: Options) => logs(context, deployment, options));
}

async function logs(context: CliContext, deployment: string, options: Options): Promise<void> {
  const { platform, terminal } = context;
  const abort = new AbortController();
  const unsubscribe = context.onSignal('stop', () => abort.abort());
  const decoder = new TextDecoder();
  const asked = await askBytes(platform.http, options.runDir, 'logs', {
    query: {
      deployment,
      lines: `${options.lines}`,
      follow: options.follow === true ? 'true' : 'false',
      ...(options.component === undefined ? {} : { component: options.component }),
    },
    signal: abort.signal,
    onBytes: (bytes) => terminal.out(decoder.decode(bytes, { stream: true })),
  });
  unsubscribe();
  if (asked.ok || abort.signal.aborted) return context.exit(EXIT.done);
  complain(terminal, asked.fault);
  context.exit(exitCodeOf(asked.fault.code));
}
