/** The process itself: what main.ts needs of it. */
import { execPath } from 'node:process';
import { isOpenToOthers, ownCapabilities } from './capabilities.ts';

export type Signal = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2';

export interface Self {
  /** arguments after the program's name */
  readonly args: readonly string[];
  /** as it was at start */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** the file that runs */
  readonly executable: string;
  readonly pid: number;
  /** has capabilities from its file, which others may run as well */
  readonly openToOthers: boolean;
  readonly workingDirectory: string;
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** Calls on each of these signals, instead of ending; the returned function stops that. */
  onSignal(signals: readonly Signal[], call: (signal: Signal) => void): () => void;
  /** Calls once with what nobody caught: an exception or a rejected promise. */
  onUncaught(call: (error: unknown) => void): void;
  /**
   * Begins anew under the same process id, with more in its environment. Returns where that cannot
   * be done (not a compiled program, another machine's program under an emulator): go on as it is.
   */
  beginAgain(more: Readonly<Record<string, string>>): void;
  /** Ends at once. */
  exit(code: number): never;
  /** The code with which it ends when nothing is left to do. */
  exitLater(code: number): void;
}

/** Proxies come from the configuration; the runtime's HTTP client would also take these. */
const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'];

export function thisProcess(): Self {
  const env = { ...process.env };
  return {
    args: process.argv.slice(2),
    env,
    executable: execPath,
    pid: process.pid,
    openToOthers: isOpenToOthers(process.geteuid?.() ?? -1, ownCapabilities(), execPath),
    workingDirectory: process.cwd(),
    versions: process.versions,
    onSignal(signals, call) {
      const listen = (signal: NodeJS.Signals): void => {
        const known = signals.find((name) => name === signal);
        if (known !== undefined) call(known);
      };
      for (const signal of signals) process.on(signal, listen);
      return () => {
        for (const signal of signals) process.off(signal, listen);
      };
    },
    onUncaught(call) {
      let called = false;
      const once = (error: unknown): void => {
        if (called) return;
        called = true;
        call(error);
      };
      process.on('uncaughtException', once);
      process.on('unhandledRejection', once);
    },
    beginAgain(more) {
      if (process.argv[1]?.startsWith(COMPILED) === true) beginAgain({ ...env, ...more });
    },
    exit: (code) => process.exit(code),
    exitLater(code) {
      process.exitCode = code;
    },
  };
}

/** where the runtime shows the files inside a compiled program */
const COMPILED = '/$bunfs/';

function beginAgain(env: NodeJS.ProcessEnv): void {
  const { emitWarning } = process;
  // It would warn that execve is experimental, on the standard error that is this program's log.
  process.emitWarning = () => undefined;
  try {
    process.execve?.(execPath, [execPath, ...process.argv.slice(2)], env);
  } catch {
    process.emitWarning = emitWarning;
  }
}

/** Takes the proxy variables out of the environment of this process (not out of `Self.env`). */
export function forgetProxies(): void {
  for (const name of PROXY_VARIABLES) {
    delete process.env[name];
    delete process.env[name.toUpperCase()];
  }
}
