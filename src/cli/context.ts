/** What every command is given; commands reach the outside only through it. */
import type { LogLevel } from '#platform/log.ts';
import type { Platform } from '#platform/platform.ts';
import type { Terminal } from '#platform/terminal.ts';

export interface CliContext {
  readonly platform: Platform;
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** working directory of the command, absolute */
  readonly cwd: string;
  /** absolute path of this program */
  readonly executable: string;
  readonly version: Version;
  configureLog(log: { readonly level: LogLevel; readonly format: 'json' | 'human' }): void;
  /** The agent begins to start: it is not ready. */
  starting(runDir: string): void;
  /** Tells systemd, and leaves a mark in runDir for `wait --recovered`. */
  ready(runDir: string): void;
  /** Called once, with an exit code of FORMATS.md (cli/exit.ts); the process ends when all is written. */
  exit(code: number): void;
  /** SIGINT, SIGTERM (`stop`), SIGHUP (`reload`); returns how to unsubscribe. */
  onSignal(signal: 'stop' | 'reload', call: () => void): () => void;
}

export interface Version {
  readonly version: string;
  readonly commit: string;
  readonly target: string;
  readonly bun: string;
  readonly lmdb: string;
  /** Unix ms: the lowest the time floor can be (check 0) */
  readonly buildTime: number;
}
