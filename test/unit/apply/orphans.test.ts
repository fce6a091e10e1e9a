/**
 * What channels left that are no longer followed: another channel takes over what it names, and the one
 * that lost it is marked, so that it is brought into force anew when it is followed again.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { markLeft } from '#agent/left-channels.ts';
import { emptyRow, wholeInForce } from '#apply/journal.ts';
import { recoverLeft } from '#apply/left.ts';
import { disown, isFollowed, leftRows } from '#apply/orphans.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { deviceChannel } from '#state/values.ts';
import { type ApplyWorld, applyWorld } from '../../support/apply-world.ts';
import { FLEET, generation, point, value } from '../../support/store.ts';

const OTHER_FLEET = 'ffeeddccbbaa99887766554433221100';
const FOLLOWED = { fleet: FLEET, channels: new Set(['stable', 'oem']) };

let world: ApplyWorld;
beforeEach(() => {
  world = applyWorld();
});
afterEach(() => world.remove());

function put(channel: string, sequence: number, ids: readonly string[], fleet = FLEET): ChannelRow {
  const row = { ...emptyRow(fleet, channel), floor: point(sequence), applied: point(sequence) };
  const { stateDigest } = point(sequence);
  value(
    world.store.transaction((tx) => {
      tx.putChannel(row);
      tx.putState(fleet, channel, { stateDigest, generations: ids.map(generation) });
    }),
  );
  return row;
}

const held = (channel: string) => value(world.store.channel(FLEET, channel));
const idsOf = (channel: string, sequence: number) =>
  value(world.store.state(FLEET, channel, point(sequence).stateDigest))?.generations.map(
    ({ id }) => id,
  );

describe('a channel that is no longer followed', () => {
  test('is every row that is not followed, another fleet of the same name among them', () => {
    put('stable', 1, ['a']);
    put('oem', 2, ['b']);
    put('canary', 3, ['c']);
    put('stable', 4, ['d'], OTHER_FLEET);
    put(deviceChannel('press-7'), 5, []);
    const left = leftRows(world.store, FOLLOWED).map(({ fleet, channel }) => `${fleet} ${channel}`);
    expect(left.sort()).toEqual([`${FLEET} canary`, `${OTHER_FLEET} stable`].sort());
    expect(isFollowed(FOLLOWED, { fleet: OTHER_FLEET, channel: 'stable' })).toBe(false);
  });

  test('loses what a state of another one names, and is marked: it is not in force as signed', () => {
    const own = put('stable', 1, ['a', 'c']);
    put('oem', 2, ['b']);
    const before = put('canary', 3, ['c', 'd']);
    expect(wholeInForce(before)).toEqual(point(3));
    value(world.store.transaction((tx) => disown(tx, FOLLOWED, own)));
    expect(idsOf('canary', 3)).toEqual(['d']);
    expect(held('canary')?.taken).toBe(true);
    expect(wholeInForce(held('canary') ?? before)).toBeNull();
    // Of a channel that is followed nothing is ever taken: plan.conflict comes before.
    expect(idsOf('oem', 2)).toEqual(['b']);
    expect(held('oem')?.taken).toBeUndefined();
  });

  test('is told once, and again when it was followed in between', () => {
    put('canary', 3, ['c']);
    const events = () =>
      value(world.store.outboxEvents()).map(({ code, channel }) => `${code} ${channel}`);
    const start = (channels: readonly string[]) =>
      value(
        world.store.transaction((tx) =>
          markLeft(tx, { fleet: FLEET, channels: new Set(channels) }, 1),
        ),
      );
    start(['stable']);
    start(['stable']);
    expect(events()).toEqual(['channel.orphaned canary']);
    start(['canary']);
    expect(held('canary')?.left).toBeUndefined();
    start(['stable']);
    expect(events()).toHaveLength(2);
  });
});

test('a change that was open when its channel was left goes back, and is not begun again', async () => {
  const context = { ...world.context(), followed: { fleet: FLEET, channels: new Set(['oem']) } };
  const row: ChannelRow = {
    ...emptyRow(FLEET, 'stable'),
    floor: point(2),
    intent: {
      ...{ kind: 'apply', phase: 'proving', to: point(2), via: 'registry', freshness: 'unknown' },
      ...{ tries: 1, attemptsMax: 3, failure: null },
    },
  };
  value(
    world.store.transaction((tx) => {
      tx.putChannel(row);
      tx.putState(FLEET, 'stable', { stateDigest: point(2).stateDigest, generations: [] });
    }),
  );
  await recoverLeft(context);
  expect(held('stable')).toMatchObject({ floor: point(2), applied: null });
  expect(held('stable')?.intent?.phase ?? 'idle').not.toBe('proving');
});

test('a state that is brought into force again keeps what it replaces, also where that is nothing', () => {
  const { stateDigest } = point(1);
  for (const replaced of [[], [generation('a')]]) {
    value(
      world.store.transaction((tx) =>
        tx.putState(FLEET, 'stable', { stateDigest, generations: [generation('b')], replaced }),
      ),
    );
    expect(value(world.store.state(FLEET, 'stable', stateDigest))?.replaced).toEqual(replaced);
  }
});
