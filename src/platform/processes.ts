/** Programs: started in a session of their own, found again in /proc, ended by session. */
import type { Result } from '#errors/fault.ts';

export interface Processes {
  /**
   * Starts a program in its own session: stdin null, stdout and stderr appended to one file
   * (a pipe would kill it when the agent dies). Resolves once exec has succeeded.
   * `platform.exec` when it cannot be started.
   */
  spawn(program: Program): Promise<Result<Child>>;
  /**
   * Runs to the end, at most `timeoutMs`. Then what is left of its session gets SIGKILL, after a
   * good end too: whatever should stay must leave the session. Output: the last 16 KiB.
   */
  run(program: Omit<Program, 'output'>, timeoutMs: number): Promise<Result<RunEnd>>;
  /** All processes whose environment holds `HOLDFAST_INSTANCE`; zombies left out. */
  instances(): Result<readonly Instance[]>;
  /** Null: gone, a zombie, or another process under that pid (start time differs). */
  alive(identity: ProcessIdentity): boolean;
  /** To every process of the session. Nothing there: ok. */
  signalSession(session: number, signal: string): Result<void>;
  /** pids (no zombies) of a session */
  session(session: number): readonly number[];
  /** The random id of this boot, /proc/sys/kernel/random/boot_id */
  bootId(): string;
  /** uid and gids of a user by name or decimal id, group optional; `platform.no-user` */
  user(user: string, group: string | null): Result<{ readonly uid: number; readonly gid: number }>;
  readonly self: OwnProcess;
}

export interface OwnProcess {
  readonly pid: number;
  readonly uid: number;
  readonly isInit: boolean;
  /** Root, or a user that has what it takes to start programs as others, find and end them. */
  readonly becomesOthers: boolean;
  /**
   * It may read the environment of other users' processes (CAP_SYS_PTRACE; root in a container has it
   * only when asked for): without it a program whose record was lost is not found again.
   */
  readonly findsOthers: boolean;
  /**
   * Another user than root whose programs would inherit grave capabilities (the ambient set). Those
   * of root are taken by the kernel when a program becomes another user; these are not.
   * @see capabilities(7)
   */
  readonly bequeathsCapabilities: boolean;
}

export interface Program {
  /** argv; [0] is an absolute path */
  readonly command: readonly string[];
  /** the whole environment: nothing is inherited */
  readonly env: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly uid?: number;
  readonly gid?: number;
  /** absolute path of the file that stdout and stderr are appended to */
  readonly output: string;
}

/** pid plus start time (clock ticks since boot) plus boot id name one process for ever. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: bigint;
  readonly bootId: string;
}

export interface Child {
  readonly identity: ProcessIdentity;
  /** for children of this agent; adopted ones are watched by `alive` */
  readonly exited: Promise<RunEnd>;
}

export interface RunEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** tail of stdout and stderr, capped; empty for supervised programs */
  readonly output: string;
}

export interface Instance {
  readonly identity: ProcessIdentity;
  readonly session: number;
  /** real user id: anybody may write HOLDFAST_INSTANCE into an environment of their own */
  readonly uid: number;
  /** value of HOLDFAST_INSTANCE */
  readonly instance: string;
  /** value of HOLDFAST_COMPONENT */
  readonly component: string;
}
