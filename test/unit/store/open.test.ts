/** store/open.ts on real disk: creation, quarantine, who may own it, what the kernel holds. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { lmdbKind } from '#store/lmdb.ts';
import { type OpenedStore, openStore } from '#store/open.ts';
import { frameRecord } from '#store/record.ts';
import { RESERVE_BYTES } from '#store/reserve.ts';
import { formatRecord } from '#wire/records.ts';
import {
  channelRow,
  codeOf,
  dumpStore,
  fillStore,
  scratch,
  storePlatform,
  value,
} from '../../support/store.ts';

let place: ReturnType<typeof scratch>;
let state: string;
beforeEach(() => {
  place = scratch('store');
  state = `${place.path}/state`;
});
afterEach(() => place.remove());

const open = (): OpenedStore => value(openStore(storePlatform, state));
const data = () => `${state}/store/data.mdb`;

describe('a store is made once and opened again', () => {
  test('created, then opened with what was committed', () => {
    const first = open();
    expect(first.recovered).toBe('created');
    fillStore(first.store);
    const dump = dumpStore(first.store);
    first.store.close();
    const second = open();
    expect(second.recovered).toBe('opened');
    expect(dumpStore(second.store)).toBe(dump);
    second.store.close();
    expect(statSync(state).mode & 0o777).toBe(0o700);
    expect(statSync(`${state}/store`).mode & 0o777).toBe(0o700);
  });

  test('what a cut during the first start left is thrown away', () => {
    mkdirSync(`${state}/store.new`, { recursive: true, mode: 0o700 });
    chmodSync(state, 0o700);
    writeFileSync(`${state}/store.new/data.mdb`, 'half');
    const opened = open();
    expect(opened.recovered).toBe('created');
    opened.store.close();
    expect(readdirSync(state).sort()).toEqual(['agent.lock', 'store']);
  });

  test('a torn lock file of LMDB does not keep it shut', () => {
    open().store.close();
    writeFileSync(`${state}/store/data.mdb-lock`, Buffer.alloc(777, 0xa5));
    const again = open();
    expect(again.recovered).toBe('opened');
    again.store.close();
  });

  test('the transaction number grows by one a commit, across restarts', () => {
    const first = open();
    const start = first.store.transactionId();
    value(first.store.transaction((tx) => tx.putChannel(channelRow(5))));
    value(first.store.transaction((tx) => tx.putChannel(channelRow(5))));
    value(first.store.transaction((tx) => tx.putChannel(channelRow(6))));
    expect(first.store.transactionId()).toBe(start + 2);
    first.store.close();
    const second = open();
    expect(second.store.transactionId()).toBe(start + 2);
    second.store.close();
  });

  test('B09: a reserve stands beside it', () => {
    open().store.close();
    expect(statSync(`${state}/store/reserve`).size).toBe(RESERVE_BYTES);
    rmSync(`${state}/store/reserve`);
    open().store.close();
    expect(existsSync(`${state}/store/reserve`)).toBe(true);
  });
});

describe('a damaged store is moved aside, never trusted', () => {
  const damage = () => writeFileSync(data(), Buffer.alloc(8_192, 1));

  test('it is quarantined and an empty one stands in its place', () => {
    const first = open();
    fillStore(first.store);
    first.store.close();
    damage();
    const again = open();
    expect(again).toMatchObject({
      recovered: 'quarantined',
      quarantinedAs: `${state}/store.bad-1`,
    });
    expect(again.damage).toContain('damaged');
    expect(value(again.store.channels())).toEqual([]);
    again.store.close();
    expect(readFileSync(`${state}/store.bad-1/data.mdb`)[0]).toBe(1);
  });

  test('two of them are kept', () => {
    for (let round = 0; round < 4; round += 1) {
      open().store.close();
      damage();
    }
    open().store.close();
    expect(
      readdirSync(state)
        .filter((name) => name.startsWith('store'))
        .sort(),
    ).toEqual(['store', 'store.bad-3', 'store.bad-4']);
  });

  test('an empty directory, and a row without its frame, are damage', () => {
    mkdirSync(`${state}/store`, { recursive: true, mode: 0o700 });
    chmodSync(state, 0o700);
    const first = open();
    expect(first.recovered).toBe('quarantined');
    first.store.close();
    writeRow('channel/a/b', Uint8Array.of(1, 2, 3));
    const second = open();
    expect(second.recovered).toBe('quarantined');
    second.store.close();
  });

  test('a newer format is left where it is: store.newer', () => {
    open().store.close();
    writeRow('format', frameRecord('format', formatRecord.write(2)));
    expect(codeOf(openStore(storePlatform, state))).toBe('store.newer');
    expect(readdirSync(state).sort()).toEqual(['agent.lock', 'store']);
  });
});

/** Puts bytes under a key, past the typed store. */
function writeRow(key: string, bytes: Uint8Array): void {
  const directory = value(storePlatform.files.open(`${state}/store`));
  const engine = value(lmdbKind.open(directory));
  engine.transaction((tx) => tx.put(key, bytes));
  engine.close();
  directory.close();
}

describe('L05: only the agent may write to its state', () => {
  test('a state directory others may write to is store.unsafe', () => {
    mkdirSync(state);
    chmodSync(state, 0o777);
    expect(codeOf(openStore(storePlatform, state))).toBe('store.unsafe');
    expect(readdirSync(state)).toEqual([]);
  });

  test('a store directory others may write to is store.unsafe', () => {
    open().store.close();
    chmodSync(`${state}/store`, 0o770);
    expect(codeOf(openStore(storePlatform, state))).toBe('store.unsafe');
  });

  test('a store that is a link is store.unsafe, and what it points to is untouched', () => {
    open().store.close();
    renameSync(`${state}/store`, `${place.path}/elsewhere`);
    symlinkSync(`${place.path}/elsewhere`, `${state}/store`);
    const before = readFileSync(`${place.path}/elsewhere/data.mdb`);
    expect(codeOf(openStore(storePlatform, state))).toBe('store.unsafe');
    expect(readFileSync(`${place.path}/elsewhere/data.mdb`)).toEqual(before);
  });

  const root = process.getuid?.() === 0;
  test.skipIf(!root)('a directory of another user is store.unsafe (needs root)', () => {
    mkdirSync(state, { mode: 0o700 });
    chownSync(state, 12_345, 12_345);
    expect(codeOf(openStore(storePlatform, state))).toBe('store.unsafe');
  });

  test('the state directory itself may be reached through a link of the owner', () => {
    mkdirSync(`${place.path}/real`, { mode: 0o700 });
    symlinkSync(`${place.path}/real`, state);
    const opened = open();
    opened.store.close();
    expect(readdirSync(`${place.path}/real`).sort()).toEqual(['agent.lock', 'store']);
  });
});

describe('one agent a state directory', () => {
  test('a second one is store.locked until the first closes', () => {
    const first = open();
    expect(codeOf(openStore(storePlatform, state))).toBe('store.locked');
    value(first.store.transaction((tx) => tx.putChannel(channelRow(5))));
    first.store.close();
    open().store.close();
  });

  test('a refusal releases the lock', () => {
    open().store.close();
    chmodSync(`${state}/store`, 0o770);
    expect(codeOf(openStore(storePlatform, state))).toBe('store.unsafe');
    chmodSync(`${state}/store`, 0o700);
    open().store.close();
  });
});
