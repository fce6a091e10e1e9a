/**
 * `holdfast audit verify`: judges a journal, and the evidence of one change, away from the device.
 *
 * What it proves: no entry between checkpoint and head was altered, left out or put in; the
 * statement is the one whose acceptance the journal tells, and enough keys of the root recorded with
 * it have signed it. What it takes from outside: that the head is the device's (a signed status
 * names it) and that the root is the fleet's (the owner has its file). Without them the file is
 * sound in itself and no more, and the answer says so.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { AuditChange, AuditEntry, AuditEvidence, AuditFile, Journal } from '#state/audit.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { verifyAuthorship } from '#trust/authorship.ts';
import { CHECKS, type CheckTrace } from '#trust/outcome.ts';
import { type HeldRoot, openHeldRoot } from '#trust/root-chain.ts';
import { auditHash, readJournal } from '#wire/audit.ts';
import { readEvidence } from '#wire/audit-file.ts';
import { readEnvelopeMessage } from '#wire/envelope-message.ts';
import { isMargo, MARGO_CHANNEL } from './margo-state.ts';

/** What the one who verifies knows from elsewhere. */
export interface Known {
  /** `audit_head` of a signed status */
  readonly head: Digest | null;
  /** the owner's root envelope of the version that the change was accepted by */
  readonly root: Uint8Array | null;
}

export interface VerifiedJournal {
  readonly entries: readonly AuditEntry[];
  readonly folded: bigint;
  readonly head: { readonly count: bigint; readonly hash: Digest };
  /** number of the entry that the given head is the hash of; null: none was given */
  readonly attestedTo: bigint | null;
}

export interface VerifiedChange {
  readonly channel: string;
  readonly accepted: AuditEntry;
  /** what the journal tells of this state after its acceptance */
  readonly outcome: readonly AuditEntry[];
  readonly evidence: AuditEvidence;
  readonly root: HeldRoot;
  /** the root is the one that was given */
  readonly rootGiven: boolean;
  /** of the signatures, made anew now */
  readonly checks: readonly CheckTrace[];
}

export function verifyJournal(journal: Journal, head: Digest | null): Result<VerifiedJournal> {
  const entries = readJournal(journal);
  if (!entries.ok) return entries;
  const attestedTo = head && numberOf(journal, head);
  if (head !== null && attestedTo === null) {
    return refuse('trust.audit-mismatch', {
      what: 'the head of the journal',
      expected: `${head}, nor is it that of any entry`,
      found: journal.head.hash,
    });
  }
  const { folded } = journal;
  return ok({ entries: entries.value, folded: folded.count, head: journal.head, attestedTo });
}

function numberOf({ folded, entries }: Journal, head: Digest): bigint | null {
  if (folded.count > 0n && folded.hash === head) return folded.count;
  const index = entries.findIndex((bytes) => auditHash(bytes) === head);
  return index === -1 ? null : folded.count + BigInt(index) + 1n;
}

/** @param entries  of the same file, verified */
export function verifyChange(
  { fleet }: Pick<AuditFile, 'fleet'>,
  change: AuditChange,
  entries: readonly AuditEntry[],
  known: Known,
): Result<VerifiedChange> {
  const details = sha256(change.evidence);
  const { stateDigest } = change.point;
  const accepted = entries.findLast(
    (entry) => entry.kind === 'accepted' && entry.point?.stateDigest === stateDigest,
  );
  if (!accepted || accepted.details !== details || accepted.channel !== change.channel) {
    const expected = accepted?.details ?? 'named by any acceptance in the journal';
    return refuse('trust.audit-mismatch', { what: 'the evidence', expected, found: details });
  }
  const evidence = readEvidence(change.evidence);
  if (!evidence.ok) return evidence;
  const root = rootOf(evidence.value, known);
  if (!root.ok) return root;
  if (root.value.root.fleet !== fleet) {
    const found = root.value.root.fleet;
    return refuse('trust.audit-mismatch', {
      what: 'the fleet of the root',
      expected: fleet,
      found,
    });
  }
  const checks = verifyStatement(change, evidence.value, root.value);
  if (!checks.ok) return checks;
  const outcome = entries.filter(
    ({ number, point }) => number > accepted.number && point?.stateDigest === stateDigest,
  );
  const rootGiven = known.root !== null;
  const { channel } = change;
  const judged = { channel, accepted, outcome, evidence: evidence.value, root: root.value };
  return ok({ ...judged, rootGiven, checks: checks.value });
}

/** The recorded root, sound in itself, and the given one when one was given. */
function rootOf(evidence: AuditEvidence, known: Known): Result<HeldRoot> {
  const held = openHeldRoot(evidence.root);
  if (!held.ok || known.root === null) return held;
  const given = openHeldRoot(known.root);
  if (!given.ok) return given;
  if (given.value.digest === held.value.digest) return held;
  return refuse('trust.audit-mismatch', {
    what: 'the root that it was accepted by',
    expected: `version ${given.value.root.version} ${given.value.digest}`,
    found: `version ${held.value.root.version} ${held.value.digest}`,
  });
}

const MARGO_TRACE: CheckTrace = {
  number: 6,
  name: CHECKS[6],
  passed: true,
  compared: 'a Margo manifest, believed for the TLS identity of the manager: nobody signed it',
};

/** Checks 5–12 again, by that root; time is not judged: what was in force then may have ended. */
function verifyStatement(
  { statement, point, channel }: AuditChange,
  evidence: AuditEvidence,
  { root }: HeldRoot,
): Result<readonly CheckTrace[]> {
  const digest = sha256(statement);
  if (digest !== evidence.statement) {
    const expected = evidence.statement;
    return refuse('trust.audit-mismatch', { what: 'the statement', expected, found: digest });
  }
  const envelope = readEnvelopeMessage(statement, LIMITS.envelopeBytes + LIMITS.rootBytes);
  if (!envelope.ok) return envelope;
  const found = sha256(envelope.value.payload);
  if (found !== point.stateDigest) {
    const expected = point.stateDigest;
    return refuse('trust.audit-mismatch', { what: 'the signed state', expected, found });
  }
  // Nobody signed it: it was believed for the connection that it came over (decision 0024).
  const unsigned = envelope.value.signatures.length === 0;
  if (channel === MARGO_CHANNEL && isMargo(envelope.value) && unsigned) return ok([MARGO_TRACE]);
  const authored = verifyAuthorship(
    { envelope: envelope.value, roots: [] },
    {
      root,
      channel,
      time: { floorMs: 0, estimateMs: 0, grade: 'estimated', wallPlausible: true },
      clock: 'lenient',
      allowDemo: true,
    },
  );
  return authored.kind === 'authored' ? ok(authored.checks) : refused(authored.fault);
}
