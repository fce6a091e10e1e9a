/**
 * Bugs that are planted one at a time into a copy of the source, to prove that the simulator can see:
 * what people forget (an fsync, a count, a check), each as one place that is searched and replaced.
 * `seeds` is the number of runs within which it has to be found.
 */

import { FIELD_PLANTED } from './field.ts';
import { IN_PARTS } from './in-parts.ts';
import { PERSISTED } from './persisted.ts';
import { TOLD } from './told.ts';
import { WIDE_PLANTED } from './wide.ts';

export interface PlantedBug {
  readonly name: string;
  /** below src/ */
  readonly file: string;
  readonly search: string;
  readonly replace: string;
  readonly seeds: number;
  /** hunted among wide schedules alone */
  readonly wide?: boolean;
  /** hunted among schedules of the field alone */
  readonly field?: boolean;
  /** hunted among states that come into force deployment by deployment alone */
  readonly parts?: boolean;
}

function bug(name: string, seeds: number, where: readonly [string, string, string]): PlantedBug {
  const [file, search, replace] = where;
  return { name, file, search, replace, seeds };
}

const TRANSACTION = 'apply/transaction.ts';
const DEPLOYMENT = 'apply/runtimes/process-deployment.ts';
const ACCEPT = `  const acceptance = accept(context, change);
  if (!acceptance.ok) return { kind: 'waiting', fault: acceptance.fault };
`;
const ACTIVATE = `  const activated = await activateAll(context, change, signal);
  if (!activated.ok) return giveUp(context, change, activated.fault, signal);
`;

export const PLANTED: readonly PlantedBug[] = [
  bug('the journal is written after the activation', 200, [
    TRANSACTION,
    ACCEPT + ACTIVATE,
    ACTIVATE + ACCEPT,
  ]),
  bug('the acceptance does not raise the floor', 100, [
    'apply/journal.ts',
    'return order > 0 ? to : floor;',
    'return floor;',
  ]),
  bug('the state is committed without proof', 200, [
    TRANSACTION,
    '  if (!proven.ok) return giveUp',
    '  if (false) return giveUp',
  ]),
  bug('declared health checks are not run', 200, [
    'apply/health.ts',
    '    return health;\n',
    '    return [];\n',
  ]),
  bug('whether a program is alive is not looked at', 200, [
    'apply/health.ts',
    'return [alive, ...health];',
    'return health;',
  ]),
  bug('the outbox forgets an event that was not acknowledged', 200, [
    'report/outbox.ts',
    '  tx.removeEvents(event);',
    '  tx.removeEvents(event + 1n);',
  ]),
  bug('undo leaves out its last step', 200, [
    TRANSACTION,
    'of steps.toReversed()',
    'of steps.slice(1).toReversed()',
  ]),
  bug('what a removal takes out stays in force', 100, [
    TRANSACTION,
    "if (step.kind === 'remove') return runtime.value.deactivate(step.previous);",
    "if (step.kind === 'remove') return ok(undefined);",
  ]),
  bug('a cut in activating is not undone', 200, [
    'apply/recover.ts',
    `    const cut = fault('apply.interrupted', { phase: intent.phase, tries: intent.tries });
    return closed(await undo(context, change, cut, false));`,
    "    return ok({ kind: 'closed', outcome: null });",
  ]),
  bug('an undo that was cut is taken for done', 400, [
    'apply/recover.ts',
    'return closed(await undo(context, change, failure, superseded));',
    "return ok({ kind: 'closed', outcome: null });",
  ]),
  bug('a staged file is not synced', 400, [
    'apply/stage.ts',
    'return moded.ok ? writer.sync() : moded;',
    'return moded;',
  ]),
  bug('the directory of a target is not synced', 400, [
    'apply/runtimes/files.ts',
    'return at.parent.sync();',
    'return ok(undefined);',
  ]),
  bug('the statement is not synced before the acceptance', 400, [
    TRANSACTION,
    'const synced = content.sync();',
    'const synced = ok(undefined);',
  ]),
  bug('the place of an unpacked tree is not synced', 400, [
    'apply/generations.ts',
    'return renamed.ok ? place.sync() : renamed;',
    'return renamed;',
  ]),
  bug('a directory of a tree is not synced', 400, [
    'apply/unpack.ts',
    'const synced = moded.ok ? directory.value.sync() : moded;',
    'const synced = moded;',
  ]),
  bug('the name of the state directory is not synced', 400, [
    'store/open.ts',
    'const synced = safe.ok && isNew ? parent.value.sync() : safe;',
    'const synced = safe;',
  ]),
  bug('a signature that does not verify counts', 200, [
    'trust/threshold.ts',
    'if (tried.good) signers.add',
    'if (true) signers.add',
  ]),
  bug('recovery is left out', 100, [
    'agent/agent.ts',
    'const recovered = await recover(context, row, window, follower.safeMode());',
    `const recovered: Awaited<ReturnType<typeof recover>> = ok({ kind: 'closed', outcome: null });`,
  ]),
  bug('what was applied is not recorded', 100, [
    'apply/journal.ts',
    'applied: { ...intent.to, at },',
    'applied: row.applied,',
  ]),
  bug('what a check says is not heeded', 200, [
    'apply/health.ts',
    '  if (failed) return refused(failed);\n',
    '',
  ]),
  bug('the boot is not counted', 100, [
    'agent/base.ts',
    'const boot = (before?.boot ?? 0n) + 1n;',
    'const boot = 1n;',
  ]),
  bug('drift is not repaired', 400, [
    'agent/line.ts',
    'mayRepair: () => !follower.paused() && !follower.row().hold && !common.busy(),',
    'mayRepair: () => false,',
  ]),
  bug('a rejection is not remembered', 400, [
    'apply/undone.ts',
    '    if (rejected) {',
    '    if (false) {',
  ]),
  bug('a program that was found running is started again', 200, [
    DEPLOYMENT,
    '  if (!program) return unit.start();',
    '  return unit.start();',
  ]),
  bug('nobody starts programs after a power cut', 400, [
    'agent/agent.ts',
    '    const done = await doStep(parts.context, step);\n    if (!done.ok) complain(parts.log, generation.id, done.fault);\n',
    '',
  ]),
  ...PERSISTED,
  ...WIDE_PLANTED,
  ...IN_PARTS,
  ...TOLD,
  ...FIELD_PLANTED,
];

/** Found fast: in every `npm test`. */
export const QUICK: readonly string[] = [
  'the acceptance does not raise the floor',
  'what a removal takes out stays in force',
  'the boot is not counted',
  'maintenance windows are not looked at before a change begins',
];
