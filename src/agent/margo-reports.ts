/**
 * The status of each deployment, told to the Margo manager (MARGO.md section 7; M58–M60, M64, M67). What
 * is true is read from the channel's row, never from intent; what the manager has taken is in the store,
 * so nothing is lost by a cut or a week without a link: the difference is told again. In order for each
 * deployment; of a long time offline the newest stay.
 */
import { mayTryAgain, wholeInForce } from '#apply/journal.ts';
import { FAULTS, type Fault, ok, type Result } from '#errors/fault.ts';
import { type Backoff, backoff } from '#link/backoff.ts';
import type { MargoLink } from '#link/margo.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Random } from '#platform/random.ts';
import { statusText } from '#report/text.ts';
import type { ChannelRow, Intent } from '#state/channel-row.ts';
import type { MargoDialect, MargoError, MargoReportRow, MargoState } from '#state/margo.ts';
import type { Fleet } from '#state/names.ts';
import type { Store } from '#store/store.ts';
import { writeMargoStatus } from '#wire/margo-status.ts';
import { GATEWAY_CODES } from './margo-child-rules.ts';
import type { MargoChildren } from './margo-children.ts';
import { type MargoParts, partEnd } from './margo-parts.ts';
import { type MargoRefused, refusedRows, stillRefused } from './margo-refused.ts';
import type { MargoDeployment } from './margo-state.ts';

export interface MargoReports {
  /** Something may have changed: what is news is queued now, and sent once the manager was reached. */
  note(): void;
  /** The manager was reached: what waited for a link, or was parked, is tried at once. */
  reached(): void;
  stop(): void;
}

export interface MargoReportsInput {
  readonly link: Pick<MargoLink, 'postStatus'>;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly fleet: Fleet;
  readonly dialect: MargoDialect;
  /** what is true now; null: it cannot be read */
  facts(): MargoFacts | null;
  /** ms for which nothing is to be told; absent: it always may */
  downForMs?(): number;
}

export interface MargoFacts {
  readonly row: ChannelRow;
  /** of the accepted manifest */
  readonly accepted: readonly MargoDeployment[];
  /** of the applied one */
  readonly applied: readonly MargoDeployment[];
  /** why the accepted one is not tried again; null: it is, or it is applied */
  readonly rejected: Pick<Fault, 'code' | 'message'> | null;
  /** the accepted one comes into force deployment by deployment; absent: it is there, or comes at once */
  readonly parts?: MargoParts;
  /** of a manifest that is here and waits for the owner's window; absent: none does */
  /** of the children of this gateway; absent: it has none */
  readonly children?: Pick<MargoChildren, 'stateOf' | 'isLeaving'>;
  readonly waiting?: { readonly version: bigint; readonly deployments: readonly MargoDeployment[] };
  /** of a manifest that was not accepted; null: what is served is; absent: it was not read yet */
  readonly refused?: MargoRefused | null | undefined;
}

/** reports of one deployment that wait */
const QUEUE_MAX = 8;
/** bytes */
const MESSAGE_MAX = 1_000;
const RETRY_BASE_MS = 1_000;
const RETRY_CAP_MS = 15 * 60_000;

interface Task {
  readonly input: MargoReportsInput;
  readonly taken: Map<string, MargoReportRow>;
  readonly queues: Map<string, MargoReportRow[]>;
  /** will not be taken as they are */
  readonly parked: Map<string, MargoReportRow>;
  readonly retries: Backoff;
  /** before, there is recovery, which asks nobody; and capabilities come first */
  reached: boolean;
  sending: boolean;
  stopped: boolean;
  cancel: () => void;
}

export function openMargoReports(input: MargoReportsInput): Result<MargoReports> {
  const rows = input.store.margoReports(input.fleet);
  if (!rows.ok) return rows;
  const { random } = input;
  const task: Task = {
    ...{ input, queues: new Map(), parked: new Map(), reached: false },
    ...{ sending: false, stopped: false },
    taken: new Map(rows.value.map((row) => [row.deployment, row])),
    retries: backoff({ baseMs: RETRY_BASE_MS, capMs: RETRY_CAP_MS, random }),
    cancel: () => {},
  };
  return ok({
    note() {
      note(task);
      soon(task);
    },
    reached() {
      task.reached = true;
      task.parked.clear();
      note(task);
      soon(task);
    },
    stop() {
      task.stopped = true;
      task.cancel();
    },
  });
}

function note(task: Task): void {
  const facts = task.input.facts();
  if (!facts) return;
  for (const report of margoReportRows(facts, [...task.taken.values()])) {
    const id = report.deployment;
    const queue = task.queues.get(id) ?? [];
    const last = queue.at(-1) ?? task.parked.get(id) ?? task.taken.get(id);
    if (last && same(last, report)) continue;
    queue.push(report);
    if (queue.length > QUEUE_MAX) queue.shift();
    task.queues.set(id, queue);
  }
}

