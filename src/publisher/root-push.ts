/**
 * After a change of the root: brings each channel up to it. The head goes out again with the longer
 * chain, signed anew where its keys are gone; where the epoch has grown, or the head is dated after a
 * time reset, the same content goes out as a new statement. Run again, it goes on where it was cut.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import type { Platform } from '#platform/platform.ts';
import type { Digest } from '#state/digest.ts';
import type { Fleet } from './fleet.ts';
import type { Passphrases } from './keys.ts';
import { type ChannelLine, readLineAdopting } from './line.ts';
import { partsOf } from './promote.ts';
import { type Prepared, type Published, prepareCargo, pushPrepared } from './publish.ts';
import type { PushEvent } from './push.ts';
import { renewed } from './renew.ts';
import type { SignedState } from './signed.ts';

export interface BringUp {
  readonly passphrases: Passphrases;
  /** heads by keys that no longer count, which the operator has looked at */
  readonly adopted: ReadonlySet<Digest>;
}

/** one number after the other may be another publisher's */
const TRIES = 3;
const DAY_MS = 24 * 3_600_000;

/** Null: nothing of this channel was ever published. */
export async function bringUpChannel(
  platform: Platform,
  fleet: Fleet,
  target: {
    readonly channel: string;
    readonly registry: Registry;
    readonly report: (event: PushEvent) => void;
  },
  how: BringUp,
): Promise<Result<Published | null>> {
  let taken: Result<Published | null> = ok(null);
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { channel, registry } = target;
    const prepared = await prepareAgain(platform, fleet, { channel, registry }, how);
    if (!prepared.ok || !prepared.value) return prepared.ok ? ok(null) : prepared;
    taken = await pushPrepared(platform, fleet, target, prepared.value);
    if (taken.ok || taken.fault.code !== 'publish.sequence-taken') return taken;
  }
  return taken;
}

/** Where there is no registry: the folder's own states, so that bundles carry the chain. */
export async function bringUpFolder(
  platform: Platform,
  fleet: Fleet,
  channel: string,
  how: BringUp,
): Promise<Result<Prepared | null>> {
  return prepareAgain(platform, fleet, { channel, registry: null }, how);
}

async function prepareAgain(
  platform: Platform,
  fleet: Fleet,
  { channel, registry }: { readonly channel: string; readonly registry: Registry | null },
  how: BringUp,
): Promise<Result<Prepared | null>> {
  const look = { from: registry, adopted: how.adopted };
  const line = await readLineAdopting(platform, fleet, channel, look);
  if (!line.ok) return line;
  const current = currentOf(line.value, fleet);
  if (current) {
    const signed = await renewed(platform, fleet, current, how.passphrases);
    if (signed.ok) return ok({ kind: 'signed', signed: signed.value, fresh: false });
    if (signed.fault.code !== 'publish.signatures-missing') return signed;
  }
  const base = line.value.head ?? line.value.latest;
  if (!base) return ok(null);
  const parts = await partsOf(platform, fleet, base, registry);
  if (!parts.ok) return parts;
  const { deployments, blobs, documents } = base.state;
  const cargo = { deployments, blobs, documents, promotedFrom: null };
  const { passphrases } = how;
  // what devices have is said again, so nothing is taken away
  const options = { passphrases, renew: true, confirmRemoval: () => Promise.resolve(false) };
  return prepareCargo(platform, fleet, line.value, { cargo, parts: parts.value, options });
}

/** What can go out with its number: of the epoch in force, and not dated after a reset of the time. */
function currentOf({ head, latest, channel }: ChannelLine, fleet: Fleet): SignedState | null {
  const current = [head, latest].find((one) => one?.state.point.epoch === channel.entry.epoch);
  const reset = fleet.root.timeReset !== null;
  if (!current || (reset && current.state.issuedAt > fleet.time.estimateMs + DAY_MS)) return null;
  return latest?.state.point.digest === current.state.point.digest ? latest : current;
}
