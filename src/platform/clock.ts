/** Time. Wall time is a claim (check 0 judges it); deadlines use the monotonic clock. */
export interface Clock {
  /** Unix ms by the system's wall clock */
  wallMs(): number;
  /** ms of CLOCK_MONOTONIC: stands still in suspend */
  monotonicMs(): number;
  /** ms of CLOCK_BOOTTIME: since boot, suspend included */
  bootMs(): number;
  /** Resolves after `ms`, or at once when `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls once after `ms`; the returned function cancels. Keeps the process alive only if `ref`. */
  after(ms: number, call: () => void): () => void;
}