/** Not within the caller's work: what a change has to do next comes first. */
function soon(task: Task): void {
  if (!task.reached || task.sending || task.stopped) return;
  task.cancel();
  task.cancel = task.input.clock.after(0, () => void send(task));
}

async function send(task: Task): Promise<void> {
  if (task.sending || task.stopped) return;
  const downMs = task.input.downForMs?.() ?? 0;
  if (downMs > 0) {
    task.cancel();
    task.cancel = task.input.clock.after(downMs, () => void send(task));
    return;
  }
  task.sending = true;
  const failed = await sendAll(task);
  task.sending = false;
  if (task.stopped) return;
  if (failed) {
    const wait = task.retries.next(failed.retryAfterMs);
    task.cancel = task.input.clock.after(wait, () => void send(task));
    return;
  }
  task.retries.reset();
  if (task.queues.size > 0) soon(task);
}

/** The fault that ends it; null: everything was told. */
async function sendAll(task: Task): Promise<Fault | null> {
  const { link, log } = task.input;
  for (const [id, queue] of task.queues) {
    for (let report = queue[0]; report; report = queue[0]) {
      const answer = await link.postStatus(id, bodyOf(report, task.input.dialect));
      if (task.stopped) return null;
      if (!answer.ok) {
        log.write('info', 'margo.report-failed', { code: answer.fault.code });
        return answer.fault;
      }
      if (answer.value) {
        const { message } = answer.value;
        log.write('warn', 'margo.report-parked', { deployment: id, message });
        task.parked.set(id, report);
      } else {
        taken(task, report, queue.length === 1);
      }
      queue.shift();
    }
    task.queues.delete(id);
  }
  return null;
}

/** Only the newest is kept: of those before it nobody asks again. */
function taken(task: Task, report: MargoReportRow, newest: boolean): void {
  const { store, fleet, log } = task.input;
  const gone = report.state === 'removed';
  task.parked.delete(report.deployment);
  if (gone) task.taken.delete(report.deployment);
  else task.taken.set(report.deployment, report);
  if (!newest) return;
  const done = store.transaction((tx) => {
    if (gone) tx.removeMargoReport(fleet, report.deployment);
    else tx.putMargoReport(fleet, report);
  });
  // It is told once more after the next start: harmless.
  if (!done.ok) log.write('warn', 'margo.report-unrecorded', { code: done.fault.code });
}

function bodyOf(report: MargoReportRow, dialect: MargoDialect): Uint8Array {
  const { deployment, device, name, state, code, message, version, components } = report;
  const error: MargoError | null = code === '' ? null : { code, source: name, message };
  const each = components.map((component) => ({ name: component, state, error: null }));
  return writeMargoStatus(
    {
      ...{
        deploymentId: deployment,
        deviceId: device === '' ? null : device,
        adoptedVersion: version,
        state,
        error,
      },
      components: each,
    },
    dialect,
  );
}

/** What the manager is to know of every deployment: the accepted ones, and those on their way out. */
export function margoReportRows(
  facts: MargoFacts,
  taken: readonly MargoReportRow[],
): readonly MargoReportRow[] {
  const known = acceptedRows(facts, taken);
  const { refused, row } = facts;
  if (refused === undefined) {
    const told = new Map(taken.map((report) => [report.deployment, report]));
    const floor = row.floor?.sequence ?? null;
    return known.filter(({ deployment }) => !stillRefused(told.get(deployment), floor));
  }
  if (refused === null) return known;
  const now = new Map(known.map((report) => [report.deployment, report]));
  const first = (one: MargoDeployment, version: bigint) =>
    rowOf(one, version, { state: 'pending', why: null });
  for (const { row: of, state, why } of refusedRows(refused, now, first)) {
    now.set(of.deployment, { ...of, ...stated(state, why) });
  }
  return [...now.values()];
}

