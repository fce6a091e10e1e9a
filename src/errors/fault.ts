/**
 * Errors as values. A fault has a stable code, a message with the compared values, and a remedy;
 * status, logs, exit messages, `explain` and docs/errors.md read the same tables. A code never
 * changes its meaning. The tables are one file per prefix beside this one; the union of their keys
 * is `Code`.
 */
import { agentFaults } from './agent.ts';
import { applyFaults } from './apply.ts';
import { composeFaults } from './compose.ts';
import { configFaults } from './config.ts';
import { controlFaults } from './control.ts';
import { driftFaults } from './drift.ts';
import { enrollFaults } from './enroll.ts';
import { formatFaults } from './format.ts';
import { helmFaults } from './helm.ts';
import { hubFaults } from './hub.ts';
import { linkFaults } from './link.ts';
import { margoFaults } from './margo.ts';
import { margoClientFaults } from './margo-client.ts';
import { packageFaults } from './package.ts';
import { planFaults } from './plan.ts';
import { platformFaults } from './platform.ts';
import { publishFaults } from './publish.ts';
import { sourceFaults } from './source.ts';
import { storeFaults } from './store.ts';
import { trustFaults } from './trust.ts';
import { valuesFaults } from './values.ts';

/** Every fault of Holdfast by code. */
export const FAULTS = {
  ...agentFaults,
  ...applyFaults,
  ...composeFaults,
  ...configFaults,
  ...controlFaults,
  ...driftFaults,
  ...enrollFaults,
  ...formatFaults,
  ...helmFaults,
  ...hubFaults,
  ...linkFaults,
  ...margoFaults,
  ...margoClientFaults,
  ...packageFaults,
  ...planFaults,
  ...platformFaults,
  ...publishFaults,
  ...sourceFaults,
  ...storeFaults,
  ...trustFaults,
  ...valuesFaults,
} as const;

export type Code = keyof typeof FAULTS;
type Details<C extends Code> = Parameters<(typeof FAULTS)[C]['says']>[0];

/** What went wrong, as data. */
export interface Fault {
  readonly code: Code;
  /** One line, with the values that were compared. */
  readonly message: string;
  /** One line: what a person does next. */
  readonly remedy: string;
  /** `never`: the same input fails again; `later`: may pass by itself; `operator`: a person must act. */
  readonly retry: Retry;
  /** Where it happened, when the message does not say: a file with line, a URL without credentials. */
  readonly where?: string;
  /** For `later`: the earliest useful retry in ms from now, when the peer named one. */
  readonly retryAfterMs?: number;
}

export type Retry = 'never' | 'later' | 'operator';

/** A row of a fault table. `says` must not throw and prints no secrets. */
export interface FaultRow {
  readonly retry: Retry;
  // biome-ignore lint/suspicious/noExplicitAny: each row names its own details; `refuse` recovers their type by code
  readonly says: (details: any) => string;
  readonly remedy: string;
}

export type Ok<T> = { readonly ok: true; readonly value: T };
export type Refused = { readonly ok: false; readonly fault: Fault };
export type Result<T> = Ok<T> | Refused;

export function ok(): Ok<undefined>;
export function ok<T>(value: T): Ok<T>;
export function ok<T>(value?: T): Ok<T | undefined> {
  return { ok: true, value };
}

/** The fault of `code`, its message made from `details`. */
export function fault<C extends Code>(
  code: C,
  details: Details<C>,
  extra: { where?: string; retryAfterMs?: number } = {},
): Fault {
  const row: FaultRow = FAULTS[code];
  return { code, message: row.says(details), remedy: row.remedy, retry: row.retry, ...extra };
}

/** A refusal to return: `return refuse('trust.rollback', { offered, floor })`. */
export function refuse<C extends Code>(
  code: C,
  details: Details<C>,
  extra: { where?: string; retryAfterMs?: number } = {},
): Refused {
  return { ok: false, fault: fault(code, details, extra) };
}

/** Passes a fault on under another result type. */
export function refused(fault: Fault): Refused {
  return { ok: false, fault };
}

/** A broken assumption: stop; recovery, the tested path, takes over. Exit code 70. */
export class BrokenAssumption extends Error {
  override readonly name = 'BrokenAssumption';
}

export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new BrokenAssumption(what);
}
