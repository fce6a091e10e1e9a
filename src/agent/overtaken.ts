/**
 * A verdict is as old as the look that made it. While a push waited for what the registry says, or a
 * candidate for the change before it, another state may have been accepted, applied or rejected: what
 * was acceptable then is judged by the floor of now before anything is done about it (check 13).
 */
import { wholeInForce } from '#apply/journal.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { comparePoints, pointText } from '#state/point.ts';
import type { Store } from '#store/store.ts';
import type { Candidate } from './found.ts';

/** `apply.superseded`: by now it is below the floor, applied, rejected or not what the floor is. */
export function checkOvertaken(
  store: Pick<Store, 'rejected'>,
  { state: { point } }: Pick<Candidate, 'state'>,
  row: ChannelRow,
): Result<void> {
  const { fleet, channel, floor, intent } = row;
  // Check 13
  const order = floor ? comparePoints(point, floor) : 1;
  if (order > 0) return ok();
  const late = refuse('apply.superseded', { point: pointText(point) });
  if (order < 0 || floor?.stateDigest !== point.digest) return late;
  if (intent === null && wholeInForce(row)?.stateDigest === point.digest) return late;
  const rejected = store.rejected(fleet, channel);
  if (!rejected.ok) return rejected;
  return rejected.value.some((one) => one.point.stateDigest === point.digest) ? late : ok();
}
