/** `prepare-image`: takes what makes a device itself out of its state, before the disk is copied. */
import type { Result } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { openStore } from '#store/open.ts';
import { forgetIdentity } from './identity.ts';

/**
 * Removes the key, the outbox and the start counter; state, floors and programs stay. Takes the
 * lock, so that it cannot happen under a running agent (`store.locked`).
 */
export function prepareImage(
  platform: Pick<Platform, 'files' | 'locks' | 'processes'>,
  stateDir: string,
): Result<void> {
  const opened = openStore(platform, stateDir);
  if (!opened.ok) return opened;
  const { store } = opened.value;
  try {
    const outbox = store.outboxStatus();
    if (!outbox.ok) return outbox;
    const device = store.device();
    if (!device.ok) return device;
    const row = device.value;
    const done = store.transaction((tx) => {
      tx.removeEvents(outbox.value?.lastEvent ?? 0n);
      if (row) tx.putDevice({ ...row, boot: 0n, machine: '' });
    });
    return done.ok ? forgetIdentity(platform.files, stateDir) : done;
  } finally {
    store.close();
  }
}
