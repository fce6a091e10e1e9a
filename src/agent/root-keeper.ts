/**
 * The root that this device holds: the owner's file, or what the chain led to from there. Check 7
 * of every look goes through `walk`, whatever source the roots came from.
 *
 * Invariants: a root is durable, in the content store and in the store, before the next step is
 * judged and before anything is judged by it; one that failed is never written (ATTACKS R11). A time
 * reset lowers the floor in the commit that keeps its root, so it happens once: versions only grow.
 * The owner's file wins over what is stored only with a higher version; roots are kept per fleet.
 */
import { assert, type Fault, ok, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import { eventOf } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { Fleet } from '#state/names.ts';
import type { Root } from '#state/root.ts';
import type { ContentStore } from '#store/content.ts';
import type { Store, StoreWriter } from '#store/store.ts';
import { type Outcome, passed, type Stop, stopWith } from '#trust/outcome.ts';
import { type HeldRoot, type OfferedRoot, openHeldRoot, walkRoots } from '#trust/root-chain.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import type { AuditFact, AuditLog } from './audit-log.ts';
import type { AgentTime } from './time.ts';

export interface RootKeeper {
  root(): Root;
  /** Its version, and the digest of its envelope: a layer with the same bytes is no news. */
  held(): { readonly version: bigint; readonly digest: Digest };
  /** Follows what is offered, step by step; each step is kept before the next. */
  walk(offered: readonly OfferedRoot[]): Walked;
  /** Within the first commit of a start, which saves the time floor too. */
  begin(tx: StoreWriter): void;
}

export interface Walked {
  /** a newer root is held than before */
  readonly replaced: boolean;
  /** rows of check 7 */
  readonly rows: readonly Outcome<unknown>[];
  /** what was not followed, an attack before anything else */
  readonly refused: Stop | null;
  /** why a step that was right could not be kept: the same offer is worth another look */
  readonly unkept: Fault | null;
  /** as many steps as one look may take were taken: the offer may lead further */
  readonly more: boolean;
}

export interface RootKeeperInput {
  readonly store: Pick<Store, 'root' | 'transaction'>;
  readonly content: Pick<ContentStore, 'root' | 'putRoot' | 'sync'>;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly log: Log;
  readonly time: AgentTime;
  readonly audit: Pick<AuditLog, 'add' | 'landed'>;
}

/** At most one durable word an hour about roots that somebody signed twice. */
const TELL_EVERY_MS = 3_600_000;

interface Kept extends HeldRoot {
  readonly bytes: Uint8Array;
}

interface Keeper extends RootKeeperInput {
  held: Kept;
  /** Unix ms; null: not in this process */
  toldAt: number | null;
}

/**
 * Nothing is durable before `begin`.
 * @param file  exact bytes of the owner's root
 */
export function openRootKeeper(input: RootKeeperInput, file: Uint8Array): Result<RootKeeper> {
  const owned = open(file);
  if (!owned.ok) return owned;
  const { fleet } = owned.value.root;
  const stored = readStored(input, fleet);
  const copy = readCopy(input, fleet);
  const held = newest([stored, copy, owned.value]);
  const keeper: Keeper = { ...input, held, toldAt: null };
  warnOfTwin(keeper, owned.value);
  const isNew = !stored || stored.root.version < held.root.version;
  if (isNew && held.root.timeReset) input.time.reset(held.root.timeReset.notBefore);
  if (!copy || copy.digest !== held.digest) keepCopy(keeper);
  return ok({
    root: () => keeper.held.root,
    held: () => ({ version: keeper.held.root.version, digest: sha256(keeper.held.bytes) }),
    walk: (offered) => walk(keeper, offered),
    begin(tx) {
      if (!isNew) return;
      tx.putRoot(fleet, held.bytes);
      input.audit.add(tx, rootFact(held, 'operator'));
      if (stored) queueEvent(tx, replacedEvent(keeper, held.root));
    },
  });
}

function open(bytes: Uint8Array): Result<Kept> {
  const root = openHeldRoot(bytes);
  return root.ok ? ok({ ...root.value, bytes }) : root;
}

/** A row that cannot be read is as good as none: there is a copy, and the owner's file. */
function readStored({ store, log }: RootKeeperInput, fleet: Fleet): Kept | null {
  const row = store.root(fleet);
  if (!row.ok) log.write('warn', 'root.unreadable', { where: 'store', code: row.fault.code });
  return row.ok && row.value ? openOwn(row.value, fleet) : null;
}

function readCopy({ content, log }: RootKeeperInput, fleet: Fleet): Kept | null {
  const copy = content.root(fleet);
  if (!copy.ok) log.write('warn', 'root.unreadable', { where: 'file', code: copy.fault.code });
  return copy.ok && copy.value ? openOwn(copy.value, fleet) : null;
}

function openOwn(bytes: Uint8Array, fleet: Fleet): Kept | null {
  const root = open(bytes);
  return root.ok && root.value.root.fleet === fleet ? root.value : null;
}

/** The first of the highest version: what is stored before the owner's file. */
function newest(roots: readonly (Kept | null)[]): Kept {
  const known = roots.filter((root) => root !== null);
  const [first, ...rest] = known;
  assert(first, 'the owner has a root');
  return rest.reduce((best, next) => (next.root.version > best.root.version ? next : best), first);
}

/** The owner's file says something else under a version that is held: only a higher one counts. */
function warnOfTwin({ held, log }: Keeper, { root, digest }: Kept): void {
  if (root.version !== held.root.version || digest === held.digest) return;
  log.write('warn', 'root.file-differs', { version: root.version, held: held.digest, digest });
}

/** The store's row will do as well, so a disk that is full now does not keep the agent from starting. */
function keepCopy({ content, held, log }: Keeper): void {
  const put = content.putRoot(held.root.fleet, held.bytes);
  const kept = put.ok ? content.sync() : put;
  if (!kept.ok) log.write('warn', 'root.uncopied', { code: kept.fault.code });
}

// Check 7
function walk(keeper: Keeper, offered: readonly OfferedRoot[]): Walked {
  const { version } = keeper.held.root;
  const rows: Outcome<unknown>[] = [passed(undefined, `root ${version} held`)];
  let refused: Stop | null = null;
  let unkept: Fault | null = null;
  for (const step of walkRoots(keeper.held, offered)) {
    if (step.kind === 'refused') {
      rows.push(step.stop);
      if (!refused?.attack) refused = step.stop;
      continue;
    }
    const kept = keep(keeper, step.held, step.offered);
    if (!kept.ok) {
      rows.push(stopWith(kept.fault));
      unkept = kept.fault;
      break;
    }
    rows.push(passed(undefined, step.compared));
  }
  if (refused) tell(keeper, refused);
  const steps = keeper.held.root.version - version;
  const more = steps >= BigInt(LIMITS.rootStepsMax);
  return { replaced: steps > 0n, rows, refused, unkept, more };
}

/** The copy first: a cut between the two is ended by `begin` at the next start. */
function keep(keeper: Keeper, next: HeldRoot, offered: OfferedRoot): Result<void> {
  const { store, content, log, time, audit } = keeper;
  const { root } = next;
  const bytes = offered instanceof Uint8Array ? offered : writeEnvelope(offered);
  const put = content.putRoot(root.fleet, bytes);
  const synced = put.ok ? content.sync() : put;
  if (!synced.ok) return synced;
  const { timeReset } = root;
  const done = store.transaction((tx) => {
    tx.putRoot(root.fleet, bytes);
    if (timeReset) saveFloor(tx, time.resetTo(timeReset.notBefore));
    audit.add(tx, rootFact(next, 'owner'));
    queueEvent(tx, replacedEvent(keeper, root));
  });
  if (!done.ok) return done;
  audit.landed();
  if (timeReset) time.reset(timeReset.notBefore);
  keeper.held = { ...next, bytes };
  log.write('info', 'root.replaced', { version: root.version, timeReset: timeReset !== null });
  return ok(undefined);
}

function saveFloor(tx: StoreWriter, timeFloorMs: number): void {
  const device = tx.device();
  assert(device.ok && device.value, 'a device row is made at each start');
  tx.putDevice({ ...device.value, timeFloorMs });
}

function rootFact({ root, digest }: HeldRoot, actor: AuditFact['actor']): AuditFact {
  return { kind: 'root-replaced', actor, message: `root ${root.version} ${digest}` };
}

function replacedEvent({ clock }: Keeper, { version }: Root) {
  return eventOf('trust.root-replaced', { at: clock.wallMs() }, { version });
}

/** The log hears of each; an attack is told as an event too, which survives whatever comes next. */
function tell(keeper: Keeper, { fault, attack }: Stop): void {
  const { store, log, clock } = keeper;
  log.write('warn', 'root.refused', { code: fault.code, message: fault.message, attack });
  const at = clock.wallMs();
  const recent = keeper.toldAt !== null && Math.abs(at - keeper.toldAt) < TELL_EVERY_MS;
  if (!attack || recent) return;
  keeper.toldAt = at;
  const told = store.transaction((tx) =>
    queueEvent(tx, eventOf('trust.attack', { at }, { fault })),
  );
  if (!told.ok) log.write('warn', 'event.unrecorded', { code: told.fault.code });
}
