/**
 * Where a kill landed, read from what it left: the channel's row in a copy of the store, and what
 * lies in the content store. Nothing of the agent runs; the copy is opened read-only.
 */
import { copyFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { open } from 'lmdb';
import { Phase } from '#wire/generated/holdfast_pb.ts';
import { ChannelRowSchema, DeviceRowSchema } from '#wire/generated/store_pb.ts';

/** a version byte and a checksum of 16 stand before every record */
const FRAME_BYTES = 17;

export interface AtKill {
  readonly phase: string;
  readonly tries: number;
  readonly boot: bigint;
}

/** @param offered  hex state digest that was published last; `before`: content's names before that */
export function phaseAtKill(
  stateDir: string,
  offered: string,
  before: ReadonlySet<string>,
): AtKill {
  const { channel, boot } = rowsOf(stateDir);
  const { intent, floor } = channel ?? {};
  if (intent) {
    const word = Object.entries(Phase).find(([, number]) => number === intent.phase)?.[0] ?? '?';
    return { phase: word.toLowerCase(), tries: intent.tries, boot };
  }
  const accepted = Buffer.from(floor?.stateDigest ?? []).toString('hex') === offered;
  const fetching = !accepted && contentOf(stateDir).some((name) => !before.has(name));
  return { phase: fetching ? 'preparing' : 'idle', tries: 0, boot };
}

export function contentOf(stateDir: string): readonly string[] {
  try {
    return readdirSync(join(stateDir, 'content'));
  } catch {
    return [];
  }
}

function rowsOf(stateDir: string) {
  const copy = join(stateDir, '..', 'store-copy.mdb');
  copyFileSync(join(stateDir, 'store/data.mdb'), copy);
  const database = open<Uint8Array, Uint8Array>({
    path: copy,
    noSubdir: true,
    readOnly: true,
    encoding: 'binary',
    keyEncoding: 'binary',
  });
  try {
    const rows = [...database.getRange({})].map(({ key, value }) => ({
      key: Buffer.from(key).toString('latin1'),
      body: new Uint8Array(value).slice(FRAME_BYTES),
    }));
    const channel = rows.find(({ key }) => key.startsWith('channel/'));
    const device = rows.find(({ key }) => key === 'device');
    return {
      channel: channel ? fromBinary(ChannelRowSchema, channel.body) : null,
      boot: device ? fromBinary(DeviceRowSchema, device.body).boot : 0n,
    };
  } finally {
    void database.close();
    rmSync(copy, { force: true });
    rmSync(`${copy}-lock`, { force: true });
  }
}
