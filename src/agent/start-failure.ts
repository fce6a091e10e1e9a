/**
 * Why the last start of the agent failed, kept in runDir (tmpfs: it costs the flash nothing and is
 * gone after a reboot), so that `explain` and `doctor` can say it when no agent answers. Best effort:
 * the same is on stderr and in the exit code.
 */
import { type Code, FAULTS, type Fault } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';

const NAME = 'start-failed';
const BYTES = 16 * 1024;
/** characters of a message: codes quote what they found */
const MESSAGE_MAX = 4_000;

export interface StartFailure {
  /** Unix ms */
  readonly at: number;
  readonly code: Code;
  readonly message: string;
  readonly remedy: string;
}

export function noteStartFailure(files: Files, runDir: string, at: number, why: Fault): void {
  const directory = files.open(runDir, { create: 0o755, follow: true });
  if (!directory.ok) return;
  const temporary = `${NAME}.new`;
  directory.value.removeTree(temporary);
  const row = { at, code: why.code, message: why.message.slice(0, MESSAGE_MAX) };
  // Whoever may look at status.sock may read it; secrets are in no message.
  const wrote = directory.value.write(temporary, Buffer.from(JSON.stringify(row)), 0o644);
  if (wrote.ok) directory.value.rename(temporary, NAME);
  directory.value.close();
}

/** A start has begun well: what failed before is over. */
export function forgetStartFailure(files: Files, runDir: string): void {
  const directory = files.open(runDir, { follow: true });
  if (!directory.ok) return;
  directory.value.removeTree(NAME);
  directory.value.close();
}

/** Null: none is known. The remedy is that of this program's own table. */
export function readStartFailure(files: Files, runDir: string): StartFailure | null {
  const bytes = files.readFile(`${runDir}/${NAME}`, BYTES);
  if (!bytes.ok) return null;
  try {
    const row: unknown = JSON.parse(Buffer.from(bytes.value).toString('utf8'));
    const { at, code, message } = (row ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof at !== 'number' || typeof code !== 'string' || typeof message !== 'string')
      return null;
    if (!(code in FAULTS)) return null;
    const known = code as Code;
    return { at, code: known, message, remedy: FAULTS[known].remedy };
  } catch {
    return null; // torn, or not ours
  }
}
