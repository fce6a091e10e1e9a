/**
 * What this hub knows of its fleet, from the statuses and presences that its broker retains. A
 * status counts where its device has signed it: with TLS by the key that this hub enrolled, else by
 * the key that was first seen under the name, which is remembered and said. A forged or replayed one
 * that takes its place in the broker takes nothing from the row: what counted before stands there
 * with the doubt beside it, also after a restart (`fleet/retained.jsonl`: such displaced statuses, and
 * first-seen keys). Judged in small slices, the newest of a topic only; bounded in rows.
 */
import type { Clock } from '#platform/clock.ts';
import { isDeviceId, isFleet } from '#state/names.ts';
import { readSignedStatus, type SignedStatus } from '#trust/signed-status.ts';
import { readPresence } from '#wire/presence.ts';
import { awaitedRows, type Enrolments } from './fleet-awaited.ts';
import {
  type FleetPage,
  type FleetQuery,
  type FleetRow,
  type Ordered,
  ordered,
} from './fleet-query.ts';
import { type Detail, detailOf, type Summary, shown, summaryOf } from './fleet-row.ts';
import type { Retained } from './retained.ts';

/** keyid (hex) that has to have signed; `open`: this hub enrols nobody; null: not enrolled */
export type EnrolledKey = (device: string) => string | 'open' | null;

export interface FleetViewInput {
  readonly clock: Clock;
  /** of the broker */
  readonly retained: Pick<Retained, 'messages' | 'receivedAt'>;
  /** of this view */
  readonly kept: Pick<Retained, 'messages' | 'put'>;
  readonly keyOf: EnrolledKey;
  /** null: this hub enrols nobody */
  readonly enrolments: Enrolments | null;
}

