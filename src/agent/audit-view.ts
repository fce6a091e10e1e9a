/** Entries of the audit journal, and what `audit verify` found, as the command line shows them. */
import type { AuditEntryView } from '#control/api.ts';
import type { AuditEntry, AuditFile } from '#state/audit.ts';
import { pointText } from '#state/point.ts';
import type { VerifiedChange, VerifiedJournal } from './audit-verify.ts';

export function auditEntryView(entry: AuditEntry): AuditEntryView {
  return {
    number: `${entry.number}`,
    at: entry.at,
    grade: entry.grade,
    boot: `${entry.boot}`,
    kind: entry.kind,
    actor: entry.actor,
    channel: entry.channel,
    point: entry.point && pointText(entry.point),
    stateDigest: entry.point?.stateDigest ?? null,
    via: entry.via,
    code: entry.code === '' ? null : entry.code,
    message: entry.message,
  };
}

export interface VerifiedView {
  /** null: read from a state directory, which does not name it */
  readonly device: string | null;
  readonly folded: string;
  readonly entries: number;
  readonly head: string;
  /** the entry up to which a signed status vouches; null: no `--head` was given */
  readonly attestedTo: string | null;
  readonly change: ChangeView | null;
}

export interface ChangeView {
  readonly channel: string;
  readonly point: string;
  readonly stateDigest: string;
  readonly root: { readonly version: string; readonly digest: string; readonly given: boolean };
  /** what the device compared then */
  readonly checks: VerifiedChange['checks'];
  /** the signatures, counted again now */
  readonly recounted: VerifiedChange['checks'];
  readonly steps: readonly string[];
  readonly documents: readonly { readonly id: string; readonly digest: string }[];
  readonly accepted: AuditEntryView;
  readonly outcome: readonly AuditEntryView[];
}

export function verifiedView(
  file: Pick<AuditFile, 'deviceId'> | null,
  journal: VerifiedJournal,
  change: VerifiedChange | null,
): VerifiedView {
  return {
    device: file?.deviceId ?? null,
    folded: `${journal.folded}`,
    entries: journal.entries.length,
    head: journal.head.hash,
    attestedTo: journal.attestedTo === null ? null : `${journal.attestedTo}`,
    change: change && changeView(change),
  };
}

function changeView(change: VerifiedChange): ChangeView {
  const { accepted, root, evidence } = change;
  return {
    channel: change.channel,
    point: accepted.point ? pointText(accepted.point) : '',
    stateDigest: accepted.point?.stateDigest ?? '',
    root: {
      version: `${root.root.version}`,
      digest: root.digest ?? '',
      given: change.rootGiven,
    },
    checks: evidence.checks,
    recounted: change.checks,
    steps: evidence.steps,
    documents: evidence.documents,
    accepted: auditEntryView(accepted),
    outcome: change.outcome.map(auditEntryView),
  };
}
