/**
 * The only way a tick of the demo is earned: something is asked of the device again and again until
 * it is so. What is not so in time ends the demo, with the device's own explanation.
 */
import type { StatusView } from '#control/api.ts';
import type { Device, PageAnswer } from './device.ts';
import type { Version } from './plant.ts';
import type { SignedStatus, Statuses } from './statuses.ts';

const LOOK_MS = 10;
const PATIENCE_MS = 30_000;

export class Unmet extends Error {
  readonly device: Device;
  constructor(device: Device, what: string) {
    super(`${device.name}: ${what}`);
    this.device = device;
  }
}

export interface ReadBack {
  /** all ms on the clock of performance.now() */
  file(device: Device, version: Version): Promise<number>;
  page(
    device: Device,
    version: Version,
  ): Promise<{ readonly at: number; readonly page: PageAnswer }>;
  /** The first status since then of which this holds. */
  status(device: Device, wanted: Wanted): Promise<SignedStatus>;
  /** Where no status can arrive: what the agent says on the device's own socket. */
  applied(device: Device, digest: string): Promise<void>;
}

export interface Wanted {
  /** performance.now() */
  readonly since: number;
  readonly what: string;
  holds(status: SignedStatus): boolean;
}

/** @param signal  aborts when the visitor has had enough */
export function readBack(statuses: Statuses, signal: AbortSignal): ReadBack {
  async function until<T>(
    device: Device,
    what: string,
    look: () => Promise<T | null> | T | null,
  ): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      signal.throwIfAborted();
      const found = await look();
      if (found !== null) return found;
      if (performance.now() > deadline) {
        throw new Unmet(device, `${what}: not so after ${PATIENCE_MS / 1_000} s`);
      }
      await Bun.sleep(LOOK_MS);
    }
  }
  return {
    file: (device, version) =>
      until(device, `speed=${version.speed} in ${device.configFile}`, () =>
        device.hasFile(version) ? performance.now() : null,
      ),
    page: (device, version) =>
      until(
        device,
        `release ${version.release}, speed=${version.speed} at ${device.url}`,
        async () => {
          const page = await device.page(version);
          return page && { at: performance.now(), page };
        },
      ),
    status: (device, { since, what, holds }) =>
      until(device, `a signed status that says ${what}`, () => {
        const said = statuses.of(device.name);
        return said.find((status) => status.at >= since && holds(status)) ?? null;
      }),
    applied: (device, digest) =>
      until(device, `sha256:${digest} is applied`, async () => {
        const said = await device.ask(['status', '-o', 'json']).catch(() => 'null');
        const view: StatusView | null = JSON.parse(said);
        const [channel] = view?.channels ?? [];
        const there = channel?.applied?.stateDigest === `sha256:${digest}`;
        return there && channel?.phase === 'idle' ? true : null;
      }).then(() => undefined),
  };
}
