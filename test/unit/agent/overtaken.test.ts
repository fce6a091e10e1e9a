/** A candidate that waited is judged by the floor of now, not of the look that found it. */
import { describe, expect, test } from 'bun:test';
import { checkOvertaken } from '#agent/overtaken.ts';
import { emptyRow } from '#apply/journal.ts';
import { ok } from '#errors/fault.ts';
import type { ChannelRow, RejectedRow } from '#state/channel-row.ts';
import { channelRow, codeOf, FLEET, point } from '../../support/store.ts';

const floor = point(7);
const idle: ChannelRow = { ...channelRow(7), floor, intent: null, applied: point(6) };

function judged(sequence: number, row: ChannelRow, rejected: readonly number[] = []) {
  const { epoch, stateDigest } = point(sequence);
  const state = { point: { epoch, sequence: BigInt(sequence), digest: stateDigest } };
  const rows = rejected.map((one) => ({ point: point(one) }) as RejectedRow);
  return codeOf(checkOvertaken({ rejected: () => ok(rows) }, { state } as never, row));
}

describe('check 13: a candidate whose turn comes late', () => {
  test('goes on when it is above the floor, or there is none', () => {
    expect(judged(8, idle)).toBe('ok');
    expect(judged(1, emptyRow(FLEET, 'stable'))).toBe('ok');
  });
  test('goes on when it is the floor, accepted and not applied', () => {
    expect(judged(7, idle)).toBe('ok');
    const { intent } = channelRow(7);
    expect(judged(7, { ...idle, applied: floor, intent })).toBe('ok');
  });
  test('is superseded when a higher one was accepted meanwhile', () => {
    expect(judged(6, idle)).toBe('apply.superseded');
  });
  test('is superseded when it was applied or rejected meanwhile', () => {
    expect(judged(7, { ...idle, applied: floor })).toBe('apply.superseded');
    expect(judged(7, idle, [7])).toBe('apply.superseded');
    expect(judged(7, idle, [5])).toBe('ok');
  });
  test('is superseded when another statement took its number', () => {
    const other = { ...floor, stateDigest: point(99).stateDigest };
    expect(judged(7, { ...idle, floor: other })).toBe('apply.superseded');
  });
});
