/** How each deployment of a manifest is told that comes into force deployment by deployment. */
import { expect, test } from 'bun:test';
import { type MargoParts, partEnd } from '#agent/margo-parts.ts';
import type { PartRow } from '#state/channel-row.ts';
import { sha256 } from '#state/digest.ts';

const digest = sha256(Buffer.from('document'));
const failure = { code: 'apply.health-failed', message: 'a: ill' } as const;
const absent = { code: 'package.missing', message: 'a: not there' } as const;
const part = (id: string, more: Partial<PartRow> = {}): PartRow => ({
  ...{ id, digest, documentDigest: digest, tries: 1, ended: false, failure: null },
  ...more,
});
const parts = (rows: readonly PartRow[], changing: readonly string[] = []): MargoParts => ({
  open: { whole: null, parts: rows },
  changing,
});
const installing = { state: 'installing', why: null } as const;
const waiting = { phase: 'waiting' } as never;

test('what is in no list is in force as the manifest has it', () => {
  expect(partEnd(parts([part('b')]), 'a', { row: { intent: null }, under: installing })).toBeNull();
});

for (const [what, rows, changing, intent, told] of [
  ['its turn has not come', [part('a')], [], waiting, { state: 'pending', why: null }],
  ['it is being changed', [part('a')], ['a'], waiting, installing],
  [
    'it failed for good',
    [part('a', { ended: true, failure })],
    [],
    waiting,
    { state: 'failed', why: failure },
  ],
  [
    'it failed and is tried again',
    [part('a', { failure })],
    [],
    waiting,
    { state: 'pending', why: failure },
  ],
  [
    'its package is in no registry',
    [part('a', { failure: absent })],
    [],
    waiting,
    { state: 'failed', why: absent },
  ],
  [
    'it waits for one that failed',
    [part('a', { failure })],
    [],
    null,
    { state: 'failed', why: failure },
  ],
  ['it is to go', [part('a', { digest: null })], [], waiting, { state: 'removing', why: null }],
  ['it is going', [part('a', { digest: null })], ['a'], waiting, { state: 'removing', why: null }],
] as const) {
  test(`${what}: ${told.state}`, () => {
    expect(
      partEnd(parts([...rows], [...changing]), 'a', { row: { intent }, under: installing }),
    ).toEqual(told);
  });
}
