/** The end of a change as a line of `holdfast history`. */
import type { Fault } from '#errors/fault.ts';
import { stepText } from '#plan/steps.ts';
import type { HistoryRow } from '#state/channel-row.ts';
import type { ApplyContext, Change } from './transaction.ts';

export function historyOf(
  { clock }: ApplyContext,
  change: Change,
  outcome: HistoryRow['outcome'],
  why: Fault | null,
): Omit<HistoryRow, 'number'> {
  return {
    at: clock.wallMs(),
    channel: change.channel,
    outcome,
    point: change.to,
    via: change.via,
    code: why?.code ?? null,
    message: why?.message ?? change.steps.map(stepText).slice(0, 8).join(', '),
    tookMs: Math.max(0, Math.round(clock.monotonicMs() - change.startedAt)),
    ...(change.part && { deployment: change.part.slice(0, 8).join(', ') }),
  };
}
