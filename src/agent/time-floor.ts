/** Check 0: what was signed and accepted raises the time floor, in the commit that accepts it. */
import type { StoreWriter } from '#store/store.ts';
import type { AgentTime } from './time.ts';

export function raiseTimeFloor(time: AgentTime, tx: StoreWriter, issuedAt: number): void {
  time.raise(issuedAt);
  const device = tx.device();
  const timeFloorMs = time.floorMs();
  if (device.ok && device.value && device.value.timeFloorMs < timeFloorMs) {
    tx.putDevice({ ...device.value, timeFloorMs });
  }
}
