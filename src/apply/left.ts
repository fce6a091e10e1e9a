/**
 * A change of a channel that was taken out of agent.yaml while the change was under way. Nobody follows
 * it any more, so nobody would end it: at the next start it goes back to what was proven (I1, I4), and
 * is never begun again. What was proven stays as it is (orphans.ts).
 */
import { isFollowed } from './orphans.ts';
import { recover } from './recover.ts';
import type { ApplyContext } from './transaction.ts';

/** Before anything is started; one that cannot be ended is told, and tried again at the next start. */
export async function recoverLeft(context: ApplyContext): Promise<void> {
  const rows = context.store.channels();
  for (const row of rows.ok ? rows.value : []) {
    if (isFollowed(context.followed, row) || row.intent === null) continue;
    if (row.intent.phase === 'waiting') continue;
    const done = await recover(context, row, 0, true);
    if (done.ok) continue;
    const { channel } = row;
    context.log.write('error', 'recovery.left', { channel, code: done.fault.code });
  }
}
