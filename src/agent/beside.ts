/** What goes into the commit of a change beside its own rows: events, time floor, states nobody keeps. */
import { disown, type Followed } from '#apply/orphans.ts';
import type { Moment } from '#apply/transaction.ts';
import type { StoreWriter } from '#store/store.ts';
import type { Base } from './base.ts';
import { keptStates } from './collect.ts';
import type { DeviceChannel } from './device-channel.ts';
import type { Follower } from './follow.ts';
import type { Margo } from './margo.ts';
import { raiseTimeFloor } from './time-floor.ts';

export interface BesideParts {
  readonly follower: Pick<Follower, 'beside'>;
  readonly followed: Followed;
  readonly device: DeviceChannel | null;
  readonly margo?: Margo;
  /** the settled outbox */
  settle(tx: StoreWriter): void;
}

export function beside(
  base: Base,
  parts: BesideParts,
  { tx, moment }: { readonly tx: StoreWriter; readonly moment: Moment },
): void {
  const { row } = moment;
  if (moment.kind === 'accepted') {
    raiseTimeFloor(base.time, tx, moment.issuedAt);
  } else {
    const kept = keptStates(row);
    const states = tx.states(row.fleet, row.channel);
    for (const { stateDigest } of states.ok ? states.value : []) {
      if (!kept.has(stateDigest)) tx.removeState(row.fleet, row.channel, stateDigest);
    }
    if (moment.kind === 'applied') disown(tx, parts.followed, row);
    // An undo after a cut is where a crash leads, not progress.
    if (moment.kind !== 'undone' || moment.rejected) base.starts.reset();
  }
  parts.follower.beside(tx, moment);
  parts.margo?.beside(tx, moment);
  if (moment.kind === 'undone' && moment.rejected && moment.change === 'values')
    parts.device?.reject(tx, moment.fault);
  parts.settle(tx);
}
