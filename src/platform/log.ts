/** Structured log. Fields are data; never secrets, parameters or whole payloads. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Log {
  write(level: LogLevel, event: string, fields?: Readonly<Record<string, LogField>>): void;
}

export type LogField = string | number | bigint | boolean | null;
