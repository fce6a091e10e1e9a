/** What a supervised program printed, for `holdfast logs`: the last lines, then what follows. */
import { belongsTo, logName } from '#apply/runtimes/process-logs.ts';
import type { LogsQuery } from '#control/api.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';

const LOG_CHUNK_BYTES = 64 * 1024;
/** how far back the last lines are looked for */
const LOG_LINES_BYTES = 4 * 1024 * 1024;
const FOLLOW_MS = 300;

export interface LogPlace {
  readonly platform: Pick<Platform, 'files' | 'clock'>;
  readonly stateDir: string;
}

/** `control.no-log` names the programs that have one. */
export function openLog(
  { platform, stateDir }: LogPlace,
  query: LogsQuery,
  signal: AbortSignal,
): Result<AsyncIterable<Uint8Array>> {
  const directory = platform.files.open(`${stateDir}/logs`, { follow: true });
  const known = directory.ok ? logNames(directory.value) : [];
  const wanted = query.component
    ? [logName(query.deployment, query.component)]
    : known.filter((name) => belongsTo(query.deployment, name));
  const [name] = wanted.filter((one) => known.includes(one));
  if (!directory.ok || name === undefined) {
    if (directory.ok) directory.value.close();
    const names = known.map((one) => one.replace(/\.log$/, '')).join(', ');
    return refuse('control.no-log', { deployment: query.deployment, known: names || 'none' });
  }
  return ok(tail(platform, directory.value, { name, query, signal }));
}

function logNames(directory: Directory): readonly string[] {
  const names = directory.list();
  return names.ok ? names.value.filter((name) => name.endsWith('.log')).sort() : [];
}

interface Tail {
  readonly name: string;
  readonly query: LogsQuery;
  readonly signal: AbortSignal;
}

async function* tail(
  { clock }: Pick<Platform, 'clock'>,
  directory: Directory,
  { name, query, signal }: Tail,
): AsyncGenerator<Uint8Array> {
  let offset = startOf(directory, name, query.lines);
  try {
    for (;;) {
      const entry = directory.stat(name);
      const size = entry.ok && entry.value ? entry.value.size : 0;
      if (size < offset) offset = 0; // rotated by copy and truncate
      while (offset < size) {
        const bytes = readAt(directory, name, offset);
        if (bytes.length === 0) break;
        offset += bytes.length;
        yield bytes;
      }
      if (!query.follow || signal.aborted) return;
      await clock.sleep(FOLLOW_MS, signal);
    }
  } finally {
    directory.close();
  }
}

/** Where the last `lines` lines begin, looking back at most LOG_LINES_BYTES. */
function startOf(directory: Directory, name: string, lines: number): number {
  const entry = directory.stat(name);
  const size = entry.ok && entry.value ? entry.value.size : 0;
  let left = lines;
  const floor = Math.max(0, size - LOG_LINES_BYTES);
  for (let end = size; end > floor; ) {
    const from = Math.max(floor, end - LOG_CHUNK_BYTES);
    const bytes = readAt(directory, name, from).subarray(0, end - from);
    for (let index = bytes.length - 1; index >= 0; index -= 1) {
      if (bytes[index] !== 0x0a || from + index === size - 1) continue;
      left -= 1;
      if (left === 0) return from + index + 1;
    }
    end = from;
  }
  return floor;
}

function readAt(directory: Directory, name: string, offset: number): Uint8Array {
  const file = directory.openFile(name);
  if (!file.ok) return new Uint8Array();
  const bytes = file.value.read(offset, LOG_CHUNK_BYTES);
  file.value.close();
  return bytes.ok ? bytes.value : new Uint8Array();
}
