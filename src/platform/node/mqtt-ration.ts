/**
 * How many messages of QoS 0 one connection may bring: so many at once and bytes at once, then by the
 * second. Far above what a device is sent (a nudge now and then), far below what a flood costs.
 */
export interface Ration {
  /** @param bytes  of the message; false: it is above the ration */
  take(bytes: number): boolean;
}

export interface RationOptions {
  readonly burst: number;
  readonly perSecond: number;
  readonly burstBytes: number;
  readonly bytesPerSecond: number;
}

const USUAL: RationOptions = {
  burst: 200,
  perSecond: 50,
  burstBytes: 2 * 1024 * 1024,
  bytesPerSecond: 512 * 1024,
};

/** @param nowMs  monotonic */
export function ration(
  nowMs: () => number = () => performance.now(),
  options: RationOptions = USUAL,
): Ration {
  const { burst, perSecond, burstBytes, bytesPerSecond } = options;
  let [messages, bytes, at] = [burst, burstBytes, nowMs()];
  return {
    take(wanted) {
      const now = nowMs();
      const seconds = Math.max(0, now - at) / 1_000;
      at = now;
      messages = Math.min(burst, messages + seconds * perSecond);
      bytes = Math.min(burstBytes, bytes + seconds * bytesPerSecond);
      if (messages < 1 || bytes < wanted) return false;
      messages -= 1;
      bytes -= wanted;
      return true;
    },
  };
}
