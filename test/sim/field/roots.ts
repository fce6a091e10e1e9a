/** Roots of a fleet with several channels: two root keys, both needed; a key for each channel. */
import type { Envelope } from '#state/envelope.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { pae } from '#trust/dsse.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeRoot } from '#wire/root.ts';
import { rootKeyOf, type SimKey, simKey } from '../world/keys.ts';
import { EPOCH_START_MS, FLEET } from '../world/publisher.ts';

export interface SignedRoot {
  readonly envelope: Envelope;
  readonly json: Uint8Array;
}

export function signed(
  payloadType: string,
  payload: Uint8Array,
  keys: readonly SimKey[],
): Envelope {
  const bytes = pae(payloadType, payload);
  const signatures = keys.map((key) => ({ keyid: key.keyid, sig: key.sign(bytes) }));
  return { payloadType, payload, signatures };
}

/** @param change  how often it was changed */
export function channelKey(channel: string, change: number): SimKey {
  return simKey(`field ${channel} ${change}`);
}

export function fieldRoot(
  version: bigint,
  keys: ReadonlyMap<string, number>,
  epochs: ReadonlyMap<string, { readonly epoch: bigint }>,
): SignedRoot {
  const roots = [simKey('root a'), simKey('root b')];
  const signers = [...keys].map(([channel, change]) => ({
    channel,
    key: channelKey(channel, change),
  }));
  const document = {
    ...{ fleet: FLEET, version, issuedAt: EPOCH_START_MS, notAfter: 0 },
    keys: [...roots, ...signers.map(({ key }) => key)].map(rootKeyOf),
    roles: [
      { name: 'root', threshold: 2, keyids: roots.map(({ keyid }) => keyid) },
      ...signers.map(({ channel, key }) => ({
        ...{ name: roleOf(channel), threshold: 1, keyids: [key.keyid] },
      })),
    ],
    channels: signers.map(({ channel }) => ({
      name: channel.startsWith('device.') ? 'device.*' : channel,
      role: roleOf(channel),
      epoch: epochs.get(channel)?.epoch ?? 1n,
    })),
    ...{ timeReset: null, demo: false, critical: [], tls: null },
  };
  const envelope = signed(PAYLOAD.root, writeRoot(document), roots);
  return { envelope, json: writeEnvelope(envelope) };
}

function roleOf(channel: string): string {
  return channel.startsWith('device.') ? 'devices' : `signers-${channel}`;
}
