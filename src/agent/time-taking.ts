/**
 * What becomes of a time statement that came in, by whatever way: judged (trust/time-statement.ts),
 * then it raises the floor, attests the time, and tells the heads. One that is refused changes
 * nothing, is told in log and audit journal, and its bytes are not judged again under the same root.
 *
 * Invariant: the floor is saved here at most once a day of signed time and once an hour of this
 * clock; every other commit that saves it is made for another reason.
 */
import { assert, type Fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import type { Root } from '#state/root.ts';
import type { Via } from '#state/status.ts';
import type { TimeStatement } from '#state/time-statement.ts';
import type { Store } from '#store/store.ts';
import { instantText } from '#trust/time.ts';
import { judgeTimeStatement } from '#trust/time-statement.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import type { AuditLog } from './audit-log.ts';
import type { AgentTime } from './time.ts';
import type { Nonces } from './time-nonces.ts';

export interface TimeTaking {
  take(offered: Uint8Array | Envelope, from: TimeFrom): TimeTaken;
  /** why the last one was refused; null: it was not */
  lastRefused(): Fault | null;
}

export interface TimeFrom {
  /** for the log */
  readonly way: string;
  readonly via: Via | null;
}

export type TimeTaken =
  /** `answers`: it attested the time; else a lower bound */
  | { readonly kind: 'taken'; readonly statement: TimeStatement; readonly answers: boolean }
  /** judged before, under this root */
  | { readonly kind: 'known'; readonly fault: Fault | null }
  | { readonly kind: 'refused' | 'waiting'; readonly fault: Fault };

export interface TimeTakingInput {
  readonly store: Pick<Store, 'transaction' | 'device'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly time: AgentTime;
  readonly nonces: Pick<Nonces, 'askedAgoMs' | 'use'>;
  readonly audit: Pick<AuditLog, 'refuse' | 'add' | 'landed'>;
  root(): Root;
  readonly allowDemo: boolean;
  readonly deviceId: string;
  /** for the journal: the one that this device follows */
  readonly channel: string;
}

const DAY_MS = 24 * 3_600_000;
const HOUR_MS = 3_600_000;

interface Held {
  /** digest of an envelope → the root's version then, and how it ended */
  readonly judged: Map<Digest, { readonly version: bigint; readonly fault: Fault | null }>;
  lastRefused: Fault | null;
  /** monotonic ms of the last commit for the floor's sake */
  savedAt: number;
}

export function timeTaking(input: TimeTakingInput): TimeTaking {
  const held: Held = {
    judged: new Map(),
    lastRefused: null,
    savedAt: Number.NEGATIVE_INFINITY,
  };
  return {
    take: (offered, from) => take(input, held, offered, from),
    lastRefused: () => held.lastRefused,
  };
}

function take(
  input: TimeTakingInput,
  held: Held,
  offered: Uint8Array | Envelope,
  from: TimeFrom,
): TimeTaken {
  const { log, time, nonces, deviceId, allowDemo } = input;
  const root = input.root();
  const digest = sha256(offered instanceof Uint8Array ? offered : writeEnvelope(offered));
  const known = held.judged.get(digest);
  if (known && known.version === root.version) return { kind: 'known', fault: known.fault };
  const { askedAgoMs } = nonces;
  const facts = { root, allowDemo, deviceId, time: time.view(), askedAgoMs };
  const outcome = judgeTimeStatement(offered, facts);
  if (outcome.kind !== 'passed') {
    const { kind, fault } = outcome;
    if (kind === 'refused') {
      remember(held, digest, { version: root.version, fault });
      held.lastRefused = fault;
      const { channel } = input;
      input.audit.refuse({ channel, fault, offered: null, via: from.via });
    }
    const said = { way: from.way, code: fault.code, message: fault.message };
    log.write(kind === 'refused' ? 'warn' : 'info', `time.${kind}`, said);
    return { kind, fault };
  }
  const { statement, askedAgoMs: ago } = outcome.value;
  // What is for everyone says the same each time; an answer that comes again must be refused.
  if (ago === null) remember(held, digest, { version: root.version, fault: null });
  held.lastRefused = null;
  if (ago === null) time.bound(statement.at);
  else {
    nonces.use(statement.nonce);
    time.attest(statement.at, ago);
  }
  log.write(ago === null ? 'debug' : 'info', ago === null ? 'time.bound' : 'time.attested', {
    way: from.way,
    at: instantText(statement.at),
    floor: instantText(time.floorMs()),
  });
  saveFloor(input, held);
  return { kind: 'taken', statement, answers: ago !== null };
}

function remember(
  { judged }: Held,
  digest: Digest,
  entry: { readonly version: bigint; readonly fault: Fault | null },
): void {
  judged.delete(digest);
  judged.set(digest, entry);
  const oldest = judged.keys().next().value;
  if (judged.size > LIMITS.refusedRemembered && oldest !== undefined) judged.delete(oldest);
}

/** A device that is switched off every night must not begin each day with the floor of its image. */
function saveFloor({ store, clock, log, time }: TimeTakingInput, held: Held): void {
  const row = store.device();
  const floor = time.floorMs();
  const now = clock.monotonicMs();
  const stored = row.ok ? (row.value?.timeFloorMs ?? 0) : floor;
  if (floor - stored < DAY_MS || now - held.savedAt < HOUR_MS) return;
  held.savedAt = now;
  const done = store.transaction((tx) => {
    const device = tx.device();
    assert(device.ok && device.value, 'a device row is made at each start');
    tx.putDevice({ ...device.value, timeFloorMs: floor });
  });
  if (!done.ok) log.write('warn', 'time.unsaved', { code: done.fault.code });
}
