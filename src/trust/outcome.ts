/** How one check ends, and the trace of all of them that `holdfast explain` and `verify` print. */
import { type Code, FAULTS, type Fault, type FaultRow, fault } from '#errors/fault.ts';

/** A passed check says what it compared; a failed one's fault does. */
export type Outcome<T> = Passed<T> | Stop;

export interface Passed<T> {
  readonly kind: 'passed';
  readonly value: T;
  readonly compared: string;
}

export interface Stop {
  /** waiting: may pass later without new signed bytes; the floor does not move */
  readonly kind: 'refused' | 'waiting';
  readonly fault: Fault;
  /** someone seems to show this device the wrong thing on purpose: told in status */
  readonly attack: boolean;
}

export function passed<T>(value: T, compared: string): Passed<T> {
  return { kind: 'passed', value, compared };
}

type Details<C extends Code> = Parameters<(typeof FAULTS)[C]['says']>[0];

export function stop<C extends Code>(code: C, details: Details<C>): Stop {
  return stopWith(fault(code, details));
}

export function attack<C extends Code>(code: C, details: Details<C>): Stop {
  return { ...stop(code, details), attack: true };
}

export function wait<C extends Code>(code: C, details: Details<C>): Stop {
  return { ...stop(code, details), kind: 'waiting' };
}

export function stopWith(fault: Fault): Stop {
  return { kind: 'refused', fault, attack: false };
}

/** A failure of earlier, from the store: same code, its words as they were recorded. */
export function recordedFault(code: Code, message: string): Fault {
  const row: FaultRow = FAULTS[code];
  return { code, message, remedy: row.remedy, retry: 'never' };
}

/** The checks of DESIGN section 5 that trust/ does; 1–4 and 16–23 are its callers'. */
export const CHECKS = {
  0: 'time',
  5: 'envelope',
  6: 'payload type',
  7: 'root',
  8: 'distinct keys',
  9: 'signatures',
  10: 'threshold',
  11: 'payload',
  12: 'fleet, channel, audience',
  13: 'sequence',
  14: 'freshness',
  15: 'version and removal',
} as const;

export type CheckNumber = keyof typeof CHECKS;

export interface CheckTrace {
  readonly number: number;
  readonly name: string;
  readonly passed: boolean;
  /** the values that were compared, one line */
  readonly compared: string;
}

/** Appends the outcome's row and hands it on. */
export function traced<T>(
  rows: CheckTrace[],
  number: CheckNumber,
  outcome: Outcome<T>,
): Outcome<T> {
  const done = outcome.kind === 'passed';
  const compared = done ? outcome.compared : `${outcome.fault.code}: ${outcome.fault.message}`;
  rows.push({ number, name: CHECKS[number], passed: done, compared });
  return outcome;
}
