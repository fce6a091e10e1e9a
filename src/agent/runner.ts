/**
 * The changes of one channel, one after the other. A candidate that comes while another is under way
 * waits; when it is newer, the running one is superseded: it ends at its next step, is undone, and the
 * newer one is planned anew (DESIGN section 6). Among channels it waits for its turn (turns.ts): a
 * change that is ready while another channel's is under way is made again on what that one leaves.
 */

import { leaveOpen } from '#apply/leave-open.ts';
import { runChange } from '#apply/parts.ts';
import type { ApplyContext, Change, Outcome } from '#apply/transaction.ts';
import type { Fault, Result } from '#errors/fault.ts';
import { comparePoints, type Point } from '#state/point.ts';
import type { Candidate } from './found.ts';
import type { Turns } from './turns.ts';

export interface Job {
  /** what orders jobs; an operator's job (null) supersedes whatever runs */
  readonly point: Point | null;
  readonly manifestDigest: Candidate['manifestDigest'];
  make(signal: AbortSignal): Promise<Result<Change>>;
}

export type JobEnd =
  | { readonly kind: 'ended'; readonly outcome: Outcome; readonly change: Change }
  /** never became a change: refused or waiting, by the fault's `retry` */
  | { readonly kind: 'not-made'; readonly fault: Fault }
  | { readonly kind: 'superseded' };

export interface Runner {
  /** Resolves when this job has ended, also as superseded. */
  run(job: Job): Promise<JobEnd>;
  /**
   * The work of recovery, which joins in the middle of a transaction.
   * @param point  of that transaction: only a newer state supersedes it
   */
  runOther(point: Point, work: (signal: AbortSignal) => Promise<void>): Promise<void>;
  readonly busy: boolean;
  /**
   * Nothing is begun any more, and what is under way is left open at its next step (apply/leave-open.ts).
   * Resolves when nothing is under way.
   */
  halt(): Promise<void>;
  /** Ends what runs (a clean stop): its undo is left to recovery when it takes longer. */
  idle(): Promise<void>;
}

interface Running {
  readonly point: Point | null;
  readonly abort: AbortController;
  readonly done: Promise<unknown>;
}

interface Waiting {
  readonly job: Job;
  resolve(end: JobEnd): void;
  /** a broken assumption: whoever waits stops the agent */
  reject(error: unknown): void;
}

export interface RunnerInput {
  readonly context: ApplyContext;
  readonly channel: string;
  readonly turns: Turns;
  /** This job is ready, and another channel's change is under way. */
  waits(job: Job, other: string): void;
}

export function runner(input: RunnerInput): Runner {
  let running: Running | null = null;
  let waiting: Waiting | null = null;
  let halted = false;

  async function run(job: Job): Promise<JobEnd> {
    if (halted) return { kind: 'superseded' };
    if (!running) return begin(job);
    if (job.point && running.point && comparePoints(job.point, running.point) <= 0) {
      await running.done;
      return { kind: 'superseded' };
    }
    // The newest of those that wait: a lower one would be judged too late anyway (overtaken.ts).
    const first = waiting?.job.point;
    if (job.point && first && comparePoints(job.point, first) <= 0) return { kind: 'superseded' };
    running.abort.abort();
    if (waiting) waiting.resolve({ kind: 'superseded' });
    return new Promise((resolve, reject) => {
      waiting = { job, resolve, reject };
    });
  }

  function begin(job: Job): Promise<JobEnd> {
    const abort = new AbortController();
    const done = attempt(input, job, abort.signal);
    running = { point: job.point, abort, done };
    return done.finally(next);
  }

  function next(): void {
    running = null;
    if (!waiting) return;
    const { job, resolve, reject } = waiting;
    waiting = null;
    begin(job).then(resolve, reject);
  }

  return {
    run,
    async runOther(point, work) {
      if (halted) return;
      const abort = new AbortController();
      const done = inTurn(input, abort.signal, work);
      running = { point, abort, done };
      await done.finally(next);
    },
    get busy() {
      return running !== null;
    },
    halt() {
      halted = true;
      waiting?.resolve({ kind: 'superseded' });
      waiting = null;
      if (running) leaveOpen(running.abort);
      return idle();
    },
    idle,
  };

  async function idle(): Promise<void> {
    while (running) await running.done.catch(() => undefined);
  }
}

async function attempt(
  { context, channel, turns, waits }: RunnerInput,
  job: Job,
  signal: AbortSignal,
): Promise<JobEnd> {
  const before = turns.ended();
  const change = await job.make(signal);
  if (signal.aborted) return { kind: 'superseded' };
  if (!change.ok) return { kind: 'not-made', fault: change.fault };
  const other = turns.holder();
  if (other !== null) waits(job, other);
  const end = await turns.take(channel, signal);
  if (!end) return { kind: 'superseded' };
  try {
    const made = turns.ended() === before ? change : await job.make(signal);
    if (signal.aborted) return { kind: 'superseded' };
    if (!made.ok) return { kind: 'not-made', fault: made.fault };
    const outcome = await runChange(context, made.value, signal);
    return { kind: 'ended', outcome, change: made.value };
  } finally {
    end();
  }
}

async function inTurn(
  { channel, turns }: RunnerInput,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const end = await turns.take(channel, signal);
  if (!end) return;
  try {
    await work(signal);
  } finally {
    end();
  }
}
