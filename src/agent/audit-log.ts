/**
 * Puts entries into the audit journal. An entry stands in the commit of what it tells, so it is
 * there exactly when its effect is, and a change costs no commit more. What has no commit of its
 * own: an operator's request waits for the commit of what it causes and is written alone only when
 * it caused none; refusals cost at most one commit an hour and digest, and a few an hour in all,
 * whatever is offered (I7).
 */
import { type Fault, ok, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { AuditActor, AuditKind, NewAuditEntry } from '#state/audit.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { Point } from '#state/point.ts';
import type { StatusPoint, Via } from '#state/status.ts';
import type { Store, StoreWriter } from '#store/store.ts';
import type { AgentTime } from './time.ts';

export interface AuditFact {
  readonly kind: AuditKind;
  readonly actor: AuditActor;
  readonly channel?: string;
  readonly point?: StatusPoint | null;
  readonly via?: Via | null;
  readonly fault?: Pick<Fault, 'code' | 'message'> | null;
  readonly message?: string;
  readonly details?: Digest | null;
}

export interface Refused {
  readonly channel: string;
  readonly fault: Fault;
  readonly offered: Point | null;
  readonly via: Via | null;
}

export interface AuditLog {
  /** Within the transaction that does what is told. */
  add(tx: StoreWriter, fact: AuditFact): void;
  /** What `add` wrote so far is durable. */
  landed(): void;
  /**
   * An operator asked for something: goes into the next commit.
   * @returns takes it back while no commit has it: it was a look that found nothing new
   */
  ask(fact: AuditFact): () => void;
  /** What was asked for is over: written now when nothing came of it. */
  settle(): void;
  /** A statement was refused without a commit. */
  refuse(refused: Refused): void;
}

export interface AuditLogInput {
  readonly store: Pick<Store, 'transaction'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly time: Pick<AgentTime, 'view'>;
  readonly boot: bigint;
}

const HOUR_MS = 3_600_000;
/** requests of operators under way; each is one command that waits for its answer */
const ASKED_MAX = 16;

interface Asked {
  readonly entry: NewAuditEntry;
  /** in a transaction of which nothing is known yet */
  sent: boolean;
}

interface Held {
  asked: Asked[];
  /** what was refused → monotonic ms of its last entry */
  readonly refused: Map<string, number>;
  /** monotonic ms of the last entries, for the bound of an hour */
  recent: readonly number[];
  /** refusals without an entry since the last one with */
  unrecorded: number;
}

export function auditLog(input: AuditLogInput): AuditLog {
  const held: Held = { asked: [], refused: new Map(), recent: [], unrecorded: 0 };
  const add = (tx: StoreWriter, fact: AuditFact): void => {
    for (const asked of held.asked) {
      tx.addAudit(asked.entry);
      asked.sent = true;
    }
    if (fact.kind === 'rejected' && fact.point) {
      mark(held, fact.point.stateDigest, input.clock.monotonicMs());
    }
    tx.addAudit(entryOf(input, fact));
  };
  return {
    add,
    landed() {
      held.asked = held.asked.filter(({ sent }) => !sent);
    },
    ask(fact) {
      const asked = { entry: entryOf(input, fact), sent: false };
      if (held.asked.length < ASKED_MAX) held.asked.push(asked);
      return () => {
        if (!asked.sent) held.asked = held.asked.filter((other) => other !== asked);
      };
    },
    settle() {
      if (held.asked.length === 0) return;
      const entries = held.asked.map(({ entry }) => entry);
      held.asked = [];
      commit(input, (tx) => {
        for (const entry of entries) tx.addAudit(entry);
      });
    },
    refuse(refused) {
      const now = input.clock.monotonicMs();
      const key = refused.offered?.digest ?? refused.fault.code;
      const last = held.refused.get(key);
      if (last !== undefined && now - last < HOUR_MS) return;
      mark(held, key, now);
      held.recent = held.recent.filter((at) => now - at < HOUR_MS);
      if (held.recent.length >= LIMITS.auditRefusalsPerHour) {
        held.unrecorded += 1;
        return;
      }
      const fact = refusalOf(refused, held.unrecorded);
      const done = commit(input, (tx) => add(tx, fact));
      if (!done.ok) return;
      held.recent = [...held.recent, now];
      held.unrecorded = 0;
      held.asked = held.asked.filter(({ sent }) => !sent);
    },
  };
}

function mark({ refused }: Held, key: string, now: number): void {
  refused.delete(key);
  refused.set(key, now);
  const oldest = refused.keys().next().value;
  if (refused.size > LIMITS.refusedRemembered && oldest !== undefined) refused.delete(oldest);
}

function refusalOf({ channel, fault, offered, via }: Refused, unrecorded: number): AuditFact {
  const point = offered && {
    epoch: offered.epoch,
    sequence: offered.sequence,
    stateDigest: offered.digest,
    at: 0,
  };
  const more = unrecorded === 0 ? '' : ` (${unrecorded} refusals before this have no entry)`;
  const message = `${fault.message}${more}`;
  return { kind: 'refused', actor: 'agent', channel, point, via, fault, message };
}

/** A journal that cannot be written keeps nobody from refusing. */
function commit({ store, log }: AuditLogInput, work: (tx: StoreWriter) => void): Result<void> {
  const done = store.transaction(work);
  if (!done.ok) log.write('warn', 'audit.unrecorded', { code: done.fault.code });
  return done.ok ? ok(undefined) : done;
}

function entryOf({ clock, time, boot }: AuditLogInput, fact: AuditFact): NewAuditEntry {
  const message = fact.message ?? fact.fault?.message ?? '';
  return {
    boot,
    monotonicMs: wholeMs(clock.monotonicMs()),
    at: wholeMs(clock.wallMs()),
    grade: time.view().grade,
    kind: fact.kind,
    actor: fact.actor,
    channel: fact.channel ?? '',
    point: fact.point ?? null,
    via: fact.via ?? null,
    code: fact.fault?.code ?? '',
    message: plain(message),
    details: fact.details ?? null,
  };
}

/** One line, bounded: what was refused may have chosen some of these words. */
function plain(text: string): string {
  return text
    .slice(0, LIMITS.auditMessageMax)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

/** A wall clock before 1970 or with fractions is no reason to say nothing. */
function wholeMs(ms: number): number {
  return ms > 0 ? Math.min(Math.trunc(ms), Number.MAX_SAFE_INTEGER) : 0;
}
