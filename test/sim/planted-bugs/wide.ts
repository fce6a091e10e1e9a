/**
 * Planted bugs around the core, hunted in wide schedules only (width/schedule.ts): what is asked of a
 * device, what a publisher may take away, who a device is.
 */
import type { PlantedBug } from './list.ts';

function bug(name: string, seeds: number, where: readonly [string, string, string]): PlantedBug {
  const [file, search, replace] = where;
  return { name, file, search, replace, seeds, wide: true };
}

export const WIDE_PLANTED: readonly PlantedBug[] = [
  bug('a pause does not keep changes out', 40, [
    'agent/follow.ts',
    "  if (isPaused(held)) return fault('agent.paused', { offered });\n",
    '',
  ]),
  bug('a pause ends with the agent', 60, [
    'agent/assemble.ts',
    'ok({ paused: row.value?.paused != null })',
    'ok({ paused: false })',
  ]),
  bug('what is being fetched when a pause comes is accepted', 200, [
    'apply/transaction.ts',
    "  if (barred) return { kind: 'waiting', fault: barred };\n",
    '',
  ]),
  bug('a rollback does not hold', 60, [
    'apply/journal.ts',
    "hold: intent.kind === 'rollback' ? { at, reason: 'rollback by the operator' } : null,",
    'hold: null,',
  ]),
  bug('nobody guards what a state removes', 60, [
    'trust/guards.ts',
    'if (!guarded) return passed(undefined, compared);',
    'return passed(undefined, compared);',
  ]),
  bug('a removal that was allowed once is allowed for every device', 100, [
    'trust/guards.ts',
    'comparePoints(applied, upTo) < 0',
    'true',
  ]),
  bug('a copied card keeps the identity of its first machine', 60, [
    'agent/identity.ts',
    'if (!found.value || moved) {',
    'if (!found.value) {',
  ]),
  bug('which machine an identity belongs to is not kept', 60, [
    'agent/base.ts',
    "machine: identity.machine === '' ? (before?.machine ?? '') : identity.machine,",
    "machine: before?.machine ?? '',",
  ]),
  bug('what is only to be told is repaired', 60, [
    'agent/drift.ts',
    "deployment.drift === 'report' || ",
    '',
  ]),
  bug('what was found is not kept before it is repaired', 60, [
    'agent/drift.ts',
    '  const kept = await runtime.keepFound(generation);\n',
    '  const kept = { ok: true } as const;\n',
  ]),
  bug('repairs have no end', 100, [
    'agent/drift.ts',
    'if (recent.length >= REPAIRS_MAX) {',
    'if (false) {',
  ]),
  bug("a file that is the device's own is taken away with its deployment", 100, [
    'apply/runtimes/files-file.ts',
    'if (!at.component.once) return ok(false);',
    'return ok(false);',
  ]),
];
