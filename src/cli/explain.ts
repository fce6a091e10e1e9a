/** `holdfast explain`: why the agent acts or does not act now. Works without any network. */
import type { Command } from 'commander';
import { readConfig } from '#agent/config.ts';
import { readStartFailure } from '#agent/start-failure.ts';
import type { ExplainView } from '#control/api.ts';
import type { CliContext } from './context.ts';
import { type ChannelOptions, channelAsked, local, ofChannel, show } from './local.ts';
import { resolvePath } from './paths.ts';
import { ago, columns, complain, type Painter, painter, pairs } from './render.ts';

const CONFIG = '/etc/holdfast/agent.yaml';

interface ExplainOptions extends ChannelOptions {
  readonly config: string;
}

export function registerExplain(program: Command, context: CliContext): void {
  const command = local(
    program,
    'explain',
    'why the agent acts or does not act now, check by check',
  );
  ofChannel(command, 'of this one; default: the first that has something to tell')
    .option('-c, --config <file>', 'agent.yaml', context.env.HOLDFAST_CONFIG ?? CONFIG)
    .action(async (options: ExplainOptions) => {
      const paint = painter(context.terminal);
      const now = context.platform.clock.wallMs();
      const told = await show<ExplainView>(context, options, 'explain', {
        asked: { query: channelAsked(options) },
        text: (view) => explainText(view, paint, now),
        name: (view) => `${view.verdict}\n`,
      });
      if (told === null) whyNone(context, options);
    });
}

/** No agent answered: what is known of why. */
function whyNone(context: CliContext, options: ExplainOptions): void {
  const { platform, terminal } = context;
  const config = readConfig(platform.files, resolvePath(context, options.config));
  const isOther = !config.ok && config.fault.code === 'config.unreadable';
  if (!config.ok && !isOther) {
    complain(terminal, config.fault);
    return;
  }
  const runDir = config.ok ? config.value.runDir : options.runDir;
  const failed = readStartFailure(platform.files, runDir);
  if (!failed) return;
  const message = `${failed.message} (its last start, ${ago(platform.clock.wallMs(), failed.at)})`;
  complain(terminal, { ...failed, message });
}

export function explainText(view: ExplainView, paint: Painter, now: number): string {
  const cure = view.cure ? `${paint.dim('→')} ${view.cure}\n` : '';
  const { look } = view;
  const looked = look
    ? `\nLast look: ${ago(now, look.at)}, woken by ${look.wake}, ${look.source}: ${look.result}\n`
    : '';
  const rows = view.checks.map((check) => [
    `${check.number}`.padStart(2),
    check.name,
    check.passed ? paint.good('passed') : paint.bad('failed'),
    check.compared,
  ]);
  const table = columns(['CHECK', '', '', 'COMPARED'], rows);
  const facts = pairs(view.facts.map(({ name, value }) => [name, value] as const));
  const also = (view.also ?? [])
    .map((one) => `${paint.warn(one.verdict)}\n${paint.dim('→')} ${one.cure}\n`)
    .join('');
  return `${paint.strong(view.verdict)}\n${cure}${also}${looked}${table}\n${facts}`;
}
