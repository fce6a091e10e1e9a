/** `holdfast plan`: what the next state would change, restart and download, without doing it. */
import type { Command } from 'commander';
import type { PlanView } from '#control/api.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import { type ChannelOptions, channelAsked, local, ofChannel, show } from './local.ts';
import { bytesText, columns, type Painter, painter } from './render.ts';

export function registerPlan(program: Command, context: CliContext): void {
  ofChannel(
    local(program, 'plan', 'what the next state would change here; changes nothing'),
    'which; needed where this device follows several',
  ).action(async (options: ChannelOptions) => {
    const paint = painter(context.terminal);
    const plan = await show<PlanView>(context, options, 'plan', {
      asked: { query: channelAsked(options) },
      text: (view) => planText(view, paint),
      name: (view) => view.steps.map((step) => `${step.action}/${step.deployment}\n`).join(''),
    });
    if (plan && plan.steps.length > 0) context.exit(EXIT.differs);
  });
}

export function planText(view: PlanView, paint: Painter): string {
  const from = view.applied ?? 'nothing';
  if (view.fault) {
    return `${paint.warn(view.result)}: ${view.fault.code}: ${view.fault.message}\n${paint.dim('→')} ${view.fault.remedy}\n`;
  }
  if (view.steps.length === 0) return `${from} is applied; nothing to change (${view.result}).\n`;
  const rows = view.steps.map((step) => [
    step.action,
    step.deployment,
    step.runtime,
    step.restarts ? 'restarts' : '',
    step.targets.join(' '),
  ]);
  const { blobs, bytes } = view.downloads;
  return (
    `${from} → ${paint.strong(view.offered ?? '')}\n\n` +
    columns(['ACTION', 'DEPLOYMENT', 'RUNTIME', '', 'TARGETS'], rows) +
    `\n${view.unchanged} unchanged; ${blobs} ${blobs === 1 ? 'blob' : 'blobs'} to download, ${bytesText(bytes)}\n` +
    (view.waits ? `${paint.warn('waits')}: ${view.waits.code}: ${view.waits.message}\n` : '')
  );
}
