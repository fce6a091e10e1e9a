/**
 * Check 11: what a statement or a root may mark as critical, which is everything of it that this
 * version acts on. A name that is not here refuses the document: its author says that acting
 * without understanding it would be wrong (ATTACKS S25).
 */
import { type Outcome, passed, stop } from './outcome.ts';

const KNOWN = {
  statement: new Set([
    'previous_digest',
    'promoted_from',
    'min_agent_version',
    'audience',
    'policy.urgent',
    'policy.windows',
    'policy.spread_ms',
    'policy.commit',
    'policy.health_window_ms',
    'policy.attempts_max',
    'policy.allow_removal',
    'policy.unattested_max_ms',
  ]),
  'time statement': new Set(['nonce', 'device_id', 'heads', 'not_after']),
  root: new Set(['demo', 'not_after', 'keys.not_after', 'time_reset', 'tls']),
} as const;

// Check 11
export function judgeCritical(
  critical: readonly string[],
  where: keyof typeof KNOWN,
): Outcome<undefined> {
  const known: ReadonlySet<string> = KNOWN[where];
  const unknown = critical.find((name) => !known.has(name));
  return unknown === undefined
    ? passed(undefined, `${critical.length} critical names, all known`)
    : stop('trust.critical', { where, name: printable(unknown) });
}

/** A signed name still goes to terminals and logs. */
function printable(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}
