/**
 * Whether a time service steers the wall clock. The kernel's own word (adjtimex) has no call in
 * either runtime; systemd-timesyncd leaves a mark when it has synchronised, which is what
 * systemd-time-wait-sync looks at, and other services leave nothing (docs/operate.md). Looked up at
 * most every LOOK_MS: views are taken at every connection and statement.
 */
import type { Clock } from '#platform/clock.ts';
import type { Files } from '#platform/files.ts';

export const MARK = { directory: '/run/systemd/timesync', name: 'synchronized' } as const;
const LOOK_MS = 10_000;

export function timeService(
  files: Pick<Files, 'open'>,
  clock: Pick<Clock, 'monotonicMs'>,
  { directory, name }: { readonly directory: string; readonly name: string } = MARK,
): () => boolean {
  let known = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = clock.monotonicMs();
    if (now - lookedAt < LOOK_MS) return known;
    lookedAt = now;
    const opened = files.open(directory, { follow: false });
    if (!opened.ok) {
      known = false;
      return known;
    }
    const entry = opened.value.stat(name);
    opened.value.close();
    known = entry.ok && entry.value?.kind === 'file';
    return known;
  };
}
