/**
 * Crashes in a row, for safe mode: a count in runDir (tmpfs), so that it costs the flash nothing
 * and a reboot or a power cut, which are no fault of the program, begin it anew.
 */
import type { Files } from '#platform/files.ts';

/** starts without a clean stop, a finished change or a quiet while, that make the next one safe */
export const CRASHES_MAX = 5;
/** ms that an agent has to live for its start to count as a good one */
export const QUIET_MS = 10 * 60_000;
const NAME = 'starts';

export interface StartCount {
  /** starts before this one that ended in a crash */
  readonly crashes: number;
  /** Progress was made, or the stop is a clean one. */
  reset(): void;
}

/** Best effort: without a writable runDir nothing is counted. */
export function countStart(files: Files, runDir: string): StartCount {
  const crashes = read(files, runDir);
  write(files, runDir, crashes + 1);
  let counted = true;
  return {
    crashes,
    reset() {
      if (counted) write(files, runDir, 0);
      counted = false;
    },
  };
}

function read(files: Files, runDir: string): number {
  const bytes = files.readFile(`${runDir}/${NAME}`, 16);
  const text = bytes.ok ? Buffer.from(bytes.value).toString('latin1') : '';
  return /^\d{1,6}$/.test(text) ? Number(text) : 0;
}

function write(files: Files, runDir: string, count: number): void {
  const directory = files.open(runDir, { create: 0o755, follow: true });
  if (!directory.ok) return;
  const temporary = `${NAME}.new`;
  directory.value.removeTree(temporary);
  const written = directory.value.write(temporary, Buffer.from(`${count}`), 0o600);
  if (written.ok) directory.value.rename(temporary, NAME);
  directory.value.close();
}
