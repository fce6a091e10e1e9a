/**
 * Finds out that another client uses this device's identity, as two copies of one image do: each
 * connection throws the other one out. MQTT 5 brokers may name it (reason 0x8e), many do not
 * (measured: Mosquitto 2.0.11 just closes), and MQTT 3.1.1 cannot. So the device also reads its own
 * presence topic: a presence that names a time none of this process's connections named was written
 * by somebody else. The first connection is left out: what it finds may be from before a restart.
 */
import type { Clock } from '#platform/clock.ts';

const TIMES_MAX = 3;
const WITHIN_MS = 10 * 60_000;
/** connections whose presence is known as ours */
const OWN_MAX = 32;

export interface CloneWatch {
  /** A connection starts whose presence, and last will, will name this time. */
  connecting(since: number): void;
  /** The broker said that another client took the session. */
  takenOver(): void;
  /** A presence of this device's topic. */
  saw(since: number): void;
}

/** @param tell  called with the count when there were three in ten minutes; then counted anew */
export function cloneWatch(
  clock: Pick<Clock, 'monotonicMs'>,
  tell: (times: number) => void,
): CloneWatch {
  const own: number[] = [];
  let times: number[] = [];
  let isFirst = true;
  /** this connection's cause is already counted */
  let counted = false;

  function count(): void {
    const now = clock.monotonicMs();
    times = [...times.filter((at) => at >= now - WITHIN_MS), now];
    if (times.length < TIMES_MAX) return;
    const told = times.length;
    times = [];
    tell(told);
  }
  return {
    connecting(since) {
      isFirst = own.length === 0;
      own.push(since);
      if (own.length > OWN_MAX) own.shift();
    },
    takenOver() {
      count();
      counted = true;
    },
    saw(since) {
      if (own.includes(since)) {
        // Our own echo ends what the connection found when it came.
        counted = false;
      } else if (!isFirst && !counted) {
        counted = true;
        count();
      }
    },
  };
}
