/**
 * Typed rows over an engine. Every row is read through its checksum; a transaction that meets a
 * damaged row commits nothing. A full disk gets one more try with the reserve freed.
 */
import { assert, type Fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import { type AuditMark, EMPTY_MARK, type Journal } from '#state/audit.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { auditHash, writeAuditEntry } from '#wire/audit.ts';
import { auditEntryRecord, auditSpanRecord } from '#wire/audit-file.ts';
import { margoLinkRecord, margoReportRecord } from '#wire/margo-record.ts';
import {
  channelRecord,
  deviceRecord,
  eventRecord,
  historyRecord,
  type OutboxRow,
  outboxRecord,
  type RecordKind,
  rejectedRecord,
  rootRecord,
  type Span,
  spanRecord,
  stateRecord,
} from '#wire/records.ts';
import { type Engine, StoreFailure } from './engine.ts';
import { type KnownRows, knownRows, openRow } from './known-rows.ts';
import { type Overlay, overlayOn } from './overlay.ts';
import { frameRecord } from './record.ts';
import type { Reserve } from './reserve.ts';
import type { Store, StoreReader, StoreWriter } from './store.ts';
import { KEYS } from './tables.ts';

/** @param release  runs after the engine is closed: the lock */
export function typedStore(engine: Engine, reserve: Reserve, release: () => void): Store {
  const known = knownRows();
  return {
    ...reader({ get: (key) => engine.get(key), range: (prefix) => engine.range(prefix), known }),
    transaction: (work) => transact({ engine, reserve, known }, work),
    transactionId: () => engine.transactionId(),
    close() {
      engine.close();
      release();
    },
  };
}

/** A row that cannot be trusted or read, on its way out of the work of a transaction. */
class RowFault extends Error {
  override readonly name = 'RowFault';
  readonly fault: Fault;
  constructor(fault: Fault) {
    super(fault.message);
    this.fault = fault;
  }
}

interface Opened {
  readonly engine: Engine;
  readonly reserve: Reserve;
  readonly known: KnownRows;
}

function transact<T>({ engine, reserve, known }: Opened, work: (tx: StoreWriter) => T): Result<T> {
  try {
    const overlay = Object.assign(overlayOn(engine), { known });
    const value = work(writer(overlay));
    if (overlay.unchanged) return ok(value);
    const committed = commit(engine, reserve, overlay);
    return committed.ok ? ok(value) : committed;
  } catch (error) {
    if (error instanceof RowFault || error instanceof StoreFailure) return refused(error.fault);
    throw error;
  }
}

function commit(engine: Engine, reserve: Reserve, overlay: Overlay): Result<void> {
  const need = overlay.roomNeeded;
  if (!reserve.hasRoom(need) && !(reserve.free() && reserve.hasRoom(need))) {
    return refuse('store.no-space', { operation: `commit up to ${need} bytes to the store` });
  }
  try {
    engine.transaction((tx) => overlay.apply(tx));
    reserve.ensure();
    return ok();
  } catch (error) {
    // Somebody else was faster, or the file system keeps its free space for itself.
    if (!(error instanceof StoreFailure)) throw error;
    if (error.fault.code !== 'store.no-space' || !reserve.free()) return refused(error.fault);
  }
  engine.transaction((tx) => overlay.apply(tx));
  return ok();
}

/** What both an engine and a transaction under way can be read by. */
type Rows = Pick<Overlay, 'get' | 'range'> & { readonly known: KnownRows };

function reader(rows: Rows): StoreReader {
  return {
    device: () => row(rows, KEYS.device, deviceRecord),
    root: (fleet) => row(rows, KEYS.root(fleet), rootRecord),
    channel: (fleet, channel) => row(rows, KEYS.channel(fleet, channel), channelRecord),
    channels: () => all(rows, KEYS.channels, channelRecord),
    state: (fleet, channel, digest) => row(rows, KEYS.state(fleet, channel, digest), stateRecord),
    states: (fleet, channel) => all(rows, KEYS.states(fleet, channel), stateRecord),
    rejected: (fleet, channel) => all(rows, KEYS.rejections(fleet, channel), rejectedRecord),
    history(limit) {
      const found = all(rows, KEYS.histories, historyRecord);
      return found.ok ? ok(found.value.toReversed().slice(0, limit)) : found;
    },
    outboxStatus() {
      const status = row(rows, KEYS.outbox, outboxRecord);
      const span = row(rows, KEYS.eventSpan, spanRecord);
      if (!status.ok || status.value === null) return status;
      if (!span.ok) return span;
      const { lastEvent } = status.value;
      const last = span.value?.last ?? 0n;
      return ok({ ...status.value, lastEvent: last > lastEvent ? last : lastEvent });
    },
    margoLink: (fleet) => row(rows, KEYS.margo(fleet), margoLinkRecord),
    margoReports: (fleet) => all(rows, KEYS.margoReports(fleet), margoReportRecord),
    outboxEvents: () => all(rows, KEYS.events, eventRecord),
    auditHead() {
      const span = row(rows, KEYS.auditHead, auditSpanRecord);
      return span.ok ? ok(span.value?.head ?? EMPTY_MARK) : span;
    },
    journal: (above) => journalOf(rows, above),
  };
}

function row<T>(rows: Rows, key: string, kind: RecordKind<T>): Result<T | null> {
  return attempt(() => {
    const framed = rows.get(key);
    return framed === undefined ? ok(null) : rows.known.open(key, framed, kind);
  });
}

/** A row that another version wrote and this one cannot read is left out, not lost. */
function all<T>(rows: Rows, prefix: string, kind: RecordKind<T>): Result<readonly T[]> {
  return attempt(() => {
    const found: T[] = [];
    for (const [key, framed] of rows.range(prefix)) {
      const opened = LOGS.has(prefix)
        ? openRow(key, framed, kind)
        : rows.known.open(key, framed, kind);
      if (opened.ok) found.push(opened.value);
      else if (opened.fault.code !== 'store.record') return opened;
    }
    return ok(found);
  });
}

function journalOf(rows: Rows, above: bigint | undefined): Result<Journal> {
  const span = row(rows, KEYS.auditHead, auditSpanRecord);
  if (!span.ok) return span;
  const { folded = EMPTY_MARK, head = EMPTY_MARK } = span.value ?? {};
  const entries =
    above === undefined
      ? all(rows, KEYS.audits, auditEntryRecord)
      : newer(rows, above > folded.count ? above : folded.count, head.count);
  return entries.ok ? ok({ folded, head, entries: entries.value }) : entries;
}

/** Entries of the audit journal from above a number to its head. */
function newer(rows: Rows, above: bigint, last: bigint): Result<readonly Uint8Array[]> {
  return attempt(() => {
    const found: Uint8Array[] = [];
    for (let number = above + 1n; number <= last; number += 1n) {
      const key = KEYS.audit(number);
      const framed = rows.get(key);
      if (framed === undefined) continue;
      const opened = openRow(key, framed, auditEntryRecord);
      if (opened.ok) found.push(opened.value);
      else if (opened.fault.code !== 'store.record') return opened;
    }
    return ok(found);
  });
}

/** Read rarely and all at once: they would only push out what is read often. */
const LOGS: ReadonlySet<string> = new Set([KEYS.histories, KEYS.audits, KEYS.events]);

/** An engine that had to be opened again and could not be is a fault here too. */
function attempt<T>(read: () => Result<T>): Result<T> {
  try {
    return read();
  } catch (error) {
    if (error instanceof StoreFailure) return refused(error.fault);
    throw error;
  }
}

function writer(overlay: Overlay & Rows): StoreWriter {
  const put = <T>(key: string, kind: RecordKind<T>, value: T): void =>
    overlay.put(key, frameRecord(key, kind.write(value)));
  const span = (key: string): Span =>
    orThrow(row(overlay, key, spanRecord)) ?? { first: 1n, last: 0n };
  const outbox = (): OutboxRow => orThrow(row(overlay, KEYS.outbox, outboxRecord)) ?? EMPTY_OUTBOX;

  return {
    ...reader(overlay),
    putDevice: (device) => put(KEYS.device, deviceRecord, device),
    putRoot: (fleet, envelope) => put(KEYS.root(fleet), rootRecord, envelope),
    putChannel: (channel) =>
      put(KEYS.channel(channel.fleet, channel.channel), channelRecord, channel),
    removeChannel: (fleet, channel) => overlay.remove(KEYS.channel(fleet, channel)),
    putState: (fleet, channel, state) =>
      put(KEYS.state(fleet, channel, state.stateDigest), stateRecord, state),
    removeState: (fleet, channel, digest) => overlay.remove(KEYS.state(fleet, channel, digest)),
    putRejected: (fleet, channel, rejected) =>
      put(KEYS.rejected(fleet, channel, rejected.point.stateDigest), rejectedRecord, rejected),
    removeRejected: (fleet, channel, digest) =>
      overlay.remove(KEYS.rejected(fleet, channel, digest)),
    addHistory(line) {
      const { first, last } = span(KEYS.historySpan);
      const number = last + 1n;
      put(KEYS.history(number), historyRecord, { ...line, number });
      const kept = dropOldest(overlay, KEYS.history, { first, last: number }, LIMITS.historyMax);
      put(KEYS.historySpan, spanRecord, kept);
    },
    putMargoLink: (fleet, link) => put(KEYS.margo(fleet), margoLinkRecord, link),
    putMargoReport: (fleet, report) =>
      put(KEYS.margoReport(fleet, idOf(report.deployment)), margoReportRecord, report),
    removeMargoReport: (fleet, id) => overlay.remove(KEYS.margoReport(fleet, idOf(id))),
    putOutboxStatus: (status) => put(KEYS.outbox, outboxRecord, status),
    addEvent(event) {
      const { first, last } = span(KEYS.eventSpan);
      const number = last + 1n;
      put(KEYS.event(number), eventRecord, { ...event, number });
      const kept = dropOldest(overlay, KEYS.event, { first, last: number }, LIMITS.eventsMax);
      put(KEYS.eventSpan, spanRecord, kept);
      if (kept.first === first) return;
      const status = outbox();
      const eventsDropped = status.eventsDropped + (kept.first - first);
      put(KEYS.outbox, outboxRecord, { ...status, eventsDropped, lastEvent: number });
    },
    removeEvents(upTo) {
      const { first, last } = span(KEYS.eventSpan);
      let left = first;
      for (; left <= last && left <= upTo; left += 1n) overlay.remove(KEYS.event(left));
      if (left > first) put(KEYS.eventSpan, spanRecord, { first: left, last });
    },
    addAudit(entry) {
      const span = orThrow(row(overlay, KEYS.auditHead, auditSpanRecord));
      const { folded, head: before } = span ?? { folded: EMPTY_MARK, head: EMPTY_MARK };
      const bytes = writeAuditEntry(entry, before);
      const head = { count: before.count + 1n, hash: auditHash(bytes) };
      put(KEYS.audit(head.count), auditEntryRecord, bytes);
      put(KEYS.auditHead, auditSpanRecord, { folded: foldOldest(overlay, folded, head), head });
    },
  };
}

/** Ids of Margo may be longer than a key's part, and hold other letters. */
function idOf(deployment: string): Digest {
  return sha256(Buffer.from(deployment));
}

const EMPTY_OUTBOX: OutboxRow = {
  boot: 0n,
  report: 0n,
  previousReport: null,
  eventsDropped: 0n,
  lastEvent: 0n,
};

/** Removes from the front until at most `max` numbers are left. */
function dropOldest(
  overlay: Overlay,
  key: (number: bigint) => string,
  { first, last }: Span,
  max: number,
): Span {
  let kept = first;
  for (; last - kept + 1n > BigInt(max); kept += 1n) overlay.remove(key(kept));
  assert(kept <= last, 'the newest row is kept');
  return { first: kept, last };
}

/** The checkpoint after the oldest entries have gone into it: the next one names it as `previous`. */
function foldOldest(overlay: Overlay & Rows, folded: AuditMark, head: AuditMark): AuditMark {
  let mark = folded;
  while (head.count - mark.count > BigInt(LIMITS.auditMax)) {
    const key = KEYS.audit(mark.count + 1n);
    const bytes = orThrow(row(overlay, key, auditEntryRecord));
    assert(bytes, `the journal has ${key}`);
    mark = { count: mark.count + 1n, hash: auditHash(bytes) };
    overlay.remove(key);
  }
  return mark;
}

function orThrow<T>(result: Result<T>): T {
  if (!result.ok) throw new RowFault(result.fault);
  return result.value;
}
