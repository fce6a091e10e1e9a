/** What goes into the audit journal, in which commit, and how many commits refusals may cost. */
import { beforeEach, describe, expect, test } from 'bun:test';
import { type AuditLog, auditLog } from '#agent/audit-log.ts';
import { auditedStatements } from '#agent/evidence.ts';
import { fault } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { Store } from '#store/store.ts';
import { typedStore } from '#store/typed-store.ts';
import { readJournal } from '#wire/audit.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';
import { memoryEngine } from '../../support/memory-engine.ts';
import { point, value } from '../../support/store.ts';

const HOUR_MS = 3_600_000;

let store: Store;
let clock: ManualClock;
let audit: AuditLog;
let full: boolean;

beforeEach(() => {
  full = false;
  const reserve = { free: () => false, ensure: () => undefined, hasRoom: () => !full };
  store = typedStore(memoryEngine(), reserve, () => undefined);
  clock = manualClock();
  const view = { floorMs: 0, estimateMs: 0, grade: 'estimated', wallPlausible: true } as const;
  const log = { write: () => undefined };
  audit = auditLog({ store, clock, log, time: { view: () => view }, boot: 4n });
});

const entries = () => value(readJournal(value(store.journal())));
const kinds = () => entries().map(({ kind }) => kind);
const offered = (sequence: number) => ({
  epoch: 1n,
  sequence: BigInt(sequence),
  digest: sha256(Buffer.from(`${sequence}`)),
});
const refuse = (sequence: number) =>
  audit.refuse({
    channel: 'stable',
    fault: fault('agent.no-source', {}),
    offered: offered(sequence),
    via: 'registry',
  });
const change = () =>
  store.transaction((tx) =>
    audit.add(tx, { kind: 'accepted', actor: 'owner', channel: 'stable', point: point(1) }),
  );

describe('an entry', () => {
  test('is there when the commit of what it tells is, and not when that failed', () => {
    full = true;
    expect(change().ok).toBe(false);
    expect(kinds()).toEqual([]);
    full = false;
    value(change());
    expect(kinds()).toEqual(['accepted']);
    expect(value(store.auditHead()).count).toBe(1n);
  });

  test('keeps no line breaks and no more text than its bound', () => {
    value(
      store.transaction((tx) =>
        audit.add(tx, { kind: 'paused', actor: 'operator', message: `a\nb${'x'.repeat(9_999)}` }),
      ),
    );
    const [{ message } = { message: '' }] = entries();
    expect(message.startsWith('a b')).toBe(true);
    expect(message.length).toBe(LIMITS.auditMessageMax);
  });
});

describe('what an operator asked for', () => {
  test('goes into the commit of what it causes, and is not written again', () => {
    audit.ask({ kind: 'apply-asked', actor: 'operator' })();
    audit.settle();
    expect(kinds()).toEqual([]);
    audit.ask({ kind: 'apply-asked', actor: 'operator' });
    const before = store.transactionId();
    value(change());
    audit.landed();
    audit.settle();
    expect(kinds()).toEqual(['apply-asked', 'accepted']);
    expect(store.transactionId() - before).toBe(1);
  });

  test('is written alone when it caused no commit', () => {
    audit.ask({ kind: 'apply-asked', actor: 'operator' });
    audit.settle();
    expect(kinds()).toEqual(['apply-asked']);
  });

  test('is not lost with a commit that failed', () => {
    audit.ask({ kind: 'apply-asked', actor: 'operator' });
    full = true;
    expect(change().ok).toBe(false);
    full = false;
    audit.settle();
    expect(kinds()).toEqual(['apply-asked']);
  });
});

describe('refusals', () => {
  test('one digest costs one commit an hour', async () => {
    const before = store.transactionId();
    for (let round = 0; round < 100; round += 1) refuse(1);
    expect(store.transactionId() - before).toBe(1);
    await clock.advance(HOUR_MS);
    refuse(1);
    expect(kinds()).toEqual(['refused', 'refused']);
  });

  test('however many digests: a few commits an hour, the others are counted', async () => {
    const before = store.transactionId();
    for (let sequence = 0; sequence < 500; sequence += 1) refuse(sequence);
    expect(store.transactionId() - before).toBe(LIMITS.auditRefusalsPerHour);
    await clock.advance(HOUR_MS);
    refuse(1_000);
    const left = 500 - LIMITS.auditRefusalsPerHour;
    expect(entries().at(-1)?.message).toContain(`${left} refusals before this have no entry`);
  });

  test('what was just recorded as rejected is not recorded as refused too', () => {
    const rejected = { ...point(1), stateDigest: offered(1).digest };
    value(
      store.transaction((tx) =>
        audit.add(tx, { kind: 'rejected', actor: 'agent', channel: 'stable', point: rejected }),
      ),
    );
    refuse(1);
    expect(kinds()).toEqual(['rejected']);
  });
});

describe('the bound', () => {
  test('older entries fold into the checkpoint, and the chain still holds', () => {
    const more = 5;
    value(
      store.transaction((tx) => {
        for (let round = 0; round < LIMITS.auditMax + more; round += 1) {
          audit.add(tx, { kind: 'paused', actor: 'operator', message: `${round}` });
        }
      }),
    );
    const journal = value(store.journal());
    expect(journal.folded.count).toBe(BigInt(more));
    expect(journal.entries).toHaveLength(LIMITS.auditMax);
    expect(entries()[0]?.message).toBe(`${more}`);
  });
});

describe('what collection keeps for the journal', () => {
  const SIZE = LIMITS.auditStatementBytes / 4;
  const content = { statementBytes: () => SIZE };
  const accept = (sequence: number) =>
    store.transaction((tx) =>
      audit.add(tx, {
        kind: 'accepted',
        actor: 'owner',
        channel: 'stable',
        point: point(sequence),
        details: sha256(Buffer.from('evidence')),
      }),
    );
  const pause = () =>
    store.transaction((tx) => audit.add(tx, { kind: 'paused', actor: 'operator' }));
  const digests = (...sequences: number[]) => sequences.map((n) => point(n).stateDigest);

  test('the newest statements that the bound takes, as the journal grows and folds', () => {
    const kept = () => value(auditedStatements({ store, content }));
    expect(kept()).toEqual([]);
    value(accept(1));
    value(accept(2));
    expect(kept()).toEqual(digests(2, 1));
    for (const sequence of [3, 4, 5]) value(accept(sequence));
    expect(kept()).toEqual(digests(5, 4, 3, 2));
    for (let round = 0; round < LIMITS.auditMax - 2; round += 1) value(pause());
    expect(kept()).toEqual(digests(5, 4));
    value(pause());
    expect(kept()).toEqual(digests(5));
  });

  test('an entry is read once', () => {
    const reads: (bigint | undefined)[] = [];
    const counted = {
      journal(above?: bigint) {
        reads.push(above);
        return store.journal(above);
      },
    };
    value(accept(1));
    value(auditedStatements({ store: counted, content }));
    value(accept(2));
    expect(value(auditedStatements({ store: counted, content }))).toEqual(digests(2, 1));
    expect(reads).toEqual([0n, 1n]);
    expect(value(store.journal(1n)).entries).toHaveLength(1);
  });
});
