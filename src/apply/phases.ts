/**
 * The phases of one change. A durable row commits the next phase before that phase does anything;
 * after a power cut, recover.ts does what the last column says. Effects are in transaction.ts, the
 * rows' bytes in the store. `waiting` after an acceptance is durable: the statement is the floor,
 * its next try has not begun.
 */
import type { Phase } from '#state/status.ts';

// biome-ignore format: columns
export const PHASES = [
  // in phase     on event      next phase    durable  cut in the next phase
  ['idle',       'planned',    'preparing',  false,   'sweep staging'],
  ['idle',       'deferred',   'waiting',    false,   'nothing'],        // pause, space, consent
  ['waiting',    'ready',      'preparing',  false,   'sweep staging'],
  ['waiting',    'superseded', 'idle',       false,   'nothing'],
  ['preparing',  'failed',     'idle',       false,   'nothing'],
  ['preparing',  'superseded', 'idle',       false,   'nothing'],
  ['preparing',  'prepared',   'activating', true,    'count, undo, try again while tries are left'], // acceptance raises the floor
  ['preparing',  'opened',     'waiting',    true,    'nothing'],        // accepted; deployment by deployment (parts.ts)
  ['waiting',    'settled',    'idle',       true,    'nothing'],        // of its parts none is left to try
  ['activating', 'failed',     'undoing',    true,    'undo'],
  ['activating', 'superseded', 'undoing',    true,    'undo'],
  ['activating', 'activated',  'proving',    true,    'count, prove again or undo'],
  ['activating', 'healthy',    'idle',       true,    'nothing'],        // nothing to prove: commit at once
  ['activating', 'part-proven', 'waiting',   true,    'nothing'],        // one part is in force, others wait
  ['proving',    'part-proven', 'waiting',   true,    'nothing'],
  ['proving',    'unhealthy',  'undoing',    true,    'undo'],
  ['proving',    'superseded', 'undoing',    true,    'undo'],
  ['proving',    'healthy',    'idle',       true,    'nothing'],        // commit: applied and proven
  ['undoing',    'undone',     'idle',       true,    'nothing'],        // rejected, or superseded
  ['undoing',    'retriable',  'waiting',    true,    'nothing'],        // a cut or a passing fault, tries left
  ['undoing',    'part-undone', 'waiting',   true,    'nothing'],        // one part is back, others wait
  ['undoing',    'failed',     'stuck',      true,    'undo'],
  ['stuck',      'retried',    'undoing',    true,    'undo'],
  ['stuck',      'superseded', 'activating', true,    'count, undo, try again while tries are left'],
] as const satisfies readonly (readonly [Phase, string, Phase, boolean, string])[];

export type PhaseEvent = (typeof PHASES)[number][1];

/** Null: the event does not belong into this phase, a broken assumption of the caller. */
export function nextPhase(
  from: Phase,
  event: PhaseEvent,
): { readonly phase: Phase; readonly durable: boolean } | null {
  const row = PHASES.find(([phase, on]) => phase === from && on === event);
  return row ? { phase: row[2], durable: row[3] } : null;
}
