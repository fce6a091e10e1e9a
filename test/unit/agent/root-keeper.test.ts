/** The root that a device holds: what is durable when, across starts, cuts and full disks. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { auditLog } from '#agent/audit-log.ts';
import { openRootKeeper, type RootKeeper, type Walked } from '#agent/root-keeper.ts';
import { agentTime } from '#agent/time.ts';
import { refuse } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import type { Root } from '#state/root.ts';
import { type ContentStore, contentStore } from '#store/content.ts';
import type { Store } from '#store/store.ts';
import { typedStore } from '#store/typed-store.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';
import { type MemoryEngine, memoryEngine } from '../../support/memory-engine.ts';
import { scratch, storePlatform, value } from '../../support/store.ts';
import {
  DAY,
  FLEET,
  NOW,
  newKey,
  ROOT_KEY,
  role,
  root,
  rootKey,
  signedRoot,
} from '../trust/world.ts';

const BUILD = NOW - 100 * DAY;
const OTHER_FLEET = 'f'.repeat(32);
const other = newKey();

const bytes = (more: Partial<Root> = {}) => writeEnvelope(signedRoot(more));
/** Version 2 ruled by another key, then 3, 4 and 5 signed by that one alone. */
const ruledByOther: Partial<Root> = {
  keys: [...root().keys, rootKey(other)],
  roles: [role('root', [other]), ...root().roles.slice(1)],
};
const second = writeEnvelope(signedRoot({ version: 2n, ...ruledByOther }, [ROOT_KEY, other]));
const after = (version: bigint, more: Partial<Root> = {}) =>
  writeEnvelope(signedRoot({ version, ...ruledByOther, ...more }, [other]));
const chain = [second, after(3n), after(4n), after(5n)];

let place: ReturnType<typeof scratch>;
let engine: MemoryEngine;
let store: Store;
let content: ContentStore;
let clock: ManualClock;
let logged: string[];

beforeEach(() => {
  place = scratch('roots');
  engine = memoryEngine();
  store = typedStore(engine, { hasRoom: () => true, free: () => false, ensure() {} }, () => {});
  content = value(contentStore(storePlatform.files, `${place.path}/state`));
  clock = manualClock(NOW);
  logged = [];
});
afterEach(() => {
  content.close();
  place.remove();
});

interface Started {
  readonly keeper: RootKeeper;
  /** Unix ms, as the store has it */
  readonly floorMs: number;
}

/** As base.ts does it: time, keeper, then one commit. */
function start(file: Uint8Array = bytes(), over: Partial<ContentStore> = {}): Started {
  const stored = value(store.device());
  const time = agentTime(clock, { buildMs: BUILD, storedMs: stored?.timeFloorMs ?? 0 });
  const log = { write: (_: string, event: string) => void logged.push(event) };
  const audit = auditLog({ store, clock, log, time, boot: 1n });
  const input = { store, content: { ...content, ...over }, clock, log, time, audit };
  const keeper = value(openRootKeeper(input, file));
  const timeFloorMs = time.floorMs();
  value(
    store.transaction((tx) => {
      tx.putDevice({ boot: 1n, machine: '', crashes: 0, paused: null, timeFloorMs });
      keeper.begin(tx);
    }),
  );
  return { keeper, floorMs: timeFloorMs };
}

/** `5; trust.root-gap`: the version held, and what was not followed. */
function said(keeper: RootKeeper, { refused, unkept }: Walked): string {
  const why = unkept?.code ?? refused?.fault.code ?? '';
  return `${keeper.root().version}${refused?.attack ? ' attack' : ''}${why && `; ${why}`}`;
}

const events = () => value(store.outboxEvents()).map(({ code, message }) => `${code} ${message}`);
const floor = () => value(store.device())?.timeFloorMs;
const storedIs = (envelope: Uint8Array) =>
  sha256(value(store.root(FLEET)) ?? new Uint8Array()) === sha256(envelope) &&
  sha256(value(content.root(FLEET)) ?? new Uint8Array()) === sha256(envelope);

