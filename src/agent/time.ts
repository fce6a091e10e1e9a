/**
 * Check 0 for this process: the floor that the store holds, raised in memory by signed values and
 * saved only inside commits made for another reason (and once a day, time-taking.ts), the last
 * attestation, and the view of both that trust and TLS use. What time statements said goes on by
 * CLOCK_BOOTTIME, which suspend does not stop and no `date -s` sets; an attestation therefore ends
 * with the boot, and here already with the process. Only a root's time reset lowers the floor, saved
 * in the commit that keeps this root (root-keeper.ts), and it ends the attestation: a wrong authority
 * may be what it is there to undo.
 */
import type { Clock } from '#platform/clock.ts';
import { type AttestedNow, raiseFloor, type TimeView, viewTime } from '#trust/time.ts';

export interface AgentTime {
  view(): TimeView;
  /** A signed time was accepted (`issued_at`); Unix ms, 0: none. */
  raise(signedMs: number): void;
  /** A time statement was accepted: it is at least that, and goes on from there. */
  bound(atMs: number): void;
  /** It answered a nonce of this device. */
  attest(atMs: number, askedAgoMs: number): void;
  /** What the last answer said, and ms since; null: none, or a reset ended it. */
  attested(): { readonly atMs: number; readonly ageMs: number } | null;
  /** The floor that a root with this time reset sets; nothing is changed yet. */
  resetTo(notBeforeMs: number): number;
  /** That root is durable now. */
  reset(notBeforeMs: number): void;
  /** what the next commit saves */
  floorMs(): number;
}

export interface TimeStart {
  /** Unix ms: this program was built then, so it is never earlier */
  readonly buildMs: number;
  /** Unix ms: the store's floor; 0: none */
  readonly storedMs: number;
  /** a time service says that it steers the wall clock; default: nobody does */
  readonly synchronised?: () => boolean;
}

/** Unix ms at a moment of CLOCK_BOOTTIME. */
interface Carried {
  readonly ms: number;
  readonly bootMs: number;
}

interface Attestation extends Carried {
  readonly askedAgoMs: number;
}

export function agentTime(clock: Clock, start: TimeStart): AgentTime {
  const { buildMs, storedMs, synchronised = () => false } = start;
  let floor = Math.max(buildMs, storedMs);
  let carried: Carried | null = null;
  let attestation: Attestation | null = null;
  const resetTo = (notBeforeMs: number) => Math.max(buildMs, notBeforeMs);
  const floorNow = () => Math.max(floor, carried ? goneOn(carried, clock) : 0);
  const bound = (atMs: number) => {
    const before = floorNow();
    const ms = raiseFloor(before, atMs);
    if (ms > before) carried = { ms, bootMs: clock.bootMs() };
  };
  return {
    view: () =>
      viewTime({
        floorMs: floorNow(),
        wallMs: clock.wallMs(),
        synchronised: synchronised(),
        attested: attestation && nowBy(attestation, clock),
      }),
    raise(signedMs) {
      floor = raiseFloor(floorNow(), signedMs);
    },
    bound,
    attest(atMs, askedAgoMs) {
      attestation = { ms: atMs, askedAgoMs, bootMs: clock.bootMs() };
      bound(atMs);
    },
    attested: () =>
      attestation && { atMs: attestation.ms, ageMs: since(attestation.bootMs, clock) },
    resetTo,
    reset(notBeforeMs) {
      floor = resetTo(notBeforeMs);
      carried = null;
      attestation = null;
    },
    floorMs: () => Math.trunc(floorNow()),
  };
}

function since(bootMs: number, clock: Pick<Clock, 'bootMs'>): number {
  return Math.max(0, clock.bootMs() - bootMs);
}

function goneOn({ ms, bootMs }: Carried, clock: Clock): number {
  return ms + since(bootMs, clock);
}

function nowBy(attestation: Attestation, clock: Clock): AttestedNow {
  const earliestMs = goneOn(attestation, clock);
  const ageMs = since(attestation.bootMs, clock);
  return { earliestMs, latestMs: earliestMs + attestation.askedAgoMs, ageMs };
}
