/** `holdfast explain`: why the agent acts or does not act now. Works without any network. */
import type { Command } from 'commander';
import type { ExplainView } from '#control/api.ts';
import type { CliContext } from './context.ts';
import { type LocalOptions, local, show } from './local.ts';
import { ago, columns, type Painter, painter, pairs } from './render.ts';

export function registerExplain(program: Command, context: CliContext): void {
  local(program, 'explain', 'why the agent acts or does not act now, check by check').action(
    async (options: LocalOptions) => {
      const paint = painter(context.terminal);
      const now = context.platform.clock.wallMs();
      await show<ExplainView>(context, options, 'explain', {
        text: (view) => explainText(view, paint, now),
        name: (view) => `${view.verdict}\n`,
      });
    },
  );
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
  return `${paint.strong(view.verdict)}\n${cure}${looked}${table}\n${facts}`;
}
