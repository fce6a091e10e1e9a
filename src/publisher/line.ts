/** A channel's line as it stands: what the registry shows, what this folder signed, what is used. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type HttpLink, httpLink } from '#link/http.ts';
import { type Registry, registry } from '#link/registry.ts';
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import { pointText } from '#state/point.ts';
import { authorityOf, type Fleet, type FleetChannel, fleetChannel } from './fleet.ts';
import { readHead } from './head.ts';
import { registryShelf } from './shelf.ts';
import {
  latestSigned,
  openSigned,
  type SignedNumber,
  type SignedState,
  signedNumbers,
} from './signed.ts';
import { type Line, laterOf } from './statement.ts';
import { latestWaiting, type Waiting } from './waiting.ts';

/** The repository of fleet.yaml, with what must be closed at the end. */
export interface OpenRegistry {
  readonly registry: Registry;
  /** another repository of the same registry */
  beside(repository: string): Registry;
  close(): void;
}

/** Null: fleet.yaml names none. */
export function openFleetRegistry(platform: Platform, fleet: Fleet): OpenRegistry | null {
  const { registry: config } = fleet.config;
  if (!config) return null;
  const http: HttpLink = httpLink(platform, { rootAnchors: () => fleet.root.tls });
  return {
    registry: registry(http, config),
    beside: (name) => registry(http, { ...config, url: new URL(`/${name}`, config.url).href }),
    close: () => http.close(),
  };
}

export interface ChannelLine extends Line {
  readonly channel: FleetChannel;
  /** verified; null: the registry has none to build upon, or was not asked */
  readonly head: SignedState | null;
  /** verified; the highest that is ours to send */
  readonly latest: SignedState | null;
  readonly numbers: readonly SignedNumber[];
  /** the highest number of all, when its signatures are still being collected */
  readonly waiting: Waiting | null;
}

/** @param from  null: only this folder is looked at */
export function readLine(
  platform: Pick<Platform, 'files'>,
  fleet: Fleet,
  name: string,
  from: Registry | null,
): Promise<Result<ChannelLine>> {
  return readLineAdopting(platform, fleet, name, { from, adopted: new Set() });
}

/** @param look.adopted  heads by keys that no longer count, which the operator has looked at */
export async function readLineAdopting(
  platform: Pick<Platform, 'files'>,
  fleet: Fleet,
  name: string,
  look: { readonly from: Registry | null; readonly adopted: ReadonlySet<Digest> },
): Promise<Result<ChannelLine>> {
  const channel = fleetChannel(fleet, name);
  if (!channel.ok) return channel;
  const numbers = signedNumbers(platform.files, fleet, name);
  if (!numbers.ok) return numbers;
  const latest = await latestSigned(platform.files, fleet, name);
  if (!latest.ok) return latest;
  const waiting = await latestWaiting(platform.files, fleet, name);
  if (!waiting.ok) return waiting;
  const head = await headOf(platform.files, fleet, channel.value, look);
  if (!head.ok) return head;
  const previous: DesiredState | null = laterOf(
    head.value?.state ?? null,
    latest.value?.state ?? null,
  );
  return ok({
    channel: channel.value,
    head: head.value,
    latest: latest.value,
    numbers: numbers.value,
    waiting: waiting.value,
    counter: numbers.value.at(-1) ?? null,
    previous,
  });
}

/**
 * The registry's head, as far as it is worth building upon. One that only keys of a former root have
 * signed may be the thief's: it counts where this folder signed it, or where the operator says so. A
 * new epoch leaves it behind.
 */
async function headOf(
  files: Files,
  fleet: Fleet,
  { name, entry }: FleetChannel,
  { from, adopted }: { readonly from: Registry | null; readonly adopted: ReadonlySet<Digest> },
): Promise<Result<SignedState | null>> {
  if (!from) return ok(null);
  const shelf = registryShelf(from, name);
  const read = await readHead(shelf, authorityOf(fleet, name));
  if (!read.ok || !read.value) return read.ok ? ok(null) : read;
  const head = { ...read.value, shelf };
  const { point } = head.state;
  if (head.under === fleet.root.version || adopted.has(point.digest)) return ok(head);
  const kept = await openSigned(files, fleet, name, point);
  if (!kept.ok) return kept;
  if (kept.value?.state.point.digest === point.digest) return ok(head);
  if (point.epoch < entry.epoch) return ok(null);
  return refuse('publish.former-head', {
    channel: name,
    point: pointText(point),
    digest: point.digest,
    version: fleet.root.version,
  });
}
