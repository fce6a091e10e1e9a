/** A damaged store is moved aside, never deleted at once: `store.bad-N`, the two newest are kept. */
import { ok, type Result } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';

const KEPT = 2;

/** @returns the name it has now; durable */
export function quarantine(parent: Directory, name: string): Result<string> {
  const numbers = badNumbers(parent, name);
  if (!numbers.ok) return numbers;
  const bad = `${name}.bad-${Math.max(0, ...numbers.value) + 1}`;
  const moved = parent.rename(name, bad);
  if (!moved.ok) return moved;
  const oldest = numbers.value.toSorted((a, b) => b - a).slice(KEPT - 1);
  for (const number of oldest) {
    const removed = parent.removeTree(`${name}.bad-${number}`);
    if (!removed.ok) return removed;
  }
  const synced = parent.sync();
  return synced.ok ? ok(bad) : synced;
}

function badNumbers(parent: Directory, name: string): Result<readonly number[]> {
  const names = parent.list();
  if (!names.ok) return names;
  const prefix = `${name}.bad-`;
  const numbers = names.value
    .filter((entry) => entry.startsWith(prefix))
    .map((entry) => Number(entry.slice(prefix.length)));
  return ok(numbers.filter((number) => Number.isSafeInteger(number) && number > 0));
}
