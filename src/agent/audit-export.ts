/**
 * `holdfast audit export`: the journal as it is, and of one change the statement with its signatures
 * and the evidence that was recorded when it was accepted. Everything is handed out as the exact
 * bytes that the journal's hashes are over; whoever gets the file judges it (audit-verify.ts).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { AuditChange, AuditEntry, AuditFile } from '#state/audit.ts';
import { sha256 } from '#state/digest.ts';
import { pointText } from '#state/point.ts';
import { readJournal } from '#wire/audit.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';
import type { Base } from './base.ts';

type From = Pick<Base, 'store' | 'content' | 'root' | 'device' | 'identity'>;

/** @param wanted  `57`, the newest of that number, or `1.57`; null: the journal alone */
export function auditFileOf(base: From, wanted: string | null): Result<AuditFile> {
  const journal = base.store.journal();
  if (!journal.ok) return journal;
  const file = {
    fleet: base.root.fleet,
    deviceId: base.device.id,
    deviceKey: base.identity.signer.publicKey,
    journal: journal.value,
  };
  if (wanted === null) return ok({ ...file, change: null });
  const entries = readJournal(journal.value);
  if (!entries.ok) return entries;
  const change = changeOf(base, entries.value, wanted);
  return change.ok ? ok({ ...file, change: change.value }) : change;
}

function changeOf(
  { content }: From,
  entries: readonly AuditEntry[],
  wanted: string,
): Result<AuditChange> {
  const accepted = entries.findLast(
    ({ kind, point, details }) =>
      kind === 'accepted' && details !== null && point !== null && isNamed(point, wanted),
  );
  if (!accepted?.point) {
    const reason = 'the journal has no acceptance of it, or has folded it';
    return refuse('agent.no-evidence', { change: wanted, reason });
  }
  const { point, channel, details } = accepted;
  const kept = content.readStatement(point.stateDigest);
  if (!kept.ok) {
    return refuse('agent.no-evidence', { change: wanted, reason: kept.fault.message });
  }
  const { envelope, evidence } = kept.value;
  if (!evidence || sha256(evidence) !== details) {
    const reason = 'the file of its statement does not have what the journal names';
    return refuse('agent.no-evidence', { change: wanted, reason });
  }
  return ok({ channel, point, statement: writeEnvelopeMessage(envelope), evidence });
}

function isNamed(point: { readonly epoch: bigint; readonly sequence: bigint }, wanted: string) {
  return wanted === pointText(point) || wanted === `${point.sequence}`;
}
