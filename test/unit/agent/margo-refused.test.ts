/** What a Margo manager is told of a manifest that was not accepted, and when it is told. */
import { describe, expect, test } from 'bun:test';
import { endOf, type MargoOffer, margoOffers } from '#agent/margo-refused.ts';
import { type MargoFacts, margoReportRows } from '#agent/margo-reports.ts';
import type { MargoDeployment } from '#agent/margo-state.ts';
import { emptyRow } from '#apply/journal.ts';
import { type Fault, fault } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import type { MargoReportRow } from '#state/margo.ts';
import type { Refusal } from '#state/status.ts';

const digest = (text: string) => sha256(Buffer.from(text));
const one = (id: string, text: string, refused: Fault | null = null): MargoDeployment => ({
  ...{ id, digest: digest(text), refused },
  facts: {
    ...{ name: `n-${id}`, deviceId: null, type: 'compose', components: ['c'] },
    ...{ rules: [], unpinned: null, blobs: [] },
  },
});
const point = (version: bigint) => ({
  ...{ epoch: 1n, sequence: version, at: 0 },
  stateDigest: digest(`${version}`),
});
const [A1, A2, B] = [one('a', 'a1'), one('a', 'a2'), one('b', 'b')];
const row = { ...emptyRow('f'.repeat(32), 'margo'), floor: point(1n), applied: point(1n) };
const offer = (deployments: readonly MargoDeployment[], why: Fault | null = null): MargoOffer => ({
  ...{ version: 2n, digest: digest('2'), deployments, why },
});
const space = fault('apply.no-space', { needed: 2, free: 1, reserve: 0 });
const absent = fault('package.missing', { name: 'r/app:1' });
const unread = fault('config.invalid', { file: 'b.yaml', line: 1, column: 2, expected: 'text' });

function refusal(why: Fault, version: bigint): Refusal {
  const { code, message } = why;
  return { code, message, offered: point(version), via: 'margo', attack: false };
}

/** deployment, state, version and code of all that is told */
function told(facts: Partial<MargoFacts>, taken: readonly MargoReportRow[] = []) {
  const all = { row, accepted: [A1], applied: [A1], rejected: null, ...facts };
  return margoReportRows(all, taken).map(
    ({ deployment, state, version, code }) => [deployment, state, version, code] as const,
  );
}

function after(
  given: MargoOffer,
  { refused = null, waiting = null }: { refused?: Refusal | null; waiting?: Fault | null },
) {
  const now = { refusal: refused, waiting: null as Fault | null };
  const offers = margoOffers(() => now);
  offers.take(given);
  now.waiting = waiting;
  return offers.refused(row);
}

describe('a manifest that is refused before it is accepted', () => {
  test('what is new in it has failed with its version; what is not is as it was', () => {
    const facts = {
      accepted: [A1, B],
      applied: [A1, B],
      refused: after(offer([A2, B]), { refused: refusal(space, 2n) }),
    };
    expect(told(facts)).toEqual([
      ['a', 'failed', 2n, 'apply.no-space'],
      ['b', 'installed', 1n, ''],
    ]);
  });

  test('one document does not read: it has failed, the others wait for it', () => {
    const refused = after(offer([A2, one('b', 'b', unread)], unread), {});
    expect(told({ refused })).toEqual([
      ['a', 'pending', 1n, 'config.invalid'],
      ['b', 'failed', 2n, 'config.invalid'],
    ]);
  });

  test('time may cure it: pending with the reason, at the version that runs', () => {
    const refused = after(offer([A2, B]), { waiting: space });
    expect(told({ refused })).toEqual([
      ['a', 'pending', 1n, 'apply.no-space'],
      ['b', 'pending', 2n, 'apply.no-space'],
    ]);
  });

  test('a registry has not what it names: failed, though it is asked again', () => {
    const refused = after(offer([A2]), { waiting: absent });
    expect(told({ refused })).toEqual([['a', 'failed', 2n, 'package.missing']]);
  });

  test('the first manifest of all as well', () => {
    const facts = { row: emptyRow('f'.repeat(32), 'margo'), accepted: [], applied: [] };
    const refused = after(offer([A2]), { refused: refusal(space, 2n) });
    expect(told({ ...facts, refused })).toEqual([['a', 'failed', 2n, 'apply.no-space']]);
  });
});

describe('when it is told', () => {
  test('not before it was judged, nor for what the one before was judged', () => {
    expect(after(offer([A2]), {})).toBeNull();
    expect(after(offer([A2]), { refused: refusal(space, 3n) })).toBeNull();
    const now = { refusal: null, waiting: space };
    const offers = margoOffers(() => now);
    offers.take(offer([A2]));
    expect(offers.refused(row)).toBeNull();
    // The same manifest at the next poll.
    now.waiting = { ...space };
    offers.take(offer([A2]));
    expect(offers.refused(row)?.state).toBe('pending');
  });

  test('accepted, or waiting for the hour of the owner: no longer', () => {
    const offers = margoOffers(() => ({ refusal: refusal(space, 2n), waiting: null }));
    expect(offers.refused(row)).toBeUndefined();
    offers.take(offer([A2]));
    expect(offers.refused(row)).not.toBeNull();
    expect(offers.refused({ ...row, floor: point(2n) })).toBeNull();
    const deferred = { to: point(2n), via: 'margo', bootId: '', spreadMs: 0 } as const;
    const waits = { ...row, deferred: { ...deferred, leftMs: 0, dueMs: 0 } };
    expect(offers.refused(waits)).toBeNull();
  });

  test('after a start what was told of it stands until the manifest is read again', () => {
    const before = margoReportRows(
      {
        ...{ row, accepted: [A1], applied: [A1], rejected: null },
        refused: after(offer([A2]), { refused: refusal(space, 2n) }),
      },
      [],
    );
    expect(told({}, before)).toEqual([]);
    expect(told({ refused: null }, before)).toEqual([['a', 'installed', 1n, '']]);
  });
});

test('what the operator of the device has to do is told as failed, but what he wants as it is', () => {
  const host = { host: 'r', repository: 'a', allowed: 'none is named' };
  expect(endOf(fault('package.registry-refused', host)).state).toBe('failed');
  expect(endOf(fault('agent.paused', { offered: '1.2' })).state).toBe('pending');
  expect(endOf(fault('link.timeout', { peer: 'r', ms: 1 })).state).toBe('pending');
});
