/**
 * The second channel that an agent follows: `device.<its id>`, as soon as the root names it. It has
 * its own floor, history and refusals and comes by every way the first one does. It brings values and
 * starts nothing: acceptance is one durable commit, after every sealed value in it has opened. What
 * they mean for what runs is a change of its own (make-change.ts); one that fails brings the values
 * before it back, and is remembered as rejected.
 */
import { accepted, committed } from '#apply/journal.ts';
import { type Fault, fault, ok, type Result } from '#errors/fault.ts';
import { checkValuesOnly } from '#plan/values.ts';
import type { Platform } from '#platform/platform.ts';
import type { News } from '#report/deliver.ts';
import { ociLayout } from '#sources/oci-layout.ts';
import type { Digest } from '#state/digest.ts';
import { type Point, pointText } from '#state/point.ts';
import { channelOf } from '#state/root.ts';
import type { ChannelStatus, StatusPoint } from '#state/status.ts';
import { deviceChannel, type KnownValue, type KnownValues } from '#state/values.ts';
import type { StoreWriter } from '#store/store.ts';
import { type Gate, gate } from '#triggers/gate.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { Trusted } from '#trust/verify.ts';
import { type Base, trustedOf } from './base.ts';
import { documentsLayer } from './change.ts';
import type { AgentConfig } from './config.ts';
import type { CycleEnd } from './cycle.ts';
import { keptValues, knownValues } from './device-values.ts';
import { evidenceOf } from './evidence.ts';
import { type Finder, finder } from './find.ts';
import { type DevicePause, type Follower, follower } from './follow.ts';
import { type Candidate, type Found, isForeign } from './found.ts';
import { channelStatus } from './snapshot.ts';
import type { Links } from './sources.ts';
import { raiseTimeFloor } from './time-floor.ts';
import { rejectValues, tellRejected } from './values-rejected.ts';

export interface DeviceChannel {
  readonly follower: Follower;
  readonly finder: Finder;
  /** the root names it */
  followed(): boolean;
  /** those in force, for a plan */
  values(): KnownValues;
  /** One look now, after what is on disk already; resolves with its end. */
  look(wake: Wake, signal: AbortSignal): Promise<CycleEnd>;
  /** Keeps what concerns this channel; true: it concerns no other. */
  takes(wake: Wake): boolean;
  /** Looks whenever it is woken; the returned function ends that. */
  start(): () => Promise<void>;
  /** In the commit of an undo: these values were not good for what runs. */
  reject(tx: StoreWriter, why: Fault): void;
  /** The same, where no change came about. */
  rejectNow(why: Fault): void;
  /** After a commit that may have rejected them. */
  refresh(): void;
  /** what a statement of it is judged by now */
  trusted(): Trusted;
  /** None while the root does not name it and nothing was ever accepted. */
  status(): readonly ChannelStatus[];
}

export interface DeviceChannelInput {
  readonly base: Base;
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly agentVersion: string;
  readonly links: Links;
  /** what the operator paused as a whole, this channel among it */
  readonly pause: DevicePause;
  attestation(): Trusted['attestation'];
  /** made while the agent is put together: always through it */
  readonly wires: {
    readonly changed: (what: News) => void;
    /** In the commit of an acceptance. */
    readonly settle: (tx: StoreWriter) => void;
  };
  /** Other values are in force. */
  valuesChanged(): void;
  rootReplaced(): void;
}

interface Self {
  readonly input: DeviceChannelInput;
  readonly channel: string;
  readonly follower: Follower;
  readonly finder: Finder;
  readonly gate: Gate;
  /** looks are done one after the other */
  queue: Promise<unknown>;
  /** of the applied statement */
  known: {
    readonly digest: Digest;
    readonly values: Result<ReadonlyMap<string, KnownValue>>;
  } | null;
}

export function openDeviceChannel(input: DeviceChannelInput): Result<DeviceChannel> {
  const { base, platform, config } = input;
  const channel = deviceChannel(base.device.id);
  const context = { store: base.store, content: base.content, clock: platform.clock };
  const names = { fleet: base.root.fleet, channel, device: input.pause, safeModeCrashes: 0 };
  const following = follower({ context, audit: base.audit, ...names });
  if (!following.ok) return following;
  const { clock, random } = platform;
  const self: Self = {
    input,
    channel,
    follower: following.value,
    finder: ownFinder(input, channel, following.value),
    gate: gate({ clock, random, perMinute: config.nudgesPerMinute }),
    queue: Promise.resolve(),
    known: null,
  };
  const { audit, content } = base;
  const { log } = platform;
  const rejecting = {
    ...{ store: base.store, content, audit, clock, log, follower: self.follower },
    changed: (what: News) => input.wires.changed(what),
  };
  return ok({
    follower: self.follower,
    finder: self.finder,
    followed: () => isFollowed(self),
    trusted: () => trusted(input, channel, self.follower),
    values: () => valuesInForce(self),
    look: (wake, signal) => look(self, wake, signal),
    takes: (wake) => takes(self, wake),
    start: () => start(self),
    reject: (tx, why) => rejectValues(rejecting, tx, why),
    rejectNow(why) {
      const done = base.store.transaction((tx) => rejectValues(rejecting, tx, why));
      if (done.ok && tellRejected(rejecting)) input.valuesChanged();
    },
    refresh() {
      // What other channels made of the values that are gone goes back with them.
      if (tellRejected(rejecting)) input.valuesChanged();
    },
    status: () => status(self),
  });
}

