/**
 * The evidence of one change: by which root and which checks its statement was accepted, and what it
 * was to do. It is kept in the statement's own file, so it costs no fsync, and stays as long as the
 * journal has an entry that names it (LIMITS.auditStatementBytes bounds all of it together).
 */

import { ok, type Result } from '#errors/fault.ts';
import type { Plan } from '#plan/plan.ts';
import { stepText } from '#plan/steps.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { ContentStore } from '#store/content.ts';
import type { Store } from '#store/store.ts';
import { readAuditEntry } from '#wire/audit.ts';
import { writeEvidence } from '#wire/audit-file.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';
import type { Candidate } from './found.ts';

/** @param root  the envelope that is held: the statement was judged by it */
export function evidenceOf(candidate: Candidate, plan: Plan, root: Uint8Array): Uint8Array {
  return writeEvidence({
    statement: sha256(writeEnvelopeMessage(candidate.envelope)),
    root,
    freshness: candidate.freshness,
    checks: candidate.checks,
    steps: plan.steps.map(stepText),
    documents: candidate.state.deployments.map(({ id, digest }) => ({ id, digest })),
  });
}

interface Named {
  readonly number: bigint;
  readonly statement: Digest;
}

/** What was read of a store's journal before: an entry never changes, so only new ones are read. */
const namedBefore = new WeakMap<object, { upTo: bigint; named: readonly Named[] }>();

/** Statements that stay because the journal names them: the newest, as many as the bound takes. */
export function auditedStatements({
  store,
  content,
}: {
  readonly store: Pick<Store, 'journal'>;
  readonly content: Pick<ContentStore, 'statementBytes'>;
}): Result<readonly Digest[]> {
  const { upTo, named } = namedBefore.get(store) ?? { upTo: 0n, named: [] };
  const journal = store.journal(upTo);
  if (!journal.ok) return journal;
  const { folded, head, entries } = journal.value;
  const all = [...named.filter(({ number }) => number > folded.count), ...entries.flatMap(nameOf)];
  namedBefore.set(store, { upTo: head.count, named: all });
  const kept = new Set<Digest>();
  let left = LIMITS.auditStatementBytes;
  for (const { statement } of all.toReversed()) {
    if (kept.has(statement)) continue;
    left -= content.statementBytes(statement);
    if (left < 0) break;
    kept.add(statement);
  }
  return ok([...kept]);
}

function nameOf(bytes: Uint8Array): readonly Named[] {
  const entry = readAuditEntry(bytes);
  if (!entry.ok || entry.value.details === null || !entry.value.point) return [];
  return [{ number: entry.value.number, statement: entry.value.point.stateDigest }];
}