export interface FleetView {
  /** A retained message of this topic is durable, or cleared. */
  saw(topic: string): void;
  /** The enrolment of this device has changed. */
  judgeAgain(device: string): void;
  page(query: FleetQuery): FleetPage & { readonly beyond: number };
  /** of a row; null: nothing that it signed is here */
  detail(id: string): Detail | null;
  /** grows when a page may look different, at most once in VERSION_EVERY_MS */
  version(): number;
  /** Resolves when the version is another one, after `ms`, or when `signal` aborts. */
  changed(since: number, ms: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

/** One plant. */
const ROWS_MAX = 20_000;
const VERSION_EVERY_MS = 400;
/** messages judged before others get their turn */
const SLICE = 32;
const SEARCH_CHARS = 512;
const NO_BYTES = new Uint8Array();

interface Row {
  readonly topic: Topic;
  accepted: Accepted | null;
  doubt: string;
  online: boolean | null;
  seenAt: number;
  shown: FleetRow | null;
}

interface Accepted {
  readonly bytes: Uint8Array;
  readonly keyid: string;
  readonly boot: bigint;
  readonly report: bigint;
  readonly summary: Summary;
  /** by a key that nobody has enrolled */
  readonly pinned: boolean;
}

interface Topic {
  /** of its status */
  readonly id: string;
  readonly device: string;
  /** that the topic root names; null: it names none */
  readonly fleet: string | null;
}

interface Self {
  readonly input: FleetViewInput;
  readonly rows: Map<string, Row>;
  /** rows without anything signed: the first to go when it is full */
  readonly unproven: Set<string>;
  readonly pending: Set<string>;
  readonly waiters: Set<() => void>;
  version: number;
  order: Ordered | null;
  /** devices that found no room */
  readonly beyond: Set<string>;
  cancelSlice: (() => void) | null;
  cancelVersion: (() => void) | null;
}

export function fleetView(input: FleetViewInput): FleetView {
  const self: Self = {
    input,
    rows: new Map(),
    unproven: new Set(),
    pending: new Set(),
    waiters: new Set(),
    version: 1,
    order: null,
    beyond: new Set(),
    cancelSlice: null,
    cancelVersion: null,
  };
  for (const topic of input.kept.messages.keys()) if (topicOf(topic)) later(self, topic);
  for (const topic of input.retained.messages.keys()) later(self, topic);
  input.enrolments?.onChange(() => soon(self));
  return {
    saw: (topic) => later(self, topic),
    judgeAgain(device) {
      for (const [id, row] of self.rows) if (row.topic.device === device) later(self, id);
    },
    page(query) {
      self.order ??= ordered([...[...self.rows.values()].map(shownOf), ...awaited(self)]);
      return { ...self.order.page(query), beyond: self.beyond.size };
    },
    detail(id) {
      const row = self.rows.get(id);
      if (!row?.accepted) return null;
      const { device, fleet } = row.topic;
      const read = readSignedStatus(row.accepted.bytes, { fleet, device });
      return read.ok ? detailOf(read.value.status, read.value.keyid) : null;
    },
    version: () => self.version,
    changed: (since, ms, signal) => changed(self, since, ms, signal),
    close() {
      self.cancelSlice?.();
      self.cancelVersion?.();
      for (const wake of self.waiters) wake();
    },
  };
}

function awaited({ rows, input }: Self): readonly FleetRow[] {
  if (!input.enrolments) return [];
  const heard = new Set([...rows.values()].map(({ topic }) => topic.device));
  return awaitedRows(input.enrolments.all(), heard, Math.max(0, ROWS_MAX - rows.size));
}

function later(self: Self, topic: string): void {
  if (topicOf(topic) === null) return;
  self.pending.add(topic);
  self.cancelSlice ??= self.input.clock.after(0, () => slice(self));
}

function slice(self: Self): void {
  self.cancelSlice = null;
  let left = SLICE;
  for (const name of self.pending) {
    if (left === 0) break;
    left -= 1;
    self.pending.delete(name);
    const topic = topicOf(name);
    if (!topic) continue;
    if (name === topic.id) judge(self, topic);
    else takePresence(self, topic, name);
  }
  if (self.pending.size > 0) self.cancelSlice = self.input.clock.after(0, () => slice(self));
  soon(self);
}

/** The rows have changed: told at once after a quiet time, else soon. */
function soon(self: Self): void {
  self.cancelVersion ??= self.input.clock.after(VERSION_EVERY_MS, () => {
    self.cancelVersion = null;
    self.version += 1;
    self.order = null;
    for (const wake of self.waiters) wake();
  });
}

function judge(self: Self, topic: Topic): void {
  const { retained, kept } = self.input;
  const bytes = retained.messages.get(topic.id);
  if (bytes === undefined) {
    forget(self, topic);
    return;
  }
  const row = rowOf(self, topic);
  if (row === null) return;
  const before = kept.messages.get(topic.id);
  if (!row.accepted && before) accept(self, row, before);
  row.doubt = accept(self, row, bytes);
  if (row.doubt === '') row.seenAt = retained.receivedAt.get(topic.id) ?? 0;
  row.shown = null;
  keepApart(self, row, bytes);
}

/** Empty: it counts. Else why it does not, and what counted before stands. */
function accept(self: Self, row: Row, bytes: Uint8Array): string {
  const { device, fleet } = row.topic;
  const read = readSignedStatus(bytes, { fleet, device });
  const wanted = keyWanted(self, row);
  if (row.accepted && row.accepted.keyid !== wanted) {
    row.accepted = null;
    self.unproven.add(row.topic.id);
  }
  if (!read.ok) return shown(read.fault.message, 200);
  const { status, keyid } = read.value;
  if (wanted === null) return 'no device of this name is enrolled here';
  if (wanted !== 'any' && wanted !== keyid) {
    return `it is signed by another key, sha256:${keyid.slice(0, 16)}…, not by sha256:${wanted.slice(0, 16)}…`;
  }
  if (row.accepted && !isNewer(row.accepted, read.value)) {
    return sameBytes(row.accepted.bytes, bytes) ? '' : 'it is an older report, sent again';
  }
  if (wanted === 'any') void self.input.kept.put(pinOf(row.topic), Buffer.from(keyid));
  const { boot, report } = status;
  const pinned = self.input.keyOf(device) === 'open';
  row.accepted = { bytes, keyid, boot, report, pinned, summary: summaryOf(status) };
  self.unproven.delete(row.topic.id);
  return '';
}

function isNewer({ boot, report }: Accepted, { status }: SignedStatus): boolean {
  return status.boot !== boot ? status.boot > boot : status.report > report;
}

function keyWanted({ input }: Self, { topic, accepted }: Row): string | 'any' | null {
  const enrolled = input.keyOf(topic.device);
  if (enrolled !== 'open') return enrolled;
  const pinned = input.kept.messages.get(pinOf(topic));
  if (pinned !== undefined) return Buffer.from(pinned).toString('latin1');
  return accepted?.keyid ?? 'any';
}

/** What counts is on disk: in the broker's file, or here where something else took its place there. */
function keepApart({ input }: Self, row: Row, retained: Uint8Array): void {
  const { id } = row.topic;
  const there = input.kept.messages.get(id);
  const bytes = row.accepted?.bytes ?? NO_BYTES;
  const wanted = bytes.length === 0 || sameBytes(bytes, retained) ? null : bytes;
  if (wanted === null && there) void input.kept.put(id, NO_BYTES);
  else if (wanted && !(there && sameBytes(there, wanted))) void keepOrLetGo({ input, row }, wanted);
}

/** Where there is no room for it any more, its row stays and its detail goes: memory is bounded too. */
async function keepOrLetGo(
  { input, row }: { readonly input: FleetViewInput; readonly row: Row },
  bytes: Uint8Array,
): Promise<void> {
  const put = await input.kept.put(row.topic.id, bytes);
  if (put.ok || row.accepted?.bytes !== bytes) return;
  row.accepted = { ...row.accepted, bytes: NO_BYTES };
}

function takePresence(self: Self, topic: Topic, name: string): void {
  const bytes = self.input.retained.messages.get(name);
  const row = bytes === undefined ? self.rows.get(topic.id) : rowOf(self, topic);
  if (!row) return;
  const presence = bytes === undefined ? null : readPresence(bytes);
  row.online = presence?.ok ? presence.value.online : null;
  row.shown = null;
  if (bytes === undefined && !self.input.retained.messages.has(topic.id)) forget(self, topic);
}

/** The retained status was cleared: the device is taken off, its first-seen key with it. */
function forget(self: Self, topic: Topic): void {
  const { kept, retained } = self.input;
  for (const name of [topic.id, pinOf(topic)]) {
    if (kept.messages.has(name)) void kept.put(name, NO_BYTES);
  }
  self.beyond.delete(topic.id);
  self.rows.delete(topic.id);
  self.unproven.delete(topic.id);
  const presence = presenceOf(topic);
  if (retained.messages.has(presence)) takePresence(self, topic, presence);
}

/** Null: there is no room; rows that prove nothing make room for others. */
function rowOf(self: Self, topic: Topic): Row | null {
  const there = self.rows.get(topic.id);
  if (there) return there;
  if (self.rows.size >= ROWS_MAX) {
    const [first] = self.unproven;
    if (first === undefined) {
      if (self.beyond.size < ROWS_MAX) self.beyond.add(topic.id);
      return null;
    }
    self.unproven.delete(first);
    self.rows.delete(first);
  }
  const row: Row = { topic, accepted: null, doubt: '', online: null, seenAt: 0, shown: null };
  self.rows.set(topic.id, row);
  self.unproven.add(topic.id);
  return row;
}

function shownOf(row: Row): FleetRow {
  row.shown ??= makeShown(row);
  return row.shown;
}

function makeShown({ topic, accepted, doubt, online, seenAt }: Row): FleetRow {
  const summary = accepted?.summary ?? null;
  const { device } = topic;
  const silent = doubt === '' ? 'silent' : 'unproven';
  const points = summary?.channels.map(({ channel, applied }) => `${channel} ${applied}`) ?? [];
  const texts = [device, summary?.labels, summary?.agent, ...points, summary?.reason, doubt];
  return {
    id: topic.id,
    device,
    proof: accepted === null ? 'none' : accepted.pinned ? 'first-seen' : 'enrolled',
    doubt,
    condition: doubt !== '' ? 'unproven' : (summary?.condition ?? silent),
    note: '',
    online,
    seenAt,
    summary,
    search: texts.join(' ').slice(0, SEARCH_CHARS).toLowerCase(),
  };
}

async function changed(self: Self, since: number, ms: number, signal: AbortSignal): Promise<void> {
  if (self.version !== since || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const cancel = self.input.clock.after(ms, done);
    function done(): void {
      cancel();
      self.waiters.delete(done);
      signal.removeEventListener('abort', done);
      resolve();
    }
    self.waiters.add(done);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** `ROOT/d/ID/status` or `…/presence`, where ROOT is whatever a fleet configured; null: another. */
function topicOf(name: string): Topic | null {
  const match = /^(.+)\/d\/([^/]+)\/(?:status|presence)$/.exec(name);
  const [, root = '', device = ''] = match ?? [];
  if (!match || !isDeviceId(device)) return null;
  const last = root.slice(root.lastIndexOf('/') + 1);
  return { id: `${root}/d/${device}/status`, device, fleet: isFleet(last) ? last : null };
}

function presenceOf({ id }: Topic): string {
  return `${id.slice(0, -'status'.length)}presence`;
}

/** No topic is called so: nobody can write it. */
function pinOf({ id }: Topic): string {
  return `$key/${id}`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0;
}
