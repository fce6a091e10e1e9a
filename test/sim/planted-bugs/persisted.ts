/**
 * Planted bugs of a second kind, written before anybody looked whether they are found: what a later life
 * of the agent relies on and an earlier one did not leave on the disk (counts, numbers, names, records),
 * and what is kept in the wrong order. As list.ts.
 */
import type { PlantedBug } from './list.ts';

/** runs; each was found in 1 to 3 of them when it was planted */
const FOUND_WITHIN = 40;

function bug(
  name: string,
  ...[file, search, replace]: readonly [string, string, string]
): PlantedBug {
  return { name, file, search, replace, seeds: FOUND_WITHIN };
}

export const PERSISTED: readonly PlantedBug[] = [
  bug(
    'what is above the floor is not asked for',
    'trust/sequence.ts',
    'if (floor && order < 0) return lower(offered, floor, facts);',
    '',
  ),
  bug(
    'a new root is held in memory alone',
    'agent/root-keeper.ts',
    '  const put = content.putRoot(root.fleet, bytes);\n  const synced = put.ok ? content.sync() : put;\n  if (!synced.ok) return synced;',
    '  keeper.held = { ...next, bytes };\n  if (root) return ok(undefined);',
  ),
  bug(
    'collection does not keep what is applied',
    'agent/collect.ts',
    'const points = [row.floor, row.applied, row.intent?.to ?? null, ...row.previous];',
    'const points = [row.floor, row.intent?.to ?? null];',
  ),
  bug(
    'an event takes the number of the one before it',
    'store/typed-store.ts',
    `      const number = last + 1n;
      put(KEYS.event(number)`,
    `      const number = last === 0n ? 1n : last;
      put(KEYS.event(number)`,
  ),
  bug(
    'the names of content are not synced before the acceptance',
    'store/content.ts',
    'sync: () => directory.sync(),',
    'sync: () => ok(undefined),',
  ),
  bug(
    'that nothing stood at a target is not synced',
    'apply/runtimes/files-origin.ts',
    `  made.value.close();
  return origin.sync();
}

function hasRecord`,
    `  made.value.close();
  return ok(undefined);
}

function hasRecord`,
  ),
  bug(
    'the undo forgets what stood there before it is back',
    'apply/runtimes/files-origin.ts',
    '    const synced = at.parent.sync();\n    const forgotten',
    '    const synced: Result<void> = ok(undefined);\n    const forgotten',
  ),
  bug(
    'a blob is not synced before it has its name',
    'store/part.ts',
    'const synced = writer.sync();',
    'const synced: Result<void> = ok(undefined);',
  ),
  bug(
    'a rollback lowers the floor',
    'apply/journal.ts',
    '    ...proven,\n    applied:',
    '    ...proven,\n    floor: intent.to,\n    applied:',
  ),
  bug(
    'a staged file keeps the mode it was made with',
    'apply/stage.ts',
    'const moded = writer.chmod(mode & 0o777);',
    'const moded = writer.chmod(0o600);',
  ),
  bug(
    'an undo is told as done before it has begun',
    'apply/journal.ts',
    "if (phase === 'idle') return { ...row, intent: null };",
    "if (phase === 'idle' || phase === 'undoing') return { ...row, intent: null };",
  ),
  bug(
    'a state is recorded as applied when it is accepted',
    'apply/journal.ts',
    '    floor,\n    intent,\n    ...(waits',
    '    floor,\n    applied: { ...to, at: 0 },\n    intent,\n    ...(waits',
  ),
];
