/**
 * Values that were accepted and turned out not to be good for what runs: the ones before are in force
 * again, in the same commit that undoes the change, and these are remembered like any rejected
 * statement. The floor stays: they do not come again, the next ones do.
 */
import type { Fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { News } from '#report/deliver.ts';
import { eventOf } from '#report/events.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { ContentStore } from '#store/content.ts';
import type { Store, StoreWriter } from '#store/store.ts';
import type { AuditLog } from './audit-log.ts';
import type { Follower } from './follow.ts';

export interface Rejecting {
  readonly store: Store;
  readonly content: ContentStore;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Log;
  /** of the device's own channel */
  readonly follower: Follower;
  changed(what: News): void;
}

export function rejectValues(
  { content, audit, clock, log, follower }: Rejecting,
  tx: StoreWriter,
  why: Fault,
): void {
  const row = follower.row();
  const { applied: point, fleet, channel } = row;
  // Each time one step further back, at last to none: so this ends.
  if (!point) return;
  const { code, message } = why;
  const rejected = { point, code, message, deployment: '' };
  const marked = content.markRejected({ fleet, channel, row: rejected });
  if (!marked.ok) log.write('warn', 'rejection.unmarked', { code: marked.fault.code });
  const [before = null, ...previous] = row.previous;
  const next: ChannelRow = { ...row, applied: before, previous };
  tx.putChannel(next);
  tx.putRejected(fleet, channel, rejected);
  const at = clock.wallMs();
  const via = row.appliedVia;
  tx.addHistory({ at, channel, outcome: 'rejected', point, via, code, message, tookMs: 0 });
  tx.addEvent(eventOf('state.rejected', { at, channel }, { point, code }));
  audit.add(tx, { kind: 'rejected', actor: 'agent', channel, point, fault: why });
}

/** After a commit that may have held such a rejection: the row in memory follows the durable one. True: it did. */
export function tellRejected({ store, follower, changed }: Rejecting): boolean {
  const before = follower.row();
  const read = store.channel(before.fleet, before.channel);
  const row = read.ok ? read.value : null;
  if (!row || row.applied?.stateDigest === before.applied?.stateDigest) return false;
  follower.saw(row);
  const rejected = store.rejected(row.fleet, row.channel);
  const why = (rejected.ok ? rejected.value : []).find(
    ({ point }) => point.stateDigest === before.applied?.stateDigest,
  );
  if (!why) return true;
  const { code, message } = why;
  const { epoch, sequence, stateDigest: digest } = why.point;
  const point = { epoch, sequence, digest };
  const told = { code, message, remedy: '', retry: 'never' } as const;
  follower.noteRefusal(told, point, before.appliedVia ?? 'registry');
  changed('phase');
  return true;
}
