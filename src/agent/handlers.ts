/** The agent's side of the local sockets (control/api.ts): reads, and what an operator decides. */
import type {
  AuditEntryView,
  ControlHandlers,
  PlanView,
  ProgressLine,
  StatusView,
} from '#control/api.ts';
import { faultView } from '#control/api.ts';
import { type Fault, fault, ok, type Result } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { pointText } from '#state/point.ts';
import { readJournal } from '#wire/audit.ts';
import { writeAuditFile } from '#wire/audit-file.ts';
import type { Assembled } from './assemble.ts';
import { auditFileOf } from './audit-export.ts';
import { auditEntryView } from './audit-view.ts';
import { planCandidate } from './change.ts';
import type { CycleEnd } from './cycle.ts';
import { explain } from './explain.ts';
import { alsoWrong } from './explain-also.ts';
import { forget } from './forget.ts';
import { mirrorStates, registryViews } from './mirrors-view.ts';
import { ORPHANED, orphanView } from './orphan-status.ts';
import { lookForBoth } from './own-bundles.ts';
import { openLog } from './program-logs.ts';
import { eventsView } from './recent-events.ts';
import type { JobEnd } from './runner.ts';
import {
  channelView,
  credentialStatus,
  emptyPlan,
  historyView,
  lookView,
  planView,
} from './views.ts';

export interface HandlersInput {
  readonly platform: Platform;
  readonly assembled: Assembled;
  readonly agentVersion: string;
  /** monotonic ms of the start */
  readonly startedAt: number;
  /** Programs in reverse order, then the agent: `holdfast stop`. */
  stop(): Promise<Result<void>>;
}

export function controlHandlers(input: HandlersInput): ControlHandlers {
  const { assembled } = input;
  const { follower, drift, agent } = assembled;
  return {
    status: () => status(input),
    explain: () => ok(explainNow(input)),
    history(limit) {
      const rows = assembled.base.store.history(limit);
      return rows.ok ? ok(rows.value.map(historyView)) : rows;
    },
    events: (after) => eventsView(assembled.base, after),
    audit: (limit) => audit(input, limit),
    auditFile(change) {
      const file = auditFileOf(assembled.base, change);
      return file.ok ? ok(writeAuditFile(file.value)) : file;
    },
    plan: (signal) => plan(input, signal),
    async bundles(signal) {
      await assembled.bundles.inspect(signal);
      return ok(assembled.bundles.list());
    },
    logs(query, signal) {
      const { stateDir } = assembled.config;
      return openLog({ platform: input.platform, stateDir }, query, signal);
    },
    apply: (bundle, tell, now = false) => apply(input, { bundle, now }, tell),
    rollback: () => rollback(input),
    time: (statement) => assembled.timekeeping.take(Buffer.from(statement), 'command'),
    timeAsk() {
      const { nonce, deviceId } = assembled.timekeeping.question();
      return ok({ device: deviceId, nonce: Buffer.from(nonce).toString('hex') });
    },
    pause: (reason) => changed(input, follower.pause(reason)),
    resume() {
      const done = follower.resume();
      if (!done.ok) return done;
      drift.reset();
      assembled.finder.forget();
      void agent.resume().then(() => assembled.command.look());
      return changed(input, done);
    },
    forget: (channel) => forget(assembled, channel),
    stop() {
      assembled.base.audit.ask({ kind: 'stopped', actor: 'operator' });
      assembled.base.audit.settle();
      return input.stop();
    },
  };
}

function audit({ assembled }: HandlersInput, limit: number): Result<readonly AuditEntryView[]> {
  const journal = assembled.base.store.journal();
  const entries = journal.ok ? readJournal(journal.value) : journal;
  if (!entries.ok) return entries;
  return ok(entries.value.toReversed().slice(0, limit).map(auditEntryView));
}

function changed({ assembled }: HandlersInput, done: Result<void>): Result<void> {
  assembled.delivery?.changed('phase');
  return done;
}

function status({
  platform,
  assembled,
  agentVersion,
  startedAt,
}: HandlersInput): Result<StatusView> {
  const { base, follower, links, finder, schedule, device } = assembled;
  const snapshot = assembled.snapshot();
  if (!snapshot.ok) return snapshot;
  const events = base.store.outboxEvents();
  if (!events.ok) return events;
  const delivered = assembled.delivery?.acknowledgedEvents() ?? 0n;
  const mqtt = links.mqtt?.state() ?? null;
  return ok({
    device: {
      id: base.device.id,
      fleet: base.root.fleet,
      labels: base.device.labels,
      key: Buffer.from(base.identity.signer.publicKey).toString('base64'),
      boot: `${base.boot}`,
      timeGrade: snapshot.value.timeGrade,
      attestedAgoMs: assembled.timekeeping.view().attested?.ageMs ?? null,
      rootVersion: `${snapshot.value.rootVersion}`,
    },
    agent: {
      version: agentVersion,
      pid: platform.processes.self.pid,
      upMs: Math.round(platform.clock.monotonicMs() - startedAt),
      ready: assembled.isReady(),
    },
    channels: snapshot.value.channels.map((channel) => {
      if (channel.waitingFor === ORPHANED) return orphanView(channel);
      const own = channel.channel === device.follower.channel;
      return channelView(channel, own ? device.follower : follower);
    }),
    mqtt: mqtt && {
      state: mqtt.kind,
      protocol: mqtt.protocol,
      fault: mqtt.lastFault && faultView(mqtt.lastFault),
    },
    credential: credentialStatus(base.credential.current()),
    registries: registryViews(mirrorStates(links.mirrors, snapshot.value.channels)),
    lastLook: lookView(finder.lastLook()),
    nextLookInMs: schedule.nextInMs(),
    undeliveredEvents: events.value.filter(({ number }) => number > delivered).length,
    bundles: assembled.bundles.list(),
  });
}

