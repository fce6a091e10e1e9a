/**
 * A store that was lost (first start with content left, or quarantined) is filled again from the
 * content store: the rejections, and of the channel the highest statement (the root: root-keeper.ts).
 * That statement is the floor, also where it has ended since or its key was revoked: it was accepted
 * here, and its file carries a checksum. It counts as accepted, not applied, so that it is judged
 * and applied again from disk: what is in force already changes nothing (DESIGN section 7).
 */
import { emptyRow } from '#apply/journal.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { Envelope } from '#state/envelope.ts';
import { comparePoints, type Point } from '#state/point.ts';
import type { StatusPoint } from '#state/status.ts';
import type { ContentStore } from '#store/content.ts';
import type { Store } from '#store/store.ts';
import { readDesiredState } from '#wire/desired-state.ts';
import { isMargo, MARGO_CHANNEL, margoPoint } from './margo-state.ts';

export interface RebuildInput {
  readonly store: Store;
  readonly content: ContentStore;
  readonly fleet: string;
  readonly channel: string;
}

/** @returns the floor found, or null */
export function rebuild(input: RebuildInput): Result<Point | null> {
  const { store, content, fleet, channel } = input;
  const digests = content.statements();
  if (!digests.ok) return digests;
  let highest: Point | null = null;
  for (const digest of digests.value) {
    const file = content.readStatement(digest);
    if (!file.ok) continue;
    const point = pointOf(file.value.envelope, { fleet, channel });
    if (!point) continue;
    if (!highest || comparePoints(point, highest) > 0) highest = point;
  }
  const marks = content.rejectedMarks();
  if (!marks.ok) return marks;
  const ours = marks.value.filter((mark) => mark.fleet === fleet && mark.channel === channel);
  const rejected = ours
    .map(({ row }) => row.point)
    .sort(comparePoints)
    .at(-1);
  const row = rowOf(emptyRow(fleet, channel), highest, rejected ?? null);
  const done = store.transaction((tx) => {
    for (const mark of ours) tx.putRejected(fleet, channel, mark.row);
    if (row.floor) tx.putChannel(row);
  });
  return done.ok ? ok(highest) : done;
}

/** Null: of another channel, or unreadable. */
function pointOf(
  envelope: Envelope,
  { fleet, channel }: Pick<RebuildInput, 'fleet' | 'channel'>,
): Point | null {
  // Of a Margo manager: it names no fleet, there is one for each device.
  if (isMargo(envelope)) return channel === MARGO_CHANNEL ? margoPoint(envelope) : null;
  const state = readDesiredState(envelope.payload);
  const ours = state.ok && state.value.fleet === fleet && state.value.channel === channel;
  return ours ? state.value.point : null;
}

/** A rejection is a floor too: nothing below it was ever to be accepted again. */
function rowOf(row: ChannelRow, highest: Point | null, rejected: StatusPoint | null): ChannelRow {
  const statement = highest && { ...highest, stateDigest: highest.digest, at: 0 };
  const floor =
    rejected && (!statement || comparePoints(rejected, statement) > 0) ? rejected : statement;
  return { ...row, floor };
}
