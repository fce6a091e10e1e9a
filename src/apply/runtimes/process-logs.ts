/**
 * What programs print: `stateDir/logs/<deployment>.<component>.log`, appended to by the program
 * itself, so rotation copies and truncates (DESIGN section 6): `.log.1` is the newest copy. Lines
 * written between the two are lost. One timer looks at all files, sooner the faster they grow.
 */
import { folderOf } from '#apply/folder-name.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory, FileReader, Files, FileWriter } from '#platform/files.ts';

const CALM_MS = 30_000;
const BUSY_MS = 1_000;
const CHUNK = 256 * 1024;
const FOLDER = 'logs';
const PART = '.rotating';

export interface LogRule {
  readonly maxBytes: number;
  /** of one program, the current one included */
  readonly files: number;
}

export interface ProgramLogs {
  /** Absolute path; its directory is there afterwards. */
  path(deployment: string, component: string): Result<string>;
  /** Keeps the file within its rule, until the returned function is called. */
  watch(deployment: string, component: string, rule: LogRule): () => void;
  /** Removes the logs of a deployment. */
  remove(deployment: string): Result<void>;
}

interface Watched {
  readonly rule: LogRule;
  size: number;
}

export function programLogs(files: Files, clock: Clock, stateDir: string): ProgramLogs {
  const watched = new Map<string, Watched>();
  const folder = () => files.open(`${stateDir}/${FOLDER}`, { follow: true, create: 0o700 });
  let cancel: (() => void) | null = null;
  let lookedMs = 0;

  const lookAfter = (ms: number) => {
    cancel?.();
    lookedMs = clock.monotonicMs();
    cancel = watched.size === 0 ? null : clock.after(ms, look);
  };
  const look = () => {
    const sinceMs = Math.max(1, clock.monotonicMs() - lookedMs);
    const opened = folder();
    let nextMs = CALM_MS;
    for (const [name, file] of opened.ok ? watched : []) {
      const size = opened.ok ? rotate(opened.value, name, file.rule) : 0;
      const perMs = Math.max(0, size - file.size) / sinceMs;
      if (perMs > 0) nextMs = Math.min(nextMs, (file.rule.maxBytes - size) / perMs / 2);
      file.size = size;
    }
    if (opened.ok) opened.value.close();
    lookAfter(Math.max(BUSY_MS, nextMs));
  };

  return {
    path(deployment, component) {
      const opened = folder();
      if (!opened.ok) return opened;
      opened.value.close();
      return ok(`${stateDir}/${FOLDER}/${logName(deployment, component)}`);
    },
    watch(deployment, component, rule) {
      const name = logName(deployment, component);
      watched.set(name, { rule, size: 0 });
      lookAfter(BUSY_MS);
      return () => {
        watched.delete(name);
        if (watched.size === 0) lookAfter(CALM_MS);
      };
    },
    remove(deployment) {
      const opened = folder();
      if (!opened.ok) return opened;
      const names = opened.value.list();
      for (const name of names.ok ? names.value : []) {
        if (belongsTo(deployment, name)) opened.value.unlink(name);
      }
      opened.value.close();
      return names.ok ? ok(undefined) : names;
    },
  };
}

export function logName(deployment: string, component: string): string {
  return `${folderOf(deployment)}.${folderOf(component)}.log`;
}

/** Ids may hold dots: `a.b.c.log` is not taken for a log of `a`. */
export function belongsTo(deployment: string, name: string): boolean {
  const prefix = `${folderOf(deployment)}.`;
  return name.startsWith(prefix) && /^[^.]+\.log(\.\d+)?$/.test(name.slice(prefix.length));
}

/** The size afterwards. A full disk keeps the copy from being made, never the cut. */
function rotate(folder: Directory, name: string, { maxBytes, files }: LogRule): number {
  const entry = folder.stat(name);
  if (!entry.ok || entry.value?.kind !== 'file') return 0;
  if (entry.value.size <= maxBytes) return entry.value.size;
  if (files > 1) {
    for (let number = files - 2; number > 0; number -= 1) {
      folder.rename(`${name}.${number}`, `${name}.${number + 1}`);
    }
    copyTail(folder, name, `${name}.1`, maxBytes);
  }
  const cut = folder.truncate(name);
  return cut.ok ? 0 : entry.value.size;
}

function copyTail(folder: Directory, name: string, to: string, bytes: number): void {
  folder.unlink(PART);
  const reader = folder.openFile(name);
  if (!reader.ok) return;
  const writer = folder.create(PART, 0o640);
  const copied = writer.ok && pour(reader.value, writer.value, bytes).ok;
  reader.value.close();
  if (writer.ok) writer.value.close();
  if (!copied || !folder.rename(PART, to).ok) folder.unlink(PART);
}

function pour(reader: FileReader, writer: FileWriter, bytes: number): Result<void> {
  for (let offset = Math.max(0, reader.size - bytes); offset < reader.size; ) {
    const chunk = reader.read(offset, Math.min(CHUNK, reader.size - offset));
    if (!chunk.ok || chunk.value.length === 0) return chunk.ok ? ok(undefined) : chunk;
    offset += chunk.value.length;
    const wrote = writer.write(chunk.value);
    if (!wrote.ok) return wrote;
  }
  return ok(undefined);
}