function explainNow({ assembled }: HandlersInput) {
  const { follower, finder, base, schedule, links } = assembled;
  const mqtt = links.mqtt?.state();
  const fault = mqtt?.lastFault ? ` (${mqtt.lastFault.message})` : '';
  return explain({
    follower,
    look: finder.lastLook(),
    time: base.time.view(),
    root: base.root,
    nextLookInMs: schedule.nextInMs(),
    mqtt: mqtt ? `${mqtt.kind}, MQTT ${mqtt.protocol}${fault}` : 'not configured',
    safeMode: follower.safeMode(),
    timekeeping: assembled.timekeeping.view(),
    also: alsoOf(assembled),
  });
}

function alsoOf({ base, links, snapshot, bundles }: Assembled) {
  const now = snapshot();
  const channels = now.ok ? now.value.channels : [];
  return alsoWrong({
    mqtt: links.mqtt?.state() ?? null,
    mirrors: mirrorStates(links.mirrors, channels),
    time: base.time.view(),
    channels,
    events: base.recent.list(),
    bundles: bundles.list(),
  });
}

/** Looks, plans, and stops there: nothing is accepted, no blob is fetched. */
async function plan({ assembled }: HandlersInput, signal: AbortSignal): Promise<Result<PlanView>> {
  const { finder, follower, changes } = assembled;
  const row = follower.row();
  const found = await finder.find({ kind: 'command' }, signal);
  if (found.kind !== 'candidate') {
    return ok(emptyPlan(found.kind, row.applied, 'fault' in found ? found.fault : null));
  }
  const planned = await planCandidate(changes, found.candidate, row, signal);
  if (!planned.ok) return ok(emptyPlan('refused', row.applied, planned.fault));
  const view = planView(planned.value, row.applied);
  const barred = follower.barred(found.candidate);
  return ok(barred ? { ...view, result: barred.code } : view);
}

interface Asked {
  readonly bundle: string | null;
  readonly now: boolean;
}

async function apply(
  input: HandlersInput,
  { bundle, now }: Asked,
  tell: (line: ProgressLine) => void,
): Promise<ProgressLine> {
  const { assembled } = input;
  if (now && !assembled.config.applyNow) {
    return line('refused', null, null, fault('agent.now-not-allowed', {}));
  }
  const stop = assembled.progress.listen((what, done, total) =>
    tell({ kind: 'progress', phase: 'downloading', what, done, total }),
  );
  const { audit } = assembled.base;
  const message = [now ? 'now' : '', bundle ?? ''].join(' ').trim();
  const fact = { kind: 'apply-asked', actor: 'operator', message } as const;
  const takeBack = audit.ask(fact);
  try {
    const wake =
      bundle === null
        ? ({ kind: 'command', now } as const)
        : ({ kind: 'bundle', path: bundle, now } as const);
    const end = await lookForBoth(assembled, wake);
    if (bundle !== null) assembled.bundles.ended(bundle, end);
    // A poll by hand is a poll: it costs the flash nothing.
    if (bundle === null && (end.kind === 'unchanged' || end.kind === 'nothing')) takeBack();
    return endLine(end);
  } finally {
    audit.settle();
    // The head of the journal is in the signed status, also when nothing else is new.
    changed(input, ok(undefined));
    stop();
  }
}

function endLine(end: CycleEnd): ProgressLine {
  switch (end.kind) {
    case 'applied':
      return line('applied', pointText(end.point), end.tookMs, null);
    case 'unchanged':
    case 'nothing':
      return line(end.kind, null, null, null);
    case 'superseded':
      return line(end.kind, end.offered, null, null);
    case 'refused':
    case 'waiting':
      return line(end.kind, end.offered, null, end.fault);
    case 'unreachable':
      return line(end.kind, null, null, end.fault);
  }
}

function line(
  result: string,
  offered: string | null,
  tookMs: number | null,
  fault: Fault | null,
): ProgressLine {
  return { kind: 'end', result, offered, tookMs, fault: fault && faultView(fault) };
}

async function rollback(input: HandlersInput): Promise<ProgressLine> {
  const { assembled } = input;
  const { follower, context, runner, base } = assembled;
  base.audit.ask({ kind: 'rollback-asked', actor: 'operator' });
  const end = await runner.run({
    point: null,
    manifestDigest: null,
    make: async () => follower.rollback(context),
  });
  base.audit.settle();
  changed(input, ok(undefined));
  assembled.finder.forget();
  return rollbackLine(end);
}

function rollbackLine(end: JobEnd): ProgressLine {
  if (end.kind === 'superseded') return line('superseded', null, null, null);
  if (end.kind === 'not-made') return line('refused', null, null, end.fault);
  const { outcome, change } = end;
  const offered = pointText(change.to);
  if (outcome.kind === 'applied') return line('rolled back to', offered, null, null);
  return line(outcome.kind, offered, null, 'fault' in outcome ? outcome.fault : null);
}