function ownFinder(input: DeviceChannelInput, channel: string, following: Follower): Finder {
  const { base, platform, links } = input;
  const options = { channel, heldRoot: base.roots.held };
  return finder({
    clock: platform.clock,
    ...links.of(channel),
    mirrors: links.mirrors,
    roots: base.roots,
    bundle: (path) => ociLayout(platform.files, path, options),
    trusted: () => trusted(input, channel, following),
    rootReplaced: () => input.rootReplaced(),
    alsoFound(found) {
      if (following.note(found)) input.wires.changed('detail');
    },
  });
}

/** Nothing is removed by a statement of values, so the removal guard has nothing to guard. */
function trusted(input: DeviceChannelInput, channel: string, following: Follower): Trusted {
  const { base, config, agentVersion } = input;
  const { fleet, floor, applied } = following.row();
  const rejected = base.store.rejected(fleet, channel);
  const facts = {
    channel,
    version: agentVersion,
    attestation: input.attestation(),
    floor,
    applied,
    inForce: applied?.stateDigest ?? null,
    rejected: new Map(
      (rejected.ok ? rejected.value : []).map((row) => [row.point.stateDigest, row] as const),
    ),
  };
  return trustedOf(base, config, facts);
}

function isFollowed({ input, channel }: Self): boolean {
  return channelOf(input.base.root, channel) !== null;
}

function takes(self: Self, wake: Wake): boolean {
  const own = wake.kind === 'nudge' && wake.channel === self.channel;
  // A bundle is looked through for both at once (own-bundles.ts).
  if (own || (wake.kind !== 'nudge' && wake.kind !== 'bundle')) self.gate.wake(wake);
  return own;
}

function start(self: Self): () => Promise<void> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const looks = async (): Promise<void> => {
    while (!signal.aborted) {
      for (const wake of await self.gate.next(signal)) await look(self, wake, signal);
    }
  };
  const ended = resume(self, signal).then(looks);
  return async () => {
    stopping.abort();
    await ended;
  };
}

function look(self: Self, wake: Wake, signal: AbortSignal): Promise<CycleEnd> {
  const done = self.queue.then(() => lookNow(self, wake, signal));
  self.queue = done.catch(() => undefined);
  return done;
}

async function lookNow(self: Self, wake: Wake, signal: AbortSignal): Promise<CycleEnd> {
  const nothing = { kind: 'nothing', source: '' } as const;
  const { sources, pushes } = self.input.links.of(self.channel);
  const blind = wake.kind !== 'bundle' && sources.length === 0 && !pushes;
  if (!isFollowed(self) || blind || signal.aborted) return nothing;
  await resume(self, signal);
  const found = await self.finder.find(wake, signal);
  // A stick with other channels on it says nothing of this one.
  if (wake.kind === 'bundle' && (found.kind === 'nothing' || isForeign(found))) return nothing;
  const end = await settle(self, found, signal);
  const code = 'fault' in end ? end.fault.code : '';
  const quiet = end.kind === 'unchanged' || end.kind === 'nothing';
  const details = { wake: wake.kind, channel: self.channel, code };
  self.input.platform.log.write(quiet ? 'debug' : 'info', `look.${end.kind}`, details);
  return end;
}

/** The floor's statement is on disk and not in force: its store was lost, or its time had not come. */
async function resume(self: Self, signal: AbortSignal): Promise<void> {
  const { base, platform } = self.input;
  const { floor, applied } = self.follower.row();
  if (!floor || floor.stateDigest === applied?.stateDigest || !isFollowed(self)) return;
  const kept = base.content.readStatement(floor.stateDigest);
  if (!kept.ok) return;
  const { envelope, via } = kept.value;
  const found = self.finder.judge(envelope, via, platform.clock.monotonicMs());
  if (found.kind === 'candidate') await accept(self, found.candidate, signal);
}

function settle(self: Self, found: Found, signal: AbortSignal): CycleEnd | Promise<CycleEnd> {
  if (found.kind === 'candidate') return accept(self, found.candidate, signal);
  if (self.follower.note(found)) self.input.wires.changed('phase');
  return endOf(found);
}

function endOf(found: Exclude<Found, { kind: 'candidate' }>): CycleEnd {
  switch (found.kind) {
    case 'current':
      return { kind: 'unchanged', source: found.source };
    case 'nothing':
    case 'unreachable':
      return found;
    case 'refused':
    case 'waiting': {
      const offered = found.offered ? pointText(found.offered) : 'unread';
      return { kind: found.kind, fault: found.fault, offered };
    }
  }
}