describe('check 7 on a device: a walk', () => {
  test('R19: keeps each step, tells it, and is there after a restart', () => {
    const { keeper } = start();
    const walked = keeper.walk(chain);
    expect(said(keeper, walked)).toBe('5');
    expect(walked.replaced).toBe(true);
    expect(storedIs(after(5n))).toBe(true);
    expect(events()).toEqual(
      [2, 3, 4, 5].map((version) => `trust.root-replaced the root is version ${version}`),
    );
    expect(start().keeper.root().version).toBe(5n);
  });

  test('each step is durable before the next is judged', () => {
    const order: string[] = [];
    const { keeper } = start(bytes(), {
      putRoot(fleet, envelope) {
        order.push(`${store.transactionId()}`);
        return content.putRoot(fleet, envelope);
      },
    });
    const before = store.transactionId();
    keeper.walk(chain);
    expect(order.slice(1)).toEqual([0, 1, 2, 3].map((index) => `${before + index}`));
  });

  test('R07, R08, R11: a root that failed is nowhere, also after a restart', () => {
    const { keeper } = start();
    const before = new Map(engine.rows);
    for (const offered of [
      bytes({ version: 3n }),
      writeEnvelope(signedRoot({ version: 2n, ...ruledByOther }, [ROOT_KEY])),
      writeEnvelope(signedRoot({ version: 2n, ...ruledByOther }, [other])),
      Uint8Array.of(1),
    ]) {
      expect(said(keeper, keeper.walk([offered]))).toMatch(/^1; (trust.root-|format.)/);
    }
    expect(engine.rows).toEqual(before);
    expect(storedIs(bytes())).toBe(true);
    expect(start().keeper.root().version).toBe(1n);
  });

  test('R10: 64 steps a look, the others at the next', () => {
    const { keeper } = start();
    const many = Array.from({ length: 70 }, (_, index) => bytes({ version: BigInt(index + 2) }));
    const first = keeper.walk(many);
    expect(said(keeper, first)).toBe('65');
    expect(first.more).toBe(true);
    const second = keeper.walk(many);
    expect(said(keeper, second)).toBe('71');
    expect(second.more).toBe(false);
  });

  test('a step that cannot be made durable is not taken, and is taken later', () => {
    const { keeper } = start();
    engine.failures.push('store.no-space');
    expect(said(keeper, keeper.walk(chain))).toBe('1; store.no-space');
    expect(said(keeper, keeper.walk(chain))).toBe('5');
  });

  test('a copy that cannot be written ends the walk before the store is touched', () => {
    let full = false;
    const { keeper } = start(bytes(), {
      putRoot: (fleet, envelope) =>
        full
          ? refuse('platform.no-space', { operation: 'write', path: 'x', errno: 'ENOSPC' })
          : content.putRoot(fleet, envelope),
    });
    full = true;
    const before = store.transactionId();
    expect(said(keeper, keeper.walk(chain))).toBe('1; platform.no-space');
    expect(store.transactionId()).toBe(before);
  });

  test('a cut between copy and commit: the next start has the new root, and its time reset', () => {
    start();
    value(content.putRoot(FLEET, bytes({ version: 2n, timeReset: { notBefore: NOW } })));
    const { keeper, floorMs } = start();
    expect(keeper.root().version).toBe(2n);
    expect(floorMs).toBe(NOW);
    expect(value(store.root(FLEET))).toEqual(value(content.root(FLEET)));
  });

  test('two roots of one version: an attack, told once in an hour, and nothing changes', async () => {
    const { keeper } = start();
    keeper.walk([second]);
    const twin = after(2n, { issuedAt: 7 });
    const commits = store.transactionId();
    expect(said(keeper, keeper.walk([twin]))).toBe('2 attack; trust.root-equivocation');
    keeper.walk([twin]);
    expect(store.transactionId()).toBe(commits + 1);
    await clock.advance(3_600_000);
    keeper.walk([twin]);
    expect(store.transactionId()).toBe(commits + 2);
    expect(events().at(-1)).toStartWith('trust.attack trust.root-equivocation: ');
    expect(storedIs(second)).toBe(true);
  });
});

