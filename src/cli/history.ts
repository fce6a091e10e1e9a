/** `holdfast history`: what was applied, rejected, undone, rolled back; newest first. */
import { type Command, InvalidArgumentError } from 'commander';
import type { HistoryView } from '#control/api.ts';
import type { CliContext } from './context.ts';
import { type LocalOptions, local, show } from './local.ts';
import { ago, columns, type Painter, painter } from './render.ts';

export function registerHistory(program: Command, context: CliContext): void {
  local(program, 'history', 'what was applied, rejected, undone; newest first')
    .option('-n, --limit <count>', 'how many', positive, 20)
    .action(async (options: LocalOptions & { readonly limit: number }) => {
      const paint = painter(context.terminal);
      const now = context.platform.clock.wallMs();
      await show<readonly HistoryView[]>(context, options, 'history', {
        asked: { query: { limit: `${options.limit}` } },
        text: (rows) => historyText(rows, paint, now),
        name: (rows) => rows.map(({ number }) => `${number}\n`).join(''),
      });
    });
}

export function historyText(rows: readonly HistoryView[], paint: Painter, now: number): string {
  if (rows.length === 0) return 'Nothing has happened yet.\n';
  const several = new Set(rows.map(({ channel }) => channel)).size > 1;
  return columns(
    ['#', 'WHEN', ...(several ? ['CHANNEL'] : []), 'STATE', 'OUTCOME', 'VIA', 'TOOK', ''],
    rows.map((row) => [
      row.number,
      ago(now, row.at),
      ...(several ? [row.channel] : []),
      row.point ?? '–',
      row.outcome === 'applied' ? paint.good(row.outcome) : paint.warn(row.outcome),
      row.via ?? '–',
      `${row.tookMs} ms`,
      row.code ? `${row.code}: ${row.message}` : row.message,
    ]),
  );
}

export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a number from 1');
  return value;
}
