/**
 * Rows of the store and files of the content store as bytes (wire/proto/store.proto). Checksums
 * and keys are in store/record.ts: a record that reaches `read` here is as it was written, by this
 * version or another. Round trips are exact; a value that cannot be written is a broken assumption.
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type {
  ChannelRow,
  DeviceRow,
  HistoryRow,
  RejectedRow,
  StateRow,
} from '#state/channel-row.ts';
import { type Digest, digestToBytes } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import type { Fleet } from '#state/names.ts';
import type { StatusEvent, Via } from '#state/status.ts';
import { deferredFromWire, deferredToWire } from './deferred-record.ts';
import { EventSchema } from './generated/holdfast_pb.ts';
import {
  ChannelRowSchema,
  DeviceRowSchema,
  FormatRowSchema,
  HistoryRowSchema,
  OutboxStatusRowSchema,
  RejectedFileSchema,
  RejectedRowSchema,
  RootRowSchema,
  SpanRowSchema,
  StatementFileSchema,
  StateRowSchema,
  type RejectedRow as WireRejectedRow,
} from './generated/store_pb.ts';
import { generationFromWire, generationToWire } from './generation-record.ts';
import { intentFromWire, intentToWire, triedFromWire, triedToWire } from './intent-record.ts';
import { openFromWire, openToWire, partlyFromWire, partlyToWire } from './parts-record.ts';
import {
  codeFromText,
  digestField,
  digestOrNull,
  freshnessFromWire,
  freshnessToWire,
  numberField,
  oneOf,
  pointFromWire,
  pointToWire,
  required,
  Unreadable,
  viaFromWire,
  viaOrNull,
  viaToWire,
  wholeNumber,
} from './record-parts.ts';

/** One kind of record. */
export interface RecordKind<T> {
  write(row: T): Uint8Array;
  /** `store.record` when another version wrote what this one cannot read. */
  read(bytes: Uint8Array, key: string): Result<T>;
}

/** A statement as it is kept on disk: enough to act on it again without a network. */
export interface StatementFile {
  readonly envelope: Envelope;
  /** the documents layer, exact bytes */
  readonly documents: Uint8Array | null;
  readonly via: Via;
  /** why it was accepted (wire/audit-file.ts); absent: written before there was a journal */
  readonly evidence?: Uint8Array;
}

/** A rejection kept as a file: survives the loss of the store. */
export interface RejectedMark {
  readonly fleet: Fleet;
  readonly channel: string;
  readonly row: RejectedRow;
}

/** Numbers in use of a numbered table; none when first > last. */
export interface Span {
  readonly first: bigint;
  readonly last: bigint;
}

export interface OutboxRow {
  readonly boot: bigint;
  readonly report: bigint;
  readonly previousReport: Digest | null;
  readonly eventsDropped: bigint;
  readonly lastEvent: bigint;
}

/** Exported for its test. */
export function recordKind<D extends DescMessage, T>(
  schema: D,
  toWire: (row: T) => MessageShape<D>,
  fromWire: (wire: MessageShape<D>) => T,
): RecordKind<T> {
  return {
    write: (row) => toBinary(schema, toWire(row)),
    read(bytes, key) {
      const wire = decoded(schema, bytes);
      if (wire === null)
        return refuse('store.record', { key, reason: 'not the expected protobuf' });
      try {
        return ok(fromWire(wire));
      } catch (error) {
        // Anything else is a broken assumption of this program, and no fault of the row.
        if (!(error instanceof Unreadable)) throw error;
        return refuse('store.record', { key, reason: error.message });
      }
    },
  };
}

/** Null: not the bytes of such a message. The library says so with errors of several kinds. */
function decoded<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> | null {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return null;
  }
}

export const formatRecord: RecordKind<number> = recordKind(
  FormatRowSchema,
  (version: number) => create(FormatRowSchema, { version }),
  (wire) => wire.version,
);

