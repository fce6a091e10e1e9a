/**
 * What stands before anything is assembled: the lock and the store, the root, the identity, the
 * time floor, and one commit that counts this start. No network. Order matters: nothing is written
 * before the lock is held.
 */

import type { Followed } from '#apply/orphans.ts';
import type { Code } from '#errors/fault.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { eventOf } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import type { DeviceRow } from '#state/channel-row.ts';
import type { DeviceFacts } from '#state/device.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { Root } from '#state/root.ts';
import type { StatusPoint } from '#state/status.ts';
import { deviceChannel } from '#state/values.ts';
import { type ContentStore, contentStore } from '#store/content.ts';
import type { EngineKind } from '#store/engine.ts';
import { type OpenedStore, openStore } from '#store/open.ts';
import type { Store } from '#store/store.ts';
import { openRoot } from '#trust/root-chain.ts';
import type { Trusted } from '#trust/verify.ts';
import { type AuditFact, type AuditLog, auditLog } from './audit-log.ts';
import type { AgentConfig } from './config.ts';
import { type CredentialView, credentialView } from './credential-view.ts';
import { type Identity, openIdentity } from './identity.ts';
import { markLeft } from './left-channels.ts';
import { rebuild } from './rebuild.ts';
import { type RecentEvents, recentEvents } from './recent-events.ts';
import { openRootKeeper, type RootKeeper } from './root-keeper.ts';
import { countStart, type StartCount } from './start-count.ts';
import { type AgentTime, agentTime } from './time.ts';
import { timeService } from './time-service.ts';

export interface ProgramVersion {
  readonly version: string;
  /** Unix ms: the time floor is never below it (check 0) */
  readonly buildTime: number;
  /** default: LMDB; the simulator brings its own */
  readonly engine?: EngineKind;
}

export interface Base {
  readonly store: Store;
  readonly recent: RecentEvents;
  readonly content: ContentStore;
  /** the newest held: read it anew, a walk may replace it */
  readonly root: Root;
  readonly roots: RootKeeper;
  readonly audit: AuditLog;
  readonly identity: Identity;
  /** how this device shows who it is, where it was enrolled */
  readonly credential: CredentialView;
  readonly device: DeviceFacts;
  readonly time: AgentTime;
  readonly boot: bigint;
  readonly starts: StartCount;
  close(): void;
}

export function openBase(
  platform: Platform,
  config: AgentConfig,
  program: ProgramVersion,
): Result<Base> {
  const { uid, bequeathsCapabilities } = platform.processes.self;
  if (bequeathsCapabilities) return refuse('config.ambient-capabilities', { uid });
  const rootBytes = platform.files.readFile(config.trust.root, LIMITS.rootBytes);
  if (!rootBytes.ok) {
    const reason = rootBytes.fault.message;
    return refuse('config.unreadable', { file: config.trust.root, reason });
  }
  const root = openRoot(rootBytes.value);
  if (!root.ok) return root;
  if (root.value.demo && !config.trust.allowDemo) return refuse('trust.demo-root', {});
  const opened = openStore(
    platform,
    config.stateDir,
    program.engine === undefined ? {} : { kind: program.engine },
  );
  if (!opened.ok) return opened;
  const content = contentStore(platform.files, config.stateDir);
  if (!content.ok) {
    opened.value.store.close();
    return content;
  }
  const given = { platform, config, program, rootFile: rootBytes.value };
  const base = begin(given, opened.value, content.value);
  if (!base.ok) {
    content.value.close();
    opened.value.store.close();
  }
  return base;
}

interface Given {
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly program: ProgramVersion;
  /** exact bytes */
  readonly rootFile: Uint8Array;
}

function begin(given: Given, opened: OpenedStore, content: ContentStore): Result<Base> {
  const { platform, config, program } = given;
  const recent = recentEvents(opened.store);
  const { store } = recent;
  const row = store.device();
  if (!row.ok) return row;
  const before = row.value;
  const identity = identify(given, before);
  if (!identity.ok) return identity;
  const { clock, log } = platform;
  const storedMs = before?.timeFloorMs ?? 0;
  const time = agentTime(clock, {
    ...{ buildMs: program.buildTime, storedMs },
    synchronised: timeService(platform.files, clock),
  });
  const boot = (before?.boot ?? 0n) + 1n;
  const audit = auditLog({ store, clock, log, time, boot });
  const roots = openRootKeeper({ store, content, clock, log, time, audit }, given.rootFile);
  if (!roots.ok) return roots;
  const device = { id: identity.value.deviceId, labels: config.device.labels };
  const starts = countStart(platform.files, config.runDir);
  const base: Base = {
    store,
    recent,
    content,
    get root() {
      return roots.value.root();
    },
    roots: roots.value,
    audit,
    identity: identity.value,
    credential: credentialView(platform, config.stateDir),
    device,
    time,
    boot,
    starts,
    close() {
      content.close();
      store.close();
    },
  };
  if (opened.recovered !== 'opened') {
    const rebuilt = refill(given, base);
    if (!rebuilt.ok) return rebuilt;
  }
  const counted = countBoot(given, base, opened, before);
  return counted.ok ? ok(base) : counted;
}

