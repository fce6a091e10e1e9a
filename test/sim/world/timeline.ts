/**
 * Virtual time: a queue of events, fired in order of their time and then of their making. Between two
 * events everything that was made runnable runs to its end (the microtask queue is drained), so that a
 * run is one thread and the same each time. Nothing here waits for real time.
 */
import { drainMicrotasks } from 'bun:jsc';

interface Event {
  readonly due: number;
  readonly order: number;
  /** null: cancelled */
  call: (() => void) | null;
}

export interface Timeline {
  /** ms since the run began */
  readonly now: number;
  /** Calls once after `ms`; the returned function cancels. */
  after(ms: number, call: () => void): () => void;
  /** Fires the next event at or before `untilMs`; false: there is none, and it is `untilMs` now. */
  step(untilMs: number): boolean;
  /** Runs what is runnable. */
  drain(): void;
  readonly pending: number;
}

/** @param from  ms at which it begins */
export function timeline(from = 0): Timeline {
  const heap: Event[] = [];
  let now = from;
  let made = 0;
  return {
    get now() {
      return now;
    },
    get pending() {
      return heap.reduce((count, event) => count + (event.call ? 1 : 0), 0);
    },
    after(ms, call) {
      made += 1;
      const event: Event = { due: now + Math.max(0, ms), order: made, call };
      push(heap, event);
      return () => {
        event.call = null;
      };
    },
    step(untilMs) {
      for (;;) {
        const [first] = heap;
        if (first === undefined || (first.call !== null && first.due > untilMs)) {
          if (untilMs > now) now = untilMs;
          return false;
        }
        pop(heap);
        const { call } = first;
        if (call === null) continue;
        first.call = null;
        if (first.due > now) now = first.due;
        call();
        drainMicrotasks();
        return true;
      }
    },
    drain: () => drainMicrotasks(),
  };
}

function isBefore(a: Event, b: Event): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const up = (at - 1) >> 1;
    const parent = heap[up] as Event;
    if (!isBefore(event, parent)) break;
    heap[at] = parent;
    at = up;
  }
  heap[at] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop() as Event;
  const { length } = heap;
  if (length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= length) break;
    const right = child + 1;
    if (right < length && isBefore(heap[right] as Event, heap[child] as Event)) child = right;
    if (!isBefore(heap[child] as Event, last)) break;
    heap[at] = heap[child] as Event;
    at = child;
  }
  heap[at] = last;
}