export const deviceRecord: RecordKind<DeviceRow> = recordKind(
  DeviceRowSchema,
  (row: DeviceRow) =>
    create(DeviceRowSchema, {
      boot: row.boot,
      machine: row.machine,
      crashes: row.crashes,
      ...(row.paused && { paused: markToWire(row.paused) }),
      timeFloorMs: wholeNumber(row.timeFloorMs, 'time_floor_ms'),
    }),
  (wire) => ({
    boot: wire.boot,
    machine: wire.machine,
    crashes: wire.crashes,
    paused: wire.paused ? markFromWire(wire.paused) : null,
    timeFloorMs: numberField(wire.timeFloorMs, 'time_floor_ms'),
  }),
);

export const rootRecord: RecordKind<Uint8Array> = recordKind(
  RootRowSchema,
  (envelope: Uint8Array) => create(RootRowSchema, { envelope }),
  (wire) => wire.envelope,
);

export const channelRecord: RecordKind<ChannelRow> = recordKind(
  ChannelRowSchema,
  (row: ChannelRow) =>
    create(ChannelRowSchema, {
      fleet: row.fleet,
      channel: row.channel,
      ...(row.floor && { floor: pointToWire(row.floor) }),
      ...(row.intent && { intent: intentToWire(row.intent) }),
      ...(row.applied && { applied: pointToWire(row.applied) }),
      appliedVia: viaToWire(row.appliedVia),
      appliedFreshness: freshnessToWire(row.appliedFreshness),
      previous: row.previous.map(pointToWire),
      ...(row.hold && { hold: markToWire(row.hold) }),
      degraded: row.degraded ?? '',
      ...(row.paused && { paused: markToWire(row.paused) }),
      left: row.left ?? false,
      taken: row.taken ?? false,
      ...(row.deferred && { deferred: deferredToWire(row.deferred) }),
      ...(row.tried && { tried: triedToWire(row.tried) }),
      ...(row.partly && { partly: partlyToWire(row.partly) }),
    }),
  (wire) => ({
    fleet: wire.fleet,
    channel: wire.channel,
    floor: wire.floor ? pointFromWire(wire.floor) : null,
    intent: wire.intent ? intentFromWire(wire.intent) : null,
    applied: wire.applied ? pointFromWire(wire.applied) : null,
    appliedVia: viaOrNull(wire.appliedVia),
    appliedFreshness: freshnessFromWire(wire.appliedFreshness),
    previous: wire.previous.map(pointFromWire),
    hold: wire.hold ? markFromWire(wire.hold) : null,
    degraded: wire.degraded === '' ? null : codeFromText(wire.degraded),
    ...(wire.paused && { paused: markFromWire(wire.paused) }),
    ...(wire.left && { left: true }),
    ...(wire.taken && { taken: true }),
    ...(wire.deferred && { deferred: deferredFromWire(wire.deferred) }),
    ...(wire.tried && { tried: triedFromWire(wire.tried) }),
    ...(wire.partly && { partly: partlyFromWire(wire.partly) }),
  }),
);

export const stateRecord: RecordKind<StateRow> = recordKind(
  StateRowSchema,
  (row: StateRow) =>
    create(StateRowSchema, {
      stateDigest: digestToBytes(row.stateDigest),
      generations: row.generations.map(generationToWire),
      replaced: (row.replaced ?? []).map(generationToWire),
      replaces: row.replaced !== undefined,
      ...(row.open && { open: openToWire(row.open) }),
    }),
  (wire) => ({
    stateDigest: digestField(wire.stateDigest, 'state_digest'),
    generations: wire.generations.map(generationFromWire),
    ...((wire.replaces || wire.replaced.length > 0) && {
      replaced: wire.replaced.map(generationFromWire),
    }),
    ...(wire.open && { open: openFromWire(wire.open) }),
  }),
);

export const rejectedRecord: RecordKind<RejectedRow> = recordKind(
  RejectedRowSchema,
  rejectedToWire,
  rejectedFromWire,
);

