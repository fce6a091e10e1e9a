/** What tests of the store share: a platform of real files and locks, rows to put in, a dump. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Result } from '#errors/fault.ts';
import { sqliteLocks } from '#platform/bun/sqlite-locks.ts';
import { systemFiles } from '#platform/node/files.ts';
import type { Processes } from '#platform/processes.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { sha256 } from '#state/digest.ts';
import type { StatusPoint } from '#state/status.ts';
import type { Store } from '#store/store.ts';

export const FLEET = '00112233445566778899aabbccddeeff';

export const storePlatform = {
  files: systemFiles(),
  locks: sqliteLocks(),
  processes: {
    self: { pid: process.pid, uid: process.getuid?.() ?? 0, isInit: false },
  } as Processes,
};

/** A directory of its own for one test, and how to remove it. */
export function scratch(name: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(`${tmpdir()}/holdfast-${name}-`);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}

export function codeOf(result: Result<unknown>): string {
  return result.ok ? 'ok' : result.fault.code;
}

export function point(sequence: number): StatusPoint {
  return {
    epoch: 1n,
    sequence: BigInt(sequence),
    stateDigest: sha256(Buffer.from(`state ${sequence}`)),
    at: 1_700_000_000_000 + sequence,
  };
}

export function channelRow(sequence: number, channel = 'stable'): ChannelRow {
  return {
    fleet: FLEET,
    channel,
    floor: point(sequence),
    intent: {
      kind: 'apply',
      phase: 'proving',
      to: point(sequence),
      via: 'mqtt',
      freshness: 'attested',
      tries: 1,
      attemptsMax: 3,
      failure: { code: 'store.io', message: 'because', deployment: 'line' },
    },
    applied: point(sequence - 1),
    appliedVia: 'registry',
    appliedFreshness: 'estimated',
    previous: [point(sequence - 2), point(sequence - 3)],
    hold: { at: 5, reason: 'by hand' },
    degraded: 'store.no-space',
  };
}

/** Something in every table. */
export function fillStore(store: Store, channels = 3): void {
  value(
    store.transaction((tx) => {
      tx.putDevice({ boot: 7n, machine: 'm', crashes: 2, paused: null, timeFloorMs: 99 });
      tx.putRoot(FLEET, Buffer.from('{"root":1}'));
      for (let number = 1; number <= channels; number += 1) {
        const row = channelRow(number + 3, `channel-${number}`);
        tx.putChannel(row);
        tx.putState(FLEET, row.channel, {
          stateDigest: point(number).stateDigest,
          generations: [generation(`d${number}`)],
        });
        tx.putRejected(FLEET, row.channel, {
          point: point(number),
          code: 'store.io',
          message: 'no',
          deployment: 'd',
        });
      }
      tx.putOutboxStatus({
        boot: 7n,
        report: 3n,
        previousReport: point(1).stateDigest,
        eventsDropped: 0n,
        lastEvent: 0n,
      });
      for (let number = 0; number < 5; number += 1) {
        tx.addEvent({ at: number, code: 'x.y', channel: 'c', deployment: '', message: 'm' });
        tx.addHistory({
          at: number,
          channel: 'c',
          outcome: 'applied',
          point: point(number),
          via: 'bundle',
          code: null,
          message: '',
          tookMs: 5,
        });
      }
    }),
  );
}

export function generation(id: string) {
  return {
    id,
    digest: sha256(Buffer.from(id)),
    documentDigest: sha256(Buffer.from(`${id} document`)),
    documentMediaType: 'application/yaml',
    blobs: [{ name: 'b', digest: sha256(Buffer.from('b')), size: 3, unpackedSize: 9, tree: true }],
    values: [{ name: 'PORT', value: '8080' }],
  };
}

/** Everything that is readable, as text; a fault as its code. */
export function dumpStore(store: Store): string {
  const channels = store.channels();
  const names = channels.ok ? channels.value.map(({ channel }) => channel) : [];
  const rows = [
    store.device(),
    store.root(FLEET),
    channels,
    ...names.flatMap((name) => [store.states(FLEET, name), store.rejected(FLEET, name)]),
    store.history(1_000),
    store.outboxStatus(),
    store.outboxEvents(),
  ].map((result) => (result.ok ? result.value : result.fault.code));
  return JSON.stringify(rows, (_key, item) => (typeof item === 'bigint' ? `${item}n` : item));
}
