/**
 * The store as the agent sees it: typed rows, one durable transaction at a time. Layout and keys
 * are in tables.ts, bytes in wire/records.ts, checksums in record.ts, LMDB only in lmdb.ts.
 * A row that fails its checksum is a `store.checksum` fault: the store is then quarantined and
 * rebuilt from the statements in the content store (quarantine.ts).
 */
import type { Result } from '#errors/fault.ts';
import type { AuditMark, Journal, NewAuditEntry } from '#state/audit.ts';
import type {
  ChannelRow,
  DeviceRow,
  HistoryRow,
  RejectedRow,
  StateRow,
} from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { MargoLinkRow, MargoReportRow } from '#state/margo.ts';
import type { Fleet } from '#state/names.ts';
import type { StatusEvent } from '#state/status.ts';

export interface StoreReader {
  device(): Result<DeviceRow | null>;
  /** newest root envelope held (exact JSON bytes) */
  root(fleet: Fleet): Result<Uint8Array | null>;
  channel(fleet: Fleet, channel: string): Result<ChannelRow | null>;
  channels(): Result<readonly ChannelRow[]>;
  state(fleet: Fleet, channel: string, digest: Digest): Result<StateRow | null>;
  states(fleet: Fleet, channel: string): Result<readonly StateRow[]>;
  rejected(fleet: Fleet, channel: string): Result<readonly RejectedRow[]>;
  /** newest first */
  history(limit: number): Result<readonly HistoryRow[]>;
  /** the outbox: signed status not yet acknowledged by a broker, or null */
  outboxStatus(): Result<OutboxStatus | null>;
  /** events waiting for a status to carry them, oldest first */
  outboxEvents(): Result<readonly StatusEvent[]>;
  /** what a Margo manager is known to have; null: it was never asked */
  margoLink(fleet: Fleet): Result<MargoLinkRow | null>;
  margoReports(fleet: Fleet): Result<readonly MargoReportRow[]>;
  /** the newest entry of the audit journal: what the signed status names */
  auditHead(): Result<AuditMark>;
  /**
   * The journal, unjudged: `readJournal` (wire/audit.ts) says whether it holds.
   * @param above  only the entries with a higher number
   */
  journal(above?: bigint): Result<Journal>;
}

export interface OutboxStatus {
  /** (boot, report) of the last status made */
  readonly boot: bigint;
  readonly report: bigint;
  /** SHA-256 of the last status payload acknowledged */
  readonly previousReport: Digest | null;
  /** events dropped since the last acknowledged status */
  readonly eventsDropped: bigint;
  /** number of the newest event ever made */
  readonly lastEvent: bigint;
}

export interface StoreWriter extends StoreReader {
  putDevice(row: DeviceRow): void;
  putRoot(fleet: Fleet, envelope: Uint8Array): void;
  putChannel(row: ChannelRow): void;
  removeChannel(fleet: Fleet, channel: string): void;
  putState(fleet: Fleet, channel: string, row: StateRow): void;
  removeState(fleet: Fleet, channel: string, digest: Digest): void;
  putRejected(fleet: Fleet, channel: string, row: RejectedRow): void;
  removeRejected(fleet: Fleet, channel: string, digest: Digest): void;
  /** assigns the number; drops the oldest past LIMITS.historyMax */
  addHistory(row: Omit<HistoryRow, 'number'>): void;
  putMargoLink(fleet: Fleet, row: MargoLinkRow): void;
  putMargoReport(fleet: Fleet, row: MargoReportRow): void;
  removeMargoReport(fleet: Fleet, deployment: string): void;
  putOutboxStatus(row: OutboxStatus): void;
  /** assigns the number; drops the oldest past LIMITS.eventsMax and counts them in OutboxStatus.eventsDropped */
  addEvent(event: Omit<StatusEvent, 'number'>): void;
  /** all up to and including this number */
  removeEvents(upTo: bigint): void;
  /** assigns number and hash; folds the oldest past LIMITS.auditMax into the checkpoint */
  addAudit(entry: NewAuditEntry): void;
}

export interface Store extends StoreReader {
  /** One durable commit, or nothing; `store.no-space`, `store.io` leave the store usable. */
  transaction<T>(work: (tx: StoreWriter) => T): Result<T>;
  /** grows by one per durable commit: what tests count */
  transactionId(): number;
  close(): void;
}