export const historyRecord: RecordKind<HistoryRow> = recordKind(
  HistoryRowSchema,
  (row: HistoryRow) =>
    create(HistoryRowSchema, {
      number: row.number,
      at: wholeNumber(row.at, 'at'),
      channel: row.channel,
      outcome: row.outcome,
      ...(row.point && { point: pointToWire(row.point) }),
      via: viaToWire(row.via),
      code: row.code ?? '',
      message: row.message,
      tookMs: wholeNumber(Math.max(0, Math.round(row.tookMs)), 'took_ms'),
      deployment: row.deployment ?? '',
    }),
  (wire) => ({
    number: wire.number,
    at: numberField(wire.at, 'at'),
    channel: wire.channel,
    outcome: oneOf(OUTCOMES, wire.outcome, 'outcome'),
    point: wire.point ? pointFromWire(wire.point) : null,
    via: viaOrNull(wire.via),
    code: wire.code === '' ? null : codeFromText(wire.code),
    message: wire.message,
    tookMs: numberField(wire.tookMs, 'took_ms'),
    ...(wire.deployment !== '' && { deployment: wire.deployment }),
  }),
);

export const spanRecord: RecordKind<Span> = recordKind(
  SpanRowSchema,
  (row: Span) => create(SpanRowSchema, row),
  ({ first, last }) => ({ first, last }),
);

export const outboxRecord: RecordKind<OutboxRow> = recordKind(
  OutboxStatusRowSchema,
  (row: OutboxRow) =>
    create(OutboxStatusRowSchema, {
      ...row,
      previousReport: row.previousReport ? digestToBytes(row.previousReport) : new Uint8Array(),
    }),
  (wire) => ({
    boot: wire.boot,
    report: wire.report,
    previousReport: digestOrNull(wire.previousReport, 'previous_report'),
    eventsDropped: wire.eventsDropped,
    lastEvent: wire.lastEvent,
  }),
);

export const eventRecord: RecordKind<StatusEvent> = recordKind(
  EventSchema,
  (event: StatusEvent) => create(EventSchema, { ...event, at: wholeNumber(event.at, 'at') }),
  (wire) => ({
    number: wire.number,
    at: numberField(wire.at, 'at'),
    code: wire.code,
    channel: wire.channel,
    deployment: wire.deployment,
    message: wire.message,
  }),
);

export const statementRecord: RecordKind<StatementFile> = recordKind(
  StatementFileSchema,
  (file: StatementFile) =>
    create(StatementFileSchema, {
      envelope: {
        payloadType: file.envelope.payloadType,
        payload: file.envelope.payload,
        signatures: file.envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig })),
      },
      ...(file.documents && { documents: file.documents }),
      via: viaToWire(file.via),
      ...(file.evidence && { evidence: file.evidence }),
    }),
  (wire) => {
    const { payloadType, payload, signatures } = required(wire.envelope, 'envelope');
    return {
      envelope: {
        payloadType,
        payload,
        signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig })),
      },
      documents: wire.documents ?? null,
      via: viaFromWire(wire.via),
      ...(wire.evidence.length > 0 && { evidence: wire.evidence }),
    };
  },
);

export const rejectedMarkRecord: RecordKind<RejectedMark> = recordKind(
  RejectedFileSchema,
  (mark: RejectedMark) => create(RejectedFileSchema, { ...mark, row: rejectedToWire(mark.row) }),
  (wire) => ({
    fleet: wire.fleet,
    channel: wire.channel,
    row: rejectedFromWire(required(wire.row, 'row')),
  }),
);

const OUTCOMES = ['applied', 'rejected', 'undone', 'rolled-back', 'refused'] as const;

function markToWire(mark: { readonly at: number; readonly reason: string }) {
  return { at: wholeNumber(mark.at, 'at'), reason: mark.reason };
}

function markFromWire(wire: { readonly at: bigint; readonly reason: string }) {
  return { at: numberField(wire.at, 'at'), reason: wire.reason };
}

function rejectedToWire(row: RejectedRow): WireRejectedRow {
  const { code, message, deployment } = row;
  return create(RejectedRowSchema, {
    point: pointToWire(row.point),
    why: { code, message, deployment },
  });
}

function rejectedFromWire(wire: WireRejectedRow): RejectedRow {
  const why = required(wire.why, 'why');
  return {
    point: pointFromWire(required(wire.point, 'point')),
    code: codeFromText(why.code),
    message: why.message,
    deployment: why.deployment,
  };
}