async function accept(self: Self, candidate: Candidate, signal: AbortSignal): Promise<CycleEnd> {
  const { input, channel, follower: following, finder: find } = self;
  const { state, manifestDigest, startedAt } = candidate;
  const offered = pointText(state.point);
  if (following.paused()) return notMade(self, candidate, fault('agent.paused', { offered }));
  const fits = checkValuesOnly(channel, state);
  const { content } = input.base;
  const row = following.row();
  const from = { content, sources: input.links.of(channel).sources };
  const layer = fits.ok ? await documentsLayer(from, candidate, { row, signal }) : fits;
  if (!layer.ok) return notMade(self, candidate, layer.fault);
  const documents = layer.value ?? null;
  const values = knownValues(state, documents, input.base.identity.sealing);
  if (!values.ok) return notMade(self, candidate, values.fault);
  const count = values.value.size;
  const done = commit(self, candidate, { documents, message: `values: ${count}` });
  if (!done.ok) return notMade(self, candidate, done.fault);
  self.known = { digest: state.point.digest, values };
  if (manifestDigest) find.settle(manifestDigest);
  input.platform.log.write('info', 'values.accepted', { channel, point: offered, count });
  input.wires.changed('phase');
  input.valuesChanged();
  const tookMs = Math.round(input.platform.clock.monotonicMs() - startedAt);
  return { kind: 'applied', point: state.point, tookMs };
}

function notMade(self: Self, candidate: Candidate, why: Fault): CycleEnd {
  const { point } = candidate.state;
  self.follower.noteFault(why, point, candidate.via);
  self.input.wires.changed('phase');
  const refused = why.retry === 'never';
  if (refused) self.finder.refuse(candidate, why);
  return { kind: refused ? 'refused' : 'waiting', fault: why, offered: pointText(point) };
}

/** Check 19, and 22 at once: the statement's file first, then floor and values in force together. */
function commit(
  self: Self,
  candidate: Candidate,
  { documents, message }: { readonly documents: Uint8Array | null; readonly message: string },
): Result<void> {
  const { input, follower: following, channel } = self;
  const { base, platform, config } = input;
  const { state, envelope, via, freshness } = candidate;
  const row = following.row();
  const root = base.store.root(row.fleet);
  if (!root.ok) return root;
  const held = root.value ?? new Uint8Array();
  const evidence = evidenceOf(candidate, { desired: [], steps: [] }, held);
  const kept = base.content.putStatement(state.point.digest, {
    envelope,
    documents,
    via,
    evidence,
  });
  const synced = kept.ok ? base.content.sync() : kept;
  if (!synced.ok) return synced;
  const at = platform.clock.wallMs();
  const to = statusPoint(state.point, at);
  const entered = accepted(row, { kind: 'apply', to, via, freshness, attemptsMax: 1 });
  const next = committed(entered, at, config.keep.generations);
  const tookMs = Math.max(0, Math.round(platform.clock.monotonicMs() - candidate.startedAt));
  const { issuedAt } = state;
  const done = base.store.transaction((tx) => {
    tx.putChannel(next);
    tx.removeRejected(row.fleet, channel, to.stateDigest);
    const line = { outcome: 'applied', point: to, via, code: null, message } as const;
    tx.addHistory({ at, channel, tookMs, ...line });
    raiseTimeFloor(base.time, tx, issuedAt);
    following.beside(tx, { kind: 'accepted', row: entered, issuedAt, evidence });
    following.beside(tx, { kind: 'applied', row: next, tookMs });
    input.wires.settle(tx);
  });
  if (!done.ok) return done;
  base.audit.landed();
  for (const seen of [entered, next]) following.saw(seen);
  return ok(undefined);
}

function valuesInForce(self: Self): KnownValues {
  const { channel } = self;
  const none = (absent: string) => ({ channel, absent, byName: new Map<string, KnownValue>() });
  const { applied } = self.follower.row();
  if (!applied) {
    const named = isFollowed(self);
    return none(named ? `${channel} has brought none yet` : `the root names no ${channel}`);
  }
  if (self.known?.digest !== applied.stateDigest) {
    const { content, identity } = self.input.base;
    const file = content.readStatement(applied.stateDigest);
    const values = file.ok ? keptValues(file.value, identity.sealing) : file;
    self.known = { digest: applied.stateDigest, values };
  }
  const { values } = self.known;
  if (!values.ok) return none(values.fault.message);
  return { channel, absent: null, byName: values.value };
}

function status(self: Self): readonly ChannelStatus[] {
  if (!isFollowed(self) && !self.follower.row().floor) return [];
  return [
    channelStatus({
      follower: self.follower,
      current: [],
      runtimeOf: () => null,
      healthOf: () => ({ health: 'healthy', code: '', message: '', restarts: 0 }),
      drift: new Map(),
      safeMode: false,
    }),
  ];
}

function statusPoint({ epoch, sequence, digest }: Point, at: number): StatusPoint {
  return { epoch, sequence, stateDigest: digest, at };
}
