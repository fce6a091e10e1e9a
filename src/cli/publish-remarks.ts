/** What `publish` says of documents that it takes although they are unwise: some, and where the rest is. */
import type { Fleet } from '#publisher/fleet.ts';
import { unwiseDocuments } from '#publisher/lint.ts';
import type { CliContext } from './context.ts';
import { painter } from './render.ts';

const SHOWN_MAX = 3;

export function warnOfDocuments(
  { platform, terminal }: CliContext,
  fleet: Fleet,
  channel: string,
): void {
  const paint = painter(terminal);
  const remarks = unwiseDocuments(platform, fleet, channel);
  for (const { code, file, line, column, message } of remarks.slice(0, SHOWN_MAX)) {
    terminal.err(`${paint.warn('warning')} ${code}: ${file}:${line}:${column}: ${message}\n`);
  }
  const more = remarks.length - SHOWN_MAX;
  const rest = more > 0 ? `${more} more; ` : '';
  if (remarks.length > 0) terminal.err(`${paint.dim('  →')} ${rest}what to do: holdfast lint\n`);
}
