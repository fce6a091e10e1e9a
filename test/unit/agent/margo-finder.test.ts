/** What wakes the finder of a Margo channel decides nothing: the manifest does. */
import { expect, test } from 'bun:test';
import { type MargoFinderInput, margoFinder } from '#agent/margo-finder.ts';
import { emptyRow } from '#apply/journal.ts';
import { ok } from '#errors/fault.ts';
import type { MargoLink } from '#link/margo.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { sha256 } from '#state/digest.ts';
import type { Wake } from '#triggers/trigger.ts';
import { bytesOf } from '../../support/wire-samples.ts';

const MANIFEST = '{"manifestVersion":2,"bundle":null,"deployments":[]}';
const FLEET = 'f'.repeat(32);

function finderOf(asked: string[]) {
  const link = {
    manifest: () => {
      asked.push('manifest');
      return Promise.resolve(ok({ kind: 'manifest', bytes: bytesOf(MANIFEST), etag: '"e"' }));
    },
  } as unknown as MargoLink;
  const self = {
    ...{ fleet: FLEET, device: { id: 'd', labels: {} } },
    capabilities: { properties: { id: 'd', vendor: '', modelNumber: '', serialNumber: '' } },
    allow: { roots: [], runtimes: [], users: null, defaultUser: null },
    policy: { attemptsMax: 3 },
  };
  const store = { margoLink: () => ok(null), rejected: () => ok([]) };
  return margoFinder({
    ...{ link, inflate: systemInflate(), store, content: {}, name: 'wfm' },
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    ...{ row: () => emptyRow(FLEET, 'margo'), self: () => ok(self) },
    introduce: () => Promise.resolve(ok(asked.push('capabilities'))),
    ...{ reached: () => undefined, alsoFound: () => undefined },
  } as unknown as MargoFinderInput);
}

test('rules 12, 77: a nudge is a hint: the manifest is fetched, and its own version counts', async () => {
  const asked: string[] = [];
  const digest = sha256(bytesOf('another'));
  const nudge = { kind: 'nudge', epoch: 1n, sequence: 99n, digest, manifestDigest: digest };
  const found = await finderOf(asked).find(nudge as unknown as Wake, new AbortController().signal);
  expect(asked).toEqual(['capabilities', 'manifest']);
  expect(found.kind === 'candidate' && found.candidate.state.point).toEqual({
    ...{ epoch: 1n, sequence: 2n, digest: sha256(bytesOf(MANIFEST)) },
  });
});

test('a bundle says nothing on a channel that is believed for its connection', async () => {
  const asked: string[] = [];
  const wake = { kind: 'bundle', path: '/stick' } as unknown as Wake;
  const found = await finderOf(asked).find(wake, new AbortController().signal);
  expect([found.kind, asked]).toEqual(['nothing', []]);
});
