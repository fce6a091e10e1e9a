/** The agent's side of the local sockets (control/api.ts): reads, and what an operator decides. */
import type {
  AlsoView,
  AuditEntryView,
  ControlHandlers,
  ExplainView,
  PlanView,
  StatusView,
} from '#control/api.ts';
import { faultView } from '#control/api.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { readJournal } from '#wire/audit.ts';
import { writeAuditFile } from '#wire/audit-file.ts';
import type { Assembled } from './assemble.ts';
import { auditFileOf } from './audit-export.ts';
import { auditEntryView } from './audit-view.ts';
import { planCandidate } from './change.ts';
import { type ExplainInput, explain, type Reason, reasonOf } from './explain.ts';
import { alsoWrong } from './explain-also.ts';
import { forget } from './forget.ts';
import type { Look } from './found.ts';
import type { Line } from './line.ts';
import { lookAgain } from './lines.ts';
import { mirrorStates, registryViews } from './mirrors-view.ts';
import { apply, lineNamed, onlyLine, pause, resume, rollback } from './operating.ts';
import { ORPHANED, orphanView } from './orphan-status.ts';
import { openLog } from './program-logs.ts';
import { eventsView } from './recent-events.ts';
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
  return {
    status: () => status(input),
    explain: (channel) => explainNow(input, channel ?? null),
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
    plan: (signal, channel) => plan(input, signal, channel ?? null),
    async bundles(signal) {
      await assembled.bundles.inspect(signal);
      return ok(assembled.bundles.list());
    },
    logs(query, signal) {
      const { stateDir } = assembled.config;
      return openLog({ platform: input.platform, stateDir }, query, signal);
    },
    apply: (bundle, tell, now = false) => apply(assembled, { bundle, now }, tell),
    rollback: (_, channel) => rollback(assembled, channel ?? null),
    time: (statement) => assembled.timekeeping.take(Buffer.from(statement), 'command'),
    timeAsk() {
      const { nonce, deviceId } = assembled.timekeeping.question();
      return ok({ device: deviceId, nonce: Buffer.from(nonce).toString('hex') });
    },
    pause: (reason, channel) => pause(assembled, reason, channel ?? null),
    resume: (channel) => resume(assembled, channel ?? null),
    async forget(channel) {
      const done = await forget(assembled, channel);
      if (done.ok) lookAgain(assembled.lines, channel);
      return done;
    },
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

function status({
  platform,
  assembled,
  agentVersion,
  startedAt,
}: HandlersInput): Result<StatusView> {
  const { base, lines, links, device, config } = assembled;
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
      configuration: { file: config.file, fromState: config.fromState ?? [] },
    },
    channels: snapshot.value.channels.map((channel) => {
      if (channel.waitingFor === ORPHANED) return orphanView(channel);
      const line = lines.find((one) => one.channel === channel.channel);
      return channelView(channel, line?.follower ?? device.follower);
    }),
    mqtt: mqtt && {
      state: mqtt.kind,
      protocol: mqtt.protocol,
      fault: mqtt.lastFault && faultView(mqtt.lastFault),
    },
    credential: credentialStatus(base.credential.current()),
    registries: registryViews(mirrorStates(links.mirrors, snapshot.value.channels)),
    lastLook: lookView(newestLook(lines)),
    nextLookInMs: nextLookMs(lines),
    undeliveredEvents: events.value.filter(({ number }) => number > delivered).length,
    bundles: assembled.bundles.list(),
  });
}

function newestLook(lines: readonly Line[]): Look | null {
  return lines
    .map(({ finder }) => finder.lastLook())
    .reduce((newest, look) => (look && (!newest || look.at > newest.at) ? look : newest), null);
}

/** null: none is due */
function nextLookMs(lines: readonly Line[]): number | null {
  const due = lines.flatMap(({ schedule }) => schedule.nextInMs() ?? []);
  return due.length === 0 ? null : Math.min(...due);
}

/** Of one channel; without a name, of the first that is not simply at its newest state. */
function explainNow({ assembled }: HandlersInput, channel: string | null): Result<ExplainView> {
  const { lines } = assembled;
  if (channel !== null) {
    const line = lineNamed(assembled, channel);
    return line.ok ? ok(explainLine(assembled, line.value, [])) : line;
  }
  const reasons = lines.map((line) => ({ line, reason: reasonFor(assembled, line) }));
  const told = reasons.find(({ reason }) => !reason.fine) ?? reasons[0];
  if (!told) return refuse('agent.no-source', {});
  const others = reasons
    .filter(({ line, reason }) => line !== told.line && !reason.fine)
    .map(({ line, reason }) => ({
      verdict: `${line.channel}: ${reason.verdict}`,
      cure: reason.cure ?? `See \`holdfast explain --channel ${line.channel}\`.`,
    }));
  return ok(explainLine(assembled, told.line, others));
}

function explainLine(assembled: Assembled, line: Line, others: readonly AlsoView[]): ExplainView {
  return explain({ ...explained(assembled, line), also: [...others, ...alsoOf(assembled)] });
}

function reasonFor(assembled: Assembled, line: Line): Reason {
  return reasonOf({ ...explained(assembled, line), also: [] });
}

function explained(
  { base, links, timekeeping, config }: Assembled,
  { channel, follower, finder, schedule }: Line,
): Omit<ExplainInput, 'also'> {
  const mqtt = links.mqtt?.state();
  const fault = mqtt?.lastFault ? ` (${mqtt.lastFault.message})` : '';
  const view = timekeeping.view();
  return {
    follower,
    look: finder.lastLook(),
    time: base.time.view(),
    root: base.root,
    nextLookInMs: schedule.nextInMs(),
    mqtt: mqtt ? `${mqtt.kind}, MQTT ${mqtt.protocol}${fault}` : 'not configured',
    safeMode: follower.safeMode(),
    fromState: config.fromState ?? [],
    timekeeping: { ...view, alarm: view.alarm(channel) },
  };
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
async function plan(
  { assembled }: HandlersInput,
  signal: AbortSignal,
  channel: string | null,
): Promise<Result<PlanView>> {
  const line = onlyLine(assembled, channel, 'plan');
  if (!line.ok) return line;
  const { finder, follower, changes, foretell } = line.value;
  const row = follower.row();
  const found = await finder.find({ kind: 'command' }, signal);
  if (found.kind !== 'candidate') {
    return ok(emptyPlan(found.kind, row.applied, 'fault' in found ? found.fault : null));
  }
  const planned = await planCandidate(changes, found.candidate, row, signal);
  if (!planned.ok) return ok(emptyPlan('refused', row.applied, planned.fault));
  const disturbs = planned.value.plan.steps.length > 0;
  const waits = foretell(found.candidate, disturbs);
  const view = planView(planned.value, row.applied, waits);
  const barred = follower.barred(found.candidate);
  return ok(barred ? { ...view, result: barred.code } : view);
}
