/**
 * Planted bugs of states that come into force deployment by deployment (apply/parts.ts), hunted among
 * schedules with such states alone. As list.ts.
 */
import type { PlantedBug } from './list.ts';

function bug(name: string, ...where: readonly [string, string, string]): PlantedBug {
  const [file, search, replace] = where;
  return { name, file, search, replace, seeds: 60, parts: true };
}

export const IN_PARTS: readonly PlantedBug[] = [
  bug(
    'how often a part was begun is forgotten with each look',
    'apply/open-parts.ts',
    '      if (row && row.digest === wanted.digest) return row;\n',
    '',
  ),
  bug(
    'what needs a part that failed does not wait for it',
    'apply/parts.ts',
    '  const held = heldBack(run, part);',
    '  const held = null as ReturnType<typeof heldBack>;',
  ),
  bug(
    'documents of the old statement are looked for in the new one',
    'apply/open-parts.ts',
    'statement: generation.statement ?? row.stateDigest,',
    '',
  ),
  bug(
    'a statement is told as applied when its first part is',
    'apply/journal.ts',
    '    ...(open && { partly: { whole: open.whole } }),\n',
    '',
  ),
  bug(
    'one part that fails ends the others',
    'apply/parts.ts',
    "  record(run, part, endOf(outcome.fault, kind === 'ended'));\n  return null;",
    "  record(run, part, endOf(outcome.fault, kind === 'ended'));\n  return settle(run, outcome.fault, part.ids);",
  ),
  bug(
    'an undone part leaves its half in the row',
    'apply/replaced.ts',
    '    generations: replaced ?? [],\n',
    '',
  ),
  bug(
    'the statement that a document stands in is swept',
    'agent/collect.ts',
    '...standingIn(generations), ',
    '',
  ),
  bug(
    'a part that is proven stays to be done',
    'apply/open-parts.ts',
    '  const parts = open.parts.filter(({ id }) => !ids.includes(id));\n',
    '  const parts = open.parts.filter(() => true);\n',
  ),
];
