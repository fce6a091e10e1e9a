/** The row of a change's channel; one that was never written is empty. */
import { ok, type Result } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { StoreReader } from '#store/store.ts';
import { emptyRow } from './journal.ts';

export function readRow(
  store: Pick<StoreReader, 'channel'>,
  { fleet, channel }: Pick<ChannelRow, 'fleet' | 'channel'>,
): Result<ChannelRow> {
  const row = store.channel(fleet, channel);
  return row.ok ? ok(row.value ?? emptyRow(fleet, channel)) : row;
}
