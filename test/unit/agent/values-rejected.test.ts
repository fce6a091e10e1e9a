/** Values that turned out bad: a step back each time, remembered, told once, and it ends. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { type Rejecting, rejectValues, tellRejected } from '#agent/values-rejected.ts';
import { emptyRow } from '#apply/journal.ts';
import { fault } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { type ApplyWorld, applyWorld } from '../../support/apply-world.ts';
import { FLEET, point, value } from '../../support/store.ts';

const WHY = fault('apply.superseded', { point: '1.1' });
const OWN = 'device.press-7';

let world: ApplyWorld;
let row: ChannelRow;
let told: string[];

beforeEach(() => {
  world = applyWorld();
  told = [];
  row = {
    ...emptyRow(FLEET, OWN),
    floor: point(3),
    applied: point(3),
    previous: [point(2), point(1)],
  };
  value(world.store.transaction((tx) => tx.putChannel(row)));
});
afterEach(() => world.remove());

function rejecting(): Rejecting {
  const { store, content, clock, log } = world.context();
  return {
    ...{ store, content, clock, log, changed: () => undefined },
    audit: { add: () => undefined } as never,
    follower: {
      row: () => row,
      saw: (next: ChannelRow) => {
        row = next;
      },
      noteRefusal: (why: { code: string }, at: { sequence: bigint }) =>
        void told.push(`${at.sequence} ${why.code}`),
    } as never,
  };
}

function reject(): void {
  value(world.store.transaction((tx) => rejectValues(rejecting(), tx, WHY)));
  tellRejected(rejecting());
}

test('goes back one step each time, remembers each, and ends with none', () => {
  const applied: (bigint | undefined)[] = [];
  for (let times = 0; times < 4; times += 1) {
    reject();
    applied.push(row.applied?.sequence);
  }
  expect(applied).toEqual([2n, 1n, undefined, undefined]);
  expect(row.floor).toEqual(point(3));
  expect(told).toEqual([`3 ${WHY.code}`, `2 ${WHY.code}`, `1 ${WHY.code}`]);
  const rejected = value(world.store.rejected(FLEET, OWN));
  expect(rejected.map((one) => one.point.sequence).toSorted()).toEqual([1n, 2n, 3n]);
});

test('says nothing where nothing was rejected', () => {
  tellRejected(rejecting());
  expect(told).toEqual([]);
});
