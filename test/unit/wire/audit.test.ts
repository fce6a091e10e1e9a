/** The chain of the audit journal: what it proves, and that no byte of it can differ unseen. */
import { describe, expect, test } from 'bun:test';
import { type AuditMark, EMPTY_MARK, type Journal, type NewAuditEntry } from '#state/audit.ts';
import { sha256 } from '#state/digest.ts';
import { auditHash, readAuditEntry, readJournal, writeAuditEntry } from '#wire/audit.ts';
import { readAuditFile, readEvidence, writeAuditFile, writeEvidence } from '#wire/audit-file.ts';
import { codeOf, FLEET, point, value } from '../../support/store.ts';

function fact(kind: string, over: Partial<NewAuditEntry> = {}): NewAuditEntry {
  return {
    boot: 3n,
    monotonicMs: 12_345,
    at: 1_700_000_000_000,
    grade: 'synchronised',
    kind,
    actor: 'owner',
    channel: 'stable',
    point: point(7),
    via: 'registry',
    code: '',
    message: '',
    details: sha256(Buffer.from('evidence')),
    ...over,
  };
}

function journalOf(facts: readonly NewAuditEntry[], folded: AuditMark = EMPTY_MARK): Journal {
  const entries: Uint8Array[] = [];
  let head = folded;
  for (const one of facts) {
    const bytes = writeAuditEntry(one, head);
    head = { count: head.count + 1n, hash: auditHash(bytes) };
    entries.push(bytes);
  }
  return { folded, head, entries };
}

const THREE = journalOf([
  fact('accepted'),
  fact('applied', { details: null, actor: 'agent' }),
  fact('refused', {
    point: null,
    via: null,
    code: 'trust.rollback',
    message: 'lower',
    details: null,
  }),
]);

const flipped = (bytes: Uint8Array, at: number, bit: number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
};

describe('an entry', () => {
  test('comes back as it was written, with its place in the chain', () => {
    const before = { count: 41n, hash: sha256(Buffer.from('before')) };
    const read = value(readAuditEntry(writeAuditEntry(fact('accepted'), before)));
    expect(read).toEqual({ ...fact('accepted'), number: 42n, previous: before.hash });
  });
});

describe('a journal', () => {
  test('that is whole is read, from its checkpoint to its head', () => {
    expect(value(readJournal(THREE)).map(({ kind }) => kind)).toEqual([
      'accepted',
      'applied',
      'refused',
    ]);
    expect(value(readJournal({ folded: EMPTY_MARK, head: EMPTY_MARK, entries: [] }))).toEqual([]);
  });

  test('goes on from a checkpoint, and from no other', () => {
    const [first, ...rest] = THREE.entries;
    const folded = { count: 1n, hash: auditHash(first ?? new Uint8Array()) };
    expect(value(readJournal({ ...THREE, folded, entries: rest }))).toHaveLength(2);
    const other = { count: 1n, hash: sha256(Buffer.from('other')) };
    expect(codeOf(readJournal({ ...THREE, folded: other, entries: rest }))).toBe(
      'trust.audit-broken',
    );
  });

  test('is broken by any one bit of any byte', () => {
    THREE.entries.forEach((bytes, index) => {
      for (let at = 0; at < bytes.length; at += 1) {
        const entries = THREE.entries.with(index, flipped(bytes, at, at % 8));
        expect(codeOf(readJournal({ ...THREE, entries }))).toBe('trust.audit-broken');
      }
    });
  });

  test('is broken by an entry taken out, put twice, exchanged or cut from the end', () => {
    const [a, b, c] = THREE.entries;
    if (!a || !b || !c) throw new Error('three entries');
    for (const entries of [[b, c], [a, c], [a, a, b, c], [b, a, c], [a, b], []]) {
      expect(codeOf(readJournal({ ...THREE, entries }))).toBe('trust.audit-broken');
    }
  });

  test('is broken when what follows was written anew but the head was not', () => {
    const anew = journalOf([fact('accepted'), fact('undone')]);
    expect(codeOf(readJournal({ ...anew, head: THREE.head }))).toBe('trust.audit-broken');
  });
});

describe('a file', () => {
  const change = {
    channel: 'stable',
    point: point(7),
    statement: Buffer.from('statement'),
    evidence: Buffer.from('evidence'),
  };
  const file = {
    fleet: FLEET,
    deviceId: 'gw-1',
    deviceKey: new Uint8Array([1, 2]),
    journal: THREE,
    change: { ...change, statement: new Uint8Array([1]), evidence: new Uint8Array([2]) },
  };

  test('comes back as it was written', () => {
    expect(value(readAuditFile(writeAuditFile(file)))).toEqual(file);
    expect(value(readAuditFile(writeAuditFile({ ...file, change: null }))).change).toBeNull();
  });

  test('that is cut anywhere is no file, or its journal is broken', () => {
    const bytes = writeAuditFile({ ...file, change: null });
    for (let length = 0; length < bytes.length; length += 1) {
      const read = readAuditFile(bytes.subarray(0, length));
      expect(read.ok && readJournal(read.value.journal).ok).toBe(false);
    }
  });
});

test('evidence comes back as it was written', () => {
  const evidence = {
    statement: sha256(Buffer.from('statement')),
    root: new Uint8Array([1, 2, 3]),
    freshness: 'estimated' as const,
    checks: [{ number: 10, name: 'threshold', passed: true, compared: '2 of 2' }],
    steps: ['install line'],
    documents: [{ id: 'line', digest: sha256(Buffer.from('document')) }],
  };
  expect(value(readEvidence(writeEvidence(evidence)))).toEqual(evidence);
});
