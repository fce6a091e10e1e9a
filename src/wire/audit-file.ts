/**
 * What leaves the device of its audit journal: the evidence of one change, and the file that
 * `holdfast audit export` writes. Read strictly, since others than the writer read it.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type {
  AuditChange,
  AuditEvidence,
  AuditFile,
  AuditMark,
  AuditSpan,
  Journal,
} from '#state/audit.ts';
import { EMPTY_MARK } from '#state/audit.ts';
import { digestToBytes } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { isDeviceId } from '#state/names.ts';
import { readAuditPoint } from './audit.ts';
import { type FieldCheck, fieldCheck, fleetToBytes } from './field-check.ts';
import {
  AuditEvidenceSchema,
  AuditFileSchema,
  AuditHeadRowSchema,
  type AuditChange as ProtoAuditChange,
  type AuditMark as ProtoAuditMark,
} from './generated/store_pb.ts';
import { freshnessFromWire, freshnessToWire, pointToWire, Unreadable } from './record-parts.ts';
import type { RecordKind } from './records.ts';
import { readMessage } from './strict-protobuf.ts';

const SPEC_VERSION = 1;
const HEAD_BYTES = 1024;

export function writeEvidence(evidence: AuditEvidence): Uint8Array {
  const message = create(AuditEvidenceSchema, {
    statement: digestToBytes(evidence.statement),
    root: evidence.root,
    freshness: freshnessToWire(evidence.freshness),
    checks: evidence.checks.map((check) => ({ ...check })),
    steps: [...evidence.steps],
    documents: evidence.documents.map(({ id, digest }) => ({ id, digest: digestToBytes(digest) })),
  });
  return toBinary(AuditEvidenceSchema, message);
}

export function readEvidence(bytes: Uint8Array): Result<AuditEvidence> {
  const what = 'audit evidence';
  const message = readMessage(AuditEvidenceSchema, bytes, what, LIMITS.auditFileBytes);
  if (!message.ok) return message;
  const from = message.value;
  const check = fieldCheck();
  const evidence: AuditEvidence = {
    statement: check.digest('statement', from.statement),
    root: from.root,
    freshness: freshnessOf(check, from.freshness),
    checks: from.checks.map(({ number, name, passed, compared }) => ({
      ...{ number, name, passed, compared },
    })),
    steps: from.steps,
    documents: from.documents.map(({ id, digest }) => ({
      id,
      digest: check.digest('documents.digest', digest),
    })),
  };
  const problem = check.problem();
  return problem === null ? ok(evidence) : refuse('format.message', { what, ...problem });
}

export function writeAuditFile(file: AuditFile): Uint8Array {
  const { journal, change } = file;
  const message = create(AuditFileSchema, {
    specVersion: SPEC_VERSION,
    fleet: fleetToBytes(file.fleet),
    deviceId: file.deviceId,
    deviceKey: file.deviceKey,
    folded: markToProto(journal.folded),
    entries: [...journal.entries],
    head: digestToBytes(journal.head.hash),
    ...(change && {
      change: {
        channel: change.channel,
        point: pointToWire(change.point),
        statement: change.statement,
        evidence: change.evidence,
      },
    }),
  });
  return toBinary(AuditFileSchema, message);
}

/** Well formed; what it is worth is judged by `readJournal` and the agent's `verifyAuditFile`. */
export function readAuditFile(bytes: Uint8Array): Result<AuditFile> {
  const what = 'audit file';
  const message = readMessage(AuditFileSchema, bytes, what, LIMITS.auditFileBytes);
  if (!message.ok) return message;
  const from = message.value;
  if (from.specVersion !== SPEC_VERSION) {
    return refuse('format.spec-version', { what: 'the audit file', found: from.specVersion });
  }
  const check = fieldCheck();
  check.require(isDeviceId(from.deviceId), 'device_id', 'not a device id');
  const folded = markFromProto(check, 'folded', from.folded);
  const count = folded.count + BigInt(from.entries.length);
  const journal: Journal = {
    folded,
    head: { count, hash: check.digest('head', from.head) },
    entries: from.entries,
  };
  const file: AuditFile = {
    fleet: check.fleet('fleet', from.fleet),
    deviceId: from.deviceId,
    deviceKey: from.deviceKey,
    journal,
    change: changeFromProto(check, from.change),
  };
  const problem = check.problem();
  return problem === null ? ok(file) : refuse('format.message', { what, ...problem });
}

/** The row beside the entries: where the journal begins and ends. */
export const auditSpanRecord: RecordKind<AuditSpan> = {
  write: ({ folded, head }) =>
    toBinary(
      AuditHeadRowSchema,
      create(AuditHeadRowSchema, { folded: markToProto(folded), head: markToProto(head) }),
    ),
  read(bytes, key) {
    const message = readMessage(AuditHeadRowSchema, bytes, 'audit head', HEAD_BYTES);
    if (!message.ok) return refuse('store.record', { key, reason: message.fault.message });
    const check = fieldCheck();
    const span: AuditSpan = {
      folded: markFromProto(check, 'folded', message.value.folded),
      head: markFromProto(check, 'head', message.value.head),
    };
    const problem = check.problem();
    if (problem === null) return ok(span);
    return refuse('store.record', { key, reason: `${problem.field}: ${problem.reason}` });
  },
};

/** An entry's row is its bytes. */
export const auditEntryRecord: RecordKind<Uint8Array> = {
  write: (entry) => entry,
  read: (bytes) => ok(Uint8Array.from(bytes)),
};

function markToProto({ count, hash }: AuditMark) {
  return { count, hash: digestToBytes(hash) };
}

function markFromProto(
  check: FieldCheck,
  field: string,
  mark: ProtoAuditMark | undefined,
): AuditMark {
  if (!mark) return EMPTY_MARK;
  return { count: mark.count, hash: check.digest(`${field}.hash`, mark.hash) };
}

function changeFromProto(
  check: FieldCheck,
  change: ProtoAuditChange | undefined,
): AuditChange | null {
  if (!change) return null;
  const { channel, statement, evidence } = change;
  const point = readAuditPoint(check, change.point);
  if (point) return { channel, point, statement, evidence };
  check.fail('change.point', 'it is missing');
  return null;
}

function freshnessOf(check: FieldCheck, freshness: Parameters<typeof freshnessFromWire>[0]) {
  try {
    return freshnessFromWire(freshness);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    check.fail('freshness', 'an unknown choice');
    return 'unknown' as const;
  }
}
