/** The audit journal of a state directory whose agent does not run; no record of it changes. */
import type { Result } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { Journal } from '#state/audit.ts';
import { openStoreToRead } from '#store/open.ts';

/** `store.locked` when an agent runs there: it is asked over its socket instead. */
export function readJournalOffline(
  platform: Pick<Platform, 'files' | 'locks' | 'processes'>,
  stateDir: string,
): Result<Journal> {
  const store = openStoreToRead(platform, stateDir);
  if (!store.ok) return store;
  try {
    return store.value.journal();
  } finally {
    store.value.close();
  }
}
