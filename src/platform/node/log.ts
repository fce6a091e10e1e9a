/** The log: one line per event on one descriptor, JSON or text. Never throws, never blocks long. */
import { writeSync } from 'node:fs';
import type { Clock } from '#platform/clock.ts';
import type { Log, LogField, LogLevel } from '#platform/log.ts';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'human';
  readonly clock: Clock;
  /** default: stderr */
  readonly fd?: number;
}

const ORDER: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
/** characters of one field: a log line is never a way to fill a disk */
const FIELD_MAX = 2_048;

type Fields = Readonly<Record<string, LogField>>;

export function systemLog(options: LogOptions): Log {
  const { level: least, format, clock, fd = 2 } = options;
  return {
    write(level, event, fields = {}) {
      if (ORDER[level] < ORDER[least]) return;
      const time = new Date(clock.wallMs()).toISOString();
      // Who reads every step wants to know how long each took: ms of the monotonic clock.
      const all = least === 'debug' ? { ...fields, mono: clock.monotonicMs() } : fields;
      const line =
        format === 'json' ? jsonLine(time, level, event, all) : textLine(time, level, event, all);
      writeAll(fd, `${line}\n`);
    },
  };
}

/** Writes to a terminal, file or pipe; a reader that is gone or does not read loses the rest. */
export function writeAll(fd: number, text: string | Uint8Array): boolean {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  let retries = 0;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      // A full pipe that somebody else made non-blocking: wait a moment for its reader.
      if (code !== 'EAGAIN' || retries++ >= RETRIES_MAX) return false;
      Atomics.wait(PAUSE, 0, 0, PAUSE_MS);
    }
  }
  return true;
}

const RETRIES_MAX = 50;
const PAUSE_MS = 10;
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

function jsonLine(time: string, level: LogLevel, event: string, fields: Fields): string {
  const line: Record<string, unknown> = { time, level, event };
  for (const [name, value] of Object.entries(fields)) {
    if (!(name in line)) line[name] = jsonField(value);
  }
  return JSON.stringify(line);
}

/** Whole numbers past 2^53 lose digits in most readers: text. */
function jsonField(value: LogField): string | number | boolean | null {
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  }
  return typeof value === 'string' ? value.slice(0, FIELD_MAX) : value;
}

function textLine(time: string, level: LogLevel, event: string, fields: Fields): string {
  const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${textField(value)}`);
  return `${time} ${level.toUpperCase().padEnd(5)} ${event}${pairs.join('')}`;
}

/** Quoted when it is not one plain word: no value can forge a line or move a cursor. */
function textField(value: LogField): string {
  if (typeof value !== 'string') return String(value);
  const text = value.slice(0, FIELD_MAX);
  return /^[\w.,:;/@%+~-]+$/.test(text) ? text : printable(JSON.stringify(text));
}

/** C1 controls and direction marks, which JSON leaves as they are. */
function printable(text: string): string {
  return text.replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
