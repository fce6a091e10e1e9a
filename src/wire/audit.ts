/**
 * The audit journal as bytes, and its chain. An entry is hashed, kept and exported as the exact
 * bytes it was first written as, so nothing hangs on how a library encodes. Reading is as strict as
 * for anything from outside: `audit verify` is given files by people who do not trust the device.
 *
 * Invariant: `readJournal` returns entries only when every one is bound to the next, the first to
 * the checkpoint and the last to the head, so that no byte of them can differ.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { AuditEntry, AuditMark, Journal, NewAuditEntry } from '#state/audit.ts';
import { type Digest, digestToBytes, sha256 } from '#state/digest.ts';
import type { StatusPoint, TimeGrade, Via } from '#state/status.ts';
import { type FieldCheck, fieldCheck } from './field-check.ts';
import { type Point as ProtoPoint, TimeGrade as ProtoTimeGrade } from './generated/holdfast_pb.ts';
import { AuditEntrySchema, type AuditEntry as ProtoAuditEntry } from './generated/store_pb.ts';
import { pointToWire, Unreadable, viaOrNull, viaToWire } from './record-parts.ts';
import { readMessage } from './strict-protobuf.ts';

const DOMAIN = new TextEncoder().encode('holdfast.audit.v1\n');
const ENTRY_BYTES = 8 * 1024;

export function writeAuditEntry(entry: NewAuditEntry, before: AuditMark): Uint8Array {
  const message = create(AuditEntrySchema, {
    number: before.count + 1n,
    previous: digestToBytes(before.hash),
    boot: entry.boot,
    monotonicMs: BigInt(entry.monotonicMs),
    at: BigInt(entry.at),
    grade: GRADES[entry.grade],
    kind: entry.kind,
    actor: entry.actor,
    channel: entry.channel,
    ...(entry.point && { point: pointToWire(entry.point) }),
    via: viaToWire(entry.via),
    code: entry.code,
    message: entry.message,
    details: entry.details ? digestToBytes(entry.details) : new Uint8Array(),
  });
  return toBinary(AuditEntrySchema, message);
}

export function auditHash(entry: Uint8Array): Digest {
  return sha256(Buffer.concat([DOMAIN, entry]));
}

/** One entry alone; whether it belongs where it stands, `readJournal` says. */
export function readAuditEntry(bytes: Uint8Array): Result<AuditEntry> {
  const message = readMessage(AuditEntrySchema, bytes, 'audit entry', ENTRY_BYTES);
  if (!message.ok) return message;
  const from = message.value;
  const check = fieldCheck();
  const entry: AuditEntry = {
    number: from.number,
    previous: check.digest('previous', from.previous),
    boot: from.boot,
    monotonicMs: check.time('monotonic_ms', from.monotonicMs),
    at: check.time('at', from.at),
    grade: gradeFromProto(from.grade),
    kind: from.kind,
    actor: from.actor,
    channel: from.channel,
    point: readAuditPoint(check, from.point),
    via: viaFromProto(from.via),
    code: from.code,
    message: from.message,
    details: check.digestOrNull('details', from.details),
  };
  const problem = check.problem();
  if (problem === null) return ok(entry);
  return refuse('format.message', { what: 'audit entry', ...problem });
}

/** `trust.audit-broken` names the first entry that does not hold. */
export function readJournal(journal: Journal): Result<readonly AuditEntry[]> {
  const { folded, head, entries } = journal;
  const read: AuditEntry[] = [];
  let before = folded;
  for (const bytes of entries) {
    const entry = readAuditEntry(bytes);
    const number = before.count + 1n;
    if (!entry.ok) return refuse('trust.audit-broken', { number, reason: entry.fault.message });
    if (entry.value.number !== number) {
      const reason = `it has the number ${entry.value.number}`;
      return refuse('trust.audit-broken', { number, reason });
    }
    if (entry.value.previous !== before.hash) {
      const reason = `it follows ${entry.value.previous}, what is before it is ${before.hash}`;
      return refuse('trust.audit-broken', { number, reason });
    }
    before = { count: number, hash: auditHash(bytes) };
    read.push(entry.value);
  }
  if (before.count === head.count && before.hash === head.hash) return ok(read);
  const reason = `the chain ends at ${before.count} ${before.hash}, its head is ${head.count} ${head.hash}`;
  return refuse('trust.audit-broken', { number: before.count, reason });
}

/** Absent, or a point whose digest is one. */
export function readAuditPoint(
  check: FieldCheck,
  point: ProtoPoint | undefined,
): StatusPoint | null {
  if (!point) return null;
  const { epoch, sequence } = point;
  const stateDigest = check.digest('point.state_digest', point.stateDigest);
  return { epoch, sequence, stateDigest, at: check.time('point.at', point.at) };
}

const GRADES: Readonly<Record<TimeGrade, ProtoTimeGrade>> = {
  estimated: ProtoTimeGrade.ESTIMATED,
  synchronised: ProtoTimeGrade.SYNCHRONISED,
  attested: ProtoTimeGrade.ATTESTED,
};

/** A grade of a later version is worth no more than an estimate here. */
function gradeFromProto(grade: ProtoTimeGrade): TimeGrade {
  const grades: readonly TimeGrade[] = ['synchronised', 'attested'];
  return grades.find((name) => GRADES[name] === grade) ?? 'estimated';
}

function viaFromProto(via: ProtoAuditEntry['via']): Via | null {
  try {
    return viaOrNull(via);
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}
