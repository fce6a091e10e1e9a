/** What of a statement is not in force is told with the deployment that it is about. */
import { expect, test } from 'bun:test';
import { openOf, withParts } from '#agent/parts-told.ts';
import { emptyRow } from '#apply/journal.ts';
import type { OpenParts, PartRow, StateRow } from '#state/channel-row.ts';
import { sha256 } from '#state/digest.ts';
import { FLEET, point } from '../../support/store.ts';

const digest = sha256(Buffer.from('document'));
const failure = { code: 'apply.health-failed', message: 'ill' } as const;
const part = (id: string, more: Partial<PartRow> = {}): PartRow => ({
  ...{ id, digest, documentDigest: digest, tries: 1, ended: true, failure },
  ...more,
});
const open = (...parts: PartRow[]): OpenParts => ({ whole: null, parts });
const healthy = { id: 'a', digest, health: 'healthy', code: '', message: '', restarts: 0 };

test('an older version that stays keeps its health and tells why it is not replaced', () => {
  expect(withParts([healthy], open(part('a')))).toEqual([{ ...healthy, ...failure }]);
});

test('one that is not there at all is told as stopped', () => {
  const told = { id: 'b', digest, health: 'stopped', ...failure, restarts: 0 };
  expect(withParts([healthy], open(part('b')))).toEqual([healthy, told]);
});

test('what is ill for another reason tells that; what waits for its turn tells nothing', () => {
  const ill = { ...healthy, health: 'unhealthy', code: 'drift.found', message: 'x' };
  expect(withParts([ill], open(part('a'), part('b', { failure: null })))).toEqual([ill]);
});

test('the accepted statement is told of, the one in force in part where that is another, a held one not', () => {
  const [one, two] = [point(1), point(2)];
  const rows = new Map<string, StateRow>([
    [one.stateDigest, { stateDigest: one.stateDigest, generations: [], open: open(part('a')) }],
    [two.stateDigest, { stateDigest: two.stateDigest, generations: [] }],
  ]);
  const store = {
    state: (_: string, __: string, of: string) =>
      ({ ok: true, value: rows.get(of) ?? null }) as const,
  };
  const row = emptyRow(FLEET, 'stable');
  expect(openOf(store, { ...row, floor: one })?.parts.length).toBe(1);
  const inPart = { ...row, floor: two, applied: one, partly: { whole: null } };
  expect(openOf(store, inPart)?.parts.length).toBe(1);
  expect(openOf(store, { ...inPart, partly: undefined } as never)).toBeNull();
  expect(openOf(store, { ...row, floor: one, hold: { at: 0, reason: '' } })).toBeNull();
});
