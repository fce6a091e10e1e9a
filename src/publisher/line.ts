/** A channel's line as it stands: what the registry shows, what this folder signed, what is used. */
import { ok, type Result } from '#errors/fault.ts';
import { type HttpLink, httpLink } from '#link/http.ts';
import { type Registry, registry } from '#link/registry.ts';
import type { Platform } from '#platform/platform.ts';
import type { DesiredState } from '#state/desired-state.ts';
import { authorityOf, type Fleet, type FleetChannel, fleetChannel } from './fleet.ts';
import { type Head, readHead } from './head.ts';
import { registryShelf } from './shelf.ts';
import { latestSigned, type SignedNumber, type SignedState, signedNumbers } from './signed.ts';
import { type Line, laterOf } from './statement.ts';
import { latestWaiting, type Waiting } from './waiting.ts';

/** The repository of fleet.yaml, with what must be closed at the end. */
export interface OpenRegistry {
  readonly registry: Registry;
  close(): void;
}

/** Null: fleet.yaml names none. */
export function openFleetRegistry(platform: Platform, fleet: Fleet): OpenRegistry | null {
  const { registry: config } = fleet.config;
  if (!config) return null;
  const http: HttpLink = httpLink(platform);
  return { registry: registry(http, config), close: () => http.close() };
}

export interface ChannelLine extends Line {
  readonly channel: FleetChannel;
  /** verified; null: the registry has none, or was not asked */
  readonly head: Head | null;
  /** verified; the highest that is ours to send */
  readonly latest: SignedState | null;
  readonly numbers: readonly SignedNumber[];
  /** the highest number of all, when its signatures are still being collected */
  readonly waiting: Waiting | null;
}

/** @param from  null: only this folder is looked at */
export async function readLine(
  platform: Pick<Platform, 'files'>,
  fleet: Fleet,
  name: string,
  from: Registry | null,
): Promise<Result<ChannelLine>> {
  const channel = fleetChannel(fleet, name);
  if (!channel.ok) return channel;
  const numbers = signedNumbers(platform.files, fleet, name);
  if (!numbers.ok) return numbers;
  const latest = await latestSigned(platform.files, fleet, name);
  if (!latest.ok) return latest;
  const waiting = await latestWaiting(platform.files, fleet, name);
  if (!waiting.ok) return waiting;
  const shown: Result<Head | null> = from
    ? await readHead(registryShelf(from, name), authorityOf(fleet, name))
    : ok(null);
  if (!shown.ok) return shown;
  const previous: DesiredState | null = laterOf(
    shown.value?.state ?? null,
    latest.value?.state ?? null,
  );
  return ok({
    channel: channel.value,
    head: shown.value,
    latest: latest.value,
    numbers: numbers.value,
    waiting: waiting.value,
    counter: numbers.value.at(-1) ?? null,
    previous,
  });
}