describe('R22: a time reset', () => {
  const poisoned = () =>
    value(
      store.transaction((tx) => {
        const device = value(tx.device());
        if (device) tx.putDevice({ ...device, timeFloorMs: NOW + 2000 * DAY });
      }),
    );
  const reset = (ms: number) => bytes({ version: 2n, timeReset: { notBefore: ms } });

  test('lowers the floor once, in the commit that keeps its root', () => {
    start();
    poisoned();
    const { keeper } = start();
    const commits = store.transactionId();
    keeper.walk([reset(NOW)]);
    expect(store.transactionId()).toBe(commits + 1);
    expect(floor()).toBe(NOW);
    expect(start().floorMs).toBe(NOW);
  });

  test('is never replayed: not by the same root again, not by a restart, not by the file', () => {
    start();
    const { keeper } = start();
    keeper.walk([reset(NOW)]);
    poisoned();
    keeper.walk([reset(NOW)]);
    expect(start().floorMs).toBe(NOW + 2000 * DAY);
    expect(start(reset(NOW)).floorMs).toBe(NOW + 2000 * DAY);
  });

  test('does not go below the time this program was built', () => {
    const { keeper } = start();
    keeper.walk([reset(1)]);
    expect(floor()).toBe(BUILD);
  });

  test('by the owner’s file, when its version is higher', () => {
    start();
    poisoned();
    expect(start(reset(NOW)).floorMs).toBe(NOW);
  });
});

describe('the owner’s file', () => {
  test('with a higher version replaces what is stored, whoever signed it', () => {
    const { keeper } = start();
    keeper.walk(chain);
    const lost = newKey();
    const fresh = writeEnvelope(
      signedRoot(
        {
          version: 6n,
          keys: [...root().keys, rootKey(lost)],
          roles: [role('root', [lost]), ...root().roles.slice(1)],
        },
        [lost],
      ),
    );
    expect(start(fresh).keeper.root().version).toBe(6n);
    expect(storedIs(fresh)).toBe(true);
    expect(events().at(-1)).toBe('trust.root-replaced the root is version 6');
    expect(start().keeper.root().version).toBe(6n);
  });

  test('with the same or a lower version does not, and the twin is told', () => {
    start().keeper.walk([second]);
    expect(start(after(2n, { issuedAt: 7 })).keeper.held().digest).toBe(sha256(second));
    expect(logged).toContain('root.file-differs');
  });

  test('of another fleet counts at once; the roots of both are kept', () => {
    start().keeper.walk(chain);
    const moved = start(bytes({ fleet: OTHER_FLEET })).keeper;
    expect([moved.root().fleet, moved.root().version]).toEqual([OTHER_FLEET, 1n]);
    expect(start().keeper.root().version).toBe(5n);
  });

  test('a root of this fleet is not followed by one of another (R18)', () => {
    const { keeper } = start();
    const foreign = bytes({ version: 2n, fleet: OTHER_FLEET });
    expect(said(keeper, keeper.walk([foreign]))).toBe('1; trust.root-fleet');
  });
});

describe('one of two copies is enough', () => {
  test('the store is lost: the copy has the newest root', () => {
    start().keeper.walk(chain);
    engine.rows.clear();
    expect(start().keeper.root().version).toBe(5n);
    expect(storedIs(after(5n))).toBe(true);
  });

  test('L07: the row is damaged', () => {
    start().keeper.walk(chain);
    const row = engine.rows.get(`root/${FLEET}`) ?? new Uint8Array();
    row[20] = (row[20] ?? 0) ^ 1;
    expect(start().keeper.root().version).toBe(5n);
    expect(logged).toContain('root.unreadable');
  });

  test('the copy is gone: it is made again', () => {
    start().keeper.walk(chain);
    const { keeper } = start(bytes(), { root: () => ({ ok: true, value: null }) });
    expect(keeper.root().version).toBe(5n);
  });
});