function acceptedRows(
  facts: MargoFacts,
  taken: readonly MargoReportRow[],
): readonly MargoReportRow[] {
  const { row, accepted, applied, rejected, waiting, parts } = facts;
  const { floor } = row;
  if (!floor) return waitingRows(waiting, []);
  const settled = wholeInForce(row)?.stateDigest === floor.stateDigest;
  const known = new Map(taken.map((report) => [report.deployment, report]));
  const inForce = new Map(applied.map((one) => [one.id, one]));
  const change = settled ? INSTALLED : changeOf(row, rejected);
  const listed = accepted.map((one): MargoReportRow => {
    const before = inForce.get(one.id);
    const unchanged = before?.digest === one.digest && before.refused === null;
    const there = parts ? partEnd(parts, one.id, { row, under: change }) : null;
    const end = one.refused
      ? { state: 'failed' as const, why: one.refused }
      : parts
        ? (there ?? INSTALLED)
        : unchanged
          ? INSTALLED
          : change;
    const told = known.get(one.id);
    const child = one.child && !one.refused ? childEnd(one.id, facts.children) : null;
    // M60: of the revision that this device began to apply, also when it failed.
    const version = told?.digest === one.digest ? told.version : floor.sequence;
    return rowOf(one, version, child ?? end);
  });
  const held = waitingRows(waiting, listed);
  const ids = new Set([...accepted.map(({ id }) => id), ...held.map((one) => one.deployment)]);
  const leaving = change.state === 'installed' ? 'removed' : 'removing';
  const gone = taken
    .filter(({ deployment }) => !ids.has(deployment))
    .map((report): MargoReportRow => {
      const lies =
        report.device !== '' &&
        facts.children?.isLeaving(report.deployment, report.device) === true;
      const ended: MargoState = change.state === 'failed' ? 'failed' : leaving;
      const state: MargoState = lies ? 'removing' : report.device === '' ? ended : 'removed';
      const end =
        parts && report.device === ''
          ? (partEnd(parts, report.deployment, { row, under: change }) ?? REMOVED)
          : { state, why: change.why };
      return { ...report, version: floor.sequence, ...stated(end.state, end.why) };
    });
  const changing = new Set(held.map((one) => one.deployment));
  return [...listed.filter((one) => !changing.has(one.deployment)), ...held, ...gone];
}

const INSTALLED = { state: 'installed', why: null } as const;
const REMOVED = { state: 'removed', why: null } as const;

/** M69: what is new in a manifest that waits is pending; a revision that runs keeps its version (M60). */
function waitingRows(
  waiting: MargoFacts['waiting'],
  listed: readonly MargoReportRow[],
): readonly MargoReportRow[] {
  if (!waiting) return [];
  const now = new Map(listed.map((one) => [one.deployment, one]));
  return waiting.deployments.flatMap((one) => {
    const before = now.get(one.id);
    if (before?.digest === one.digest) return [];
    const held = before ?? rowOf(one, waiting.version, { state: 'pending', why: null });
    return [{ ...held, ...stated('pending', null) }];
  });
}

function rowOf(
  { id, facts, digest, child = '' }: MargoDeployment,
  version: bigint,
  { state, why }: { readonly state: MargoState; readonly why: Told | null },
): MargoReportRow {
  const { components } = facts;
  const gateway = why && GATEWAY_CODES[why.code];
  // The source of a gateway's codes is the gateway.
  const name = gateway ? child.replace(/\/[^/]*$/, '') : facts.name;
  const told = why && { ...why, code: gateway ?? why.code };
  return {
    ...{ deployment: id, device: child, name, components, digest, version },
    ...stated(state, told),
  };
}

/** What a child is known to have made of it. */
function childEnd(
  id: string,
  children: MargoFacts['children'],
): { state: MargoState; why: Told | null } {
  return children?.stateOf(id) ?? { state: 'pending', why: null };
}

interface Told {
  readonly code: string;
  readonly message: string;
}

type Why = Pick<Fault, 'code' | 'message'> | null;

function changeOf({ intent }: ChannelRow, rejected: Why): { state: MargoState; why: Why } {
  if (!intent)
    return rejected ? { state: 'failed', why: rejected } : { state: 'pending', why: null };
  switch (intent.phase) {
    case 'waiting':
      return { state: 'pending', why: null };
    case 'activating':
    case 'proving':
      return { state: 'installing', why: null };
    case 'undoing':
      return willRetry(intent)
        ? { state: 'pending', why: null }
        : { state: 'failed', why: intent.failure };
    case 'stuck':
      return { state: 'failed', why: intent.failure };
  }
}

/** What a cut or a passing fault has interrupted is tried again, as after it: no failure yet. */
function willRetry(intent: Intent): boolean {
  const { failure } = intent;
  if (failure === null) return false;
  return mayTryAgain(intent, { code: failure.code, retry: FAULTS[failure.code].retry });
}

function stated(
  state: MargoState,
  why: Told | null,
): Pick<MargoReportRow, 'state' | 'code' | 'message'> {
  return { state, code: why?.code ?? '', message: statusText(why?.message ?? '', MESSAGE_MAX) };
}

function same(a: MargoReportRow, b: MargoReportRow): boolean {
  return (
    a.state === b.state &&
    a.digest === b.digest &&
    a.version === b.version &&
    a.code === b.code &&
    // Why it waits is told once: free bytes and tries change all the time.
    (a.message === b.message || a.state === 'pending')
  );
}
