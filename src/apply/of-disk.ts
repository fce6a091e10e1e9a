/**
 * Faults that say nothing about a state: the disk was full, read-only or failing while it was applied.
 * They pass when the disk is well again, however often that takes, so they never reject a state and a
 * try that one of them ended is not counted (docs/decisions/0016). The pauses between such tries grow
 * as between others.
 */
import type { Code } from '#errors/fault.ts';

const OF_DISK: ReadonlySet<Code> = new Set<Code>([
  'apply.no-space',
  'platform.no-space',
  'platform.read-only',
  'platform.io',
  'store.no-space',
  'store.io',
]);
const NO_SPACE: ReadonlySet<Code> = new Set<Code>([
  'apply.no-space',
  'platform.no-space',
  'store.no-space',
]);

export function isOfDisk(code: Code): boolean {
  return OF_DISK.has(code);
}

/** Room may be made by removing what nobody needs any more. */
export function wantsRoom(code: Code): boolean {
  return NO_SPACE.has(code);
}