function identify({ platform, config }: Given, before: DeviceRow | null): Result<Identity> {
  const { files, keyFiles, random } = platform;
  const { stateDir, device } = config;
  const boundTo = before?.machine ?? null;
  return openIdentity({ files, keyFiles, random, stateDir, configuredId: device.id, boundTo });
}

function refill({ platform, config }: Given, base: Base): Result<void> {
  const { store, content, root } = base;
  const followed = config.channels.map(({ name }) => name);
  for (const channel of [...followed, deviceChannel(base.device.id)]) {
    const done = rebuild({ store, content, fleet: root.fleet, channel });
    if (!done.ok) return done;
    if (done.value) platform.log.write('warn', 'store.rebuilt', { channel });
  }
  return ok(undefined);
}

/** One commit a start: (boot, report) only grows, so boot has to be durable first. */
function countBoot(
  { platform, config, program }: Given,
  base: Base,
  opened: OpenedStore,
  before: DeviceRow | null,
): Result<void> {
  const { store, roots, identity, boot, time, audit } = base;
  const place = { at: platform.clock.wallMs(), channel: config.channels[0]?.name ?? '' };
  return store.transaction((tx) => {
    tx.putDevice({
      boot,
      machine: identity.machine === '' ? (before?.machine ?? '') : identity.machine,
      crashes: 0,
      paused: before?.paused ?? null,
      timeFloorMs: time.floorMs(),
    });
    for (const fact of beganWith(base, opened)) audit.add(tx, fact);
    markLeft(tx, followedBy(base, config), place.at);
    roots.begin(tx);
    queueEvent(tx, eventOf('agent.started', place, { version: program.version, boot }));
    if (identity.made === 'other-machine') {
      queueEvent(tx, eventOf('identity.new', place, { reason: 'this is another machine' }));
    }
    if (identity.sealingMade) queueEvent(tx, eventOf('identity.sealing-key', place));
    if (opened.recovered === 'quarantined') {
      queueEvent(tx, eventOf('store.quarantined', place, { reason: opened.damage ?? 'damaged' }));
    }
  });
}

/** What this start is for the audit journal; an ordinary one is nothing. */
function beganWith({ identity, device }: Base, opened: OpenedStore): readonly AuditFact[] {
  const facts: AuditFact[] = [];
  if (opened.recovered === 'quarantined') {
    const message = `the journal begins anew: ${opened.damage ?? 'the store was damaged'}`;
    facts.push({ kind: 'store-rebuilt', actor: 'agent', message });
  }
  if (identity.made !== null) {
    const message = `${device.id}: ${identity.made}`;
    facts.push({ kind: 'identity-made', actor: 'agent', message });
  }
  return facts;
}

/** What this device follows beside its own channel. */
export function followedBy({ root }: Pick<Base, 'root'>, { channels }: AgentConfig): Followed {
  return { fleet: root.fleet, channels: new Set(channels.map(({ name }) => name)) };
}

export interface ChannelFacts {
  readonly channel: string;
  readonly version: string;
  readonly floor?: StatusPoint | null;
  readonly applied?: StatusPoint | null;
  /** of `applied`, where it is in force as it was signed */
  readonly inForce?: Digest | null;
  readonly appliedIds?: readonly string[];
  readonly attestation?: Trusted['attestation'];
  readonly rejected?: ReadonlyMap<Digest, { readonly code: Code; readonly message: string }>;
}

/** What trust judges by, read anew for every statement. */
export function trustedOf(base: Base, config: AgentConfig, facts: ChannelFacts): Trusted {
  return {
    root: base.root,
    channel: facts.channel,
    floor: facts.floor ?? null,
    appliedDigest: facts.inForce ?? null,
    appliedPoint: facts.applied ?? null,
    appliedIds: facts.appliedIds ?? [],
    rejected: facts.rejected ?? new Map(),
    time: base.time.view(),
    clock: config.trust.clock,
    device: base.device,
    agentVersion: facts.version,
    allowDemo: config.trust.allowDemo,
    attestation: facts.attestation ?? null,
    unattestedMaxMs: config.trust.unattestedMaxMs,
  };
}
