/** History rows as text: the columns of `holdfast history`, and the fields of its JSON. */
import type { HistoryRow } from '#state/channel-row.ts';
import { pointText } from '#state/point.ts';

export interface HistoryFields {
  readonly number: string;
  /** RFC 3339 in UTC, by the wall clock of then */
  readonly at: string;
  readonly channel: string;
  readonly outcome: HistoryRow['outcome'];
  /** "1.57", or empty */
  readonly point: string;
  readonly digest: string;
  readonly via: string;
  readonly code: string;
  readonly message: string;
  /** "850ms", "3.2s", "4m10s" */
  readonly took: string;
}

export function historyFields(row: HistoryRow): HistoryFields {
  return {
    number: row.number.toString(),
    at: instant(row.at),
    channel: row.channel,
    outcome: row.outcome,
    point: row.point ? pointText(row.point) : '',
    digest: row.point ? row.point.stateDigest : '',
    via: row.via ?? '',
    code: row.code ?? '',
    message: row.message,
    took: tookText(row.tookMs),
  };
}

function instant(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

function tookText(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
