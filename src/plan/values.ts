/**
 * Values and the channels they come in: a channel `device.<id>` carries values documents and nothing
 * else, and no other channel carries one. So a device's own channel can be given to whoever knows
 * its secrets, and its keys start no program anywhere.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { type DeviceValue, deviceOfChannel } from '#state/values.ts';

type Carried = Pick<DesiredState, 'deployments' | 'blobs'>;

export function checkValuesOnly(
  channel: string,
  { deployments, blobs }: Carried,
): Result<undefined> {
  const [blob] = blobs;
  if (deviceOfChannel(channel) === null) {
    const values = deployments.find(({ mediaType }) => mediaType === MEDIA.values);
    return values ? refuse('values.elsewhere', { channel, document: values.id }) : ok();
  }
  const other = deployments.find(({ mediaType }) => mediaType !== MEDIA.values);
  if (other) return refuse('values.only', { channel, found: `the deployment ${other.id}` });
  return blob ? refuse('values.only', { channel, found: `the blob ${blob.name}` }) : ok();
}

/** All values of a channel: each name once, and not too many. */
export function mergeValues<Value extends DeviceValue>(
  channel: string,
  documents: readonly { readonly id: string; readonly values: ReadonlyMap<string, Value> }[],
): Result<ReadonlyMap<string, Value>> {
  const all = new Map<string, Value>();
  const owners = new Map<string, string>();
  for (const { id, values } of documents) {
    for (const [name, value] of values) {
      const one = owners.get(name);
      if (one !== undefined) return refuse('values.duplicate', { name, one, other: id });
      owners.set(name, id);
      all.set(name, value);
    }
  }
  if (all.size <= LIMITS.valuesMax) return ok(all);
  return refuse('values.too-many', { channel, values: all.size, most: LIMITS.valuesMax });
}
