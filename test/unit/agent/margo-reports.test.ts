/** What a Margo manager is told, from the channel's row; in order, coalesced, parked, durable. */
import { describe, expect, test } from 'bun:test';
import { type MargoFacts, margoReportRows } from '#agent/margo-reports.ts';
import type { MargoDeployment } from '#agent/margo-state.ts';
import { emptyRow } from '#apply/journal.ts';
import { fault } from '#errors/fault.ts';
import type { Intent } from '#state/channel-row.ts';
import { sha256 } from '#state/digest.ts';
import type { MargoReportRow } from '#state/margo.ts';
import type { StatusPoint } from '#state/status.ts';

const digest = (text: string) => sha256(new TextEncoder().encode(text));
const point = (version: bigint): StatusPoint => ({
  ...{ epoch: 1n, sequence: version, at: 0 },
  stateDigest: digest(`${version}`),
});
const deployment = (id: string, text: string, refused: MargoDeployment['refused'] = null) => ({
  ...{ id, digest: digest(text), refused },
  facts: {
    name: `n-${id}`,
    deviceId: null,
    type: 'custom',
    components: ['c'],
    rules: [],
    unpinned: null,
    blobs: [],
  },
});
const row = emptyRow('f'.repeat(32), 'margo');
const intent = (phase: Intent['phase'], failure: Intent['failure'] = null): Intent => ({
  ...{ kind: 'apply', phase, to: point(2n), via: 'margo', freshness: 'unknown' },
  ...{ tries: 1, attemptsMax: 3, failure },
});
const told = (
  facts: Partial<MargoFacts>,
  taken: readonly MargoReportRow[] = [],
): readonly (readonly [string, string, bigint])[] => {
  const all = { row, accepted: [], applied: [], rejected: null, ...facts };
  return margoReportRows(all, taken).map((one) => [one.deployment, one.state, one.version]);
};
const A1 = deployment('a', 'a1');
const A2 = deployment('a', 'a2');
const B = deployment('b', 'b');
const under = { ...row, floor: point(2n), applied: point(1n) };
const before: MargoReportRow = {
  ...{ deployment: 'b', device: '', name: 'n-b', components: ['c'], digest: B.digest, version: 1n },
  ...{ state: 'installed', code: '', message: '' },
};

describe('the state of each deployment', () => {
  test('nothing accepted: nothing to tell', () => expect(told({})).toEqual([]));

  for (const [phase, state] of [
    ['waiting', 'pending'],
    ['activating', 'installing'],
    ['proving', 'installing'],
    ['undoing', 'failed'],
    ['stuck', 'failed'],
  ] as const) {
    test(`${phase}: what changes is ${state}, what does not is installed as before`, () => {
      const facts = {
        row: { ...under, intent: intent(phase) },
        accepted: [A2, B],
        applied: [A1, B],
      };
      expect(told(facts, [before])).toEqual([
        ['a', state, 2n],
        ['b', 'installed', 1n],
      ]);
    });
  }

  test('undone after a cut, to be tried again: pending, no failure', () => {
    const cut = { code: 'apply.interrupted', message: 'cut', deployment: '' } as const;
    const facts = {
      row: { ...under, intent: intent('undoing', cut) },
      accepted: [A2],
      applied: [A1],
    };
    expect(told(facts)).toEqual([['a', 'pending', 2n]]);
    const last = { ...intent('undoing', cut), tries: 3 };
    expect(told({ ...facts, row: { ...under, intent: last } })).toEqual([['a', 'failed', 2n]]);
  });

  test('applied: installed at the version; what left is removed', () => {
    const facts = { row: { ...under, applied: point(2n) }, accepted: [A2], applied: [A2] };
    expect(told(facts, [before])).toEqual([
      ['a', 'installed', 2n],
      ['b', 'removed', 2n],
    ]);
  });

  test('rejected: failed with the new version, for its code', () => {
    const rejected = { code: 'apply.health-failed', message: 'it ended' } as const;
    const rows = margoReportRows({ row: under, accepted: [A2], applied: [A1], rejected }, []);
    expect(rows[0]).toMatchObject({ state: 'failed', code: rejected.code, version: 2n });
  });

  test('one that this device does not offer fails alone', () => {
    const why = fault('margo.unsupported', { deployment: 'b', type: 'helm' });
    const accepted = [A2, deployment('b', 'b', why)];
    const facts = { row: { ...under, applied: point(2n) }, accepted, applied: accepted };
    expect(told(facts)).toEqual([
      ['a', 'installed', 2n],
      ['b', 'failed', 2n],
    ]);
  });

  test('while its removal is under way: removing', () => {
    const facts = { row: { ...under, intent: intent('activating') }, accepted: [], applied: [B] };
    expect(told(facts, [before])).toEqual([['b', 'removing', 2n]]);
  });
});

describe('rules 60, 69: a manifest that waits for its window', () => {
  const waiting = { version: 3n, deployments: [A2, B] };

  test('what is new in it is pending; what runs keeps the version that it has', () => {
    const facts = { row: { ...under, applied: point(2n) }, accepted: [A1], applied: [A1], waiting };
    const had: MargoReportRow = { ...before, deployment: 'a', name: 'n-a', digest: A1.digest };
    expect(told(facts, [had])).toEqual([
      ['a', 'pending', 1n],
      ['b', 'pending', 3n],
    ]);
    // Accepted, it is of the new one.
    const now = { row: { ...under, floor: point(3n) }, accepted: [A2, B], applied: [A1] };
    expect(told(now, [had])[0]).toEqual(['a', 'pending', 3n]);
  });

  test('the first one of all as well; one that is taken back before is removed', () => {
    expect(told({ waiting })).toEqual([
      ['a', 'pending', 3n],
      ['b', 'pending', 3n],
    ]);
    const facts = { row: { ...under, applied: point(2n) }, accepted: [A1], applied: [A1] };
    expect(told(facts, [{ ...before, state: 'pending' }])).toEqual([
      ['a', 'installed', 2n],
      ['b', 'removed', 2n],
    ]);
  });

  test('what is the same in both is as it was', () => {
    const facts = { row: { ...under, applied: point(2n) }, accepted: [B], applied: [B] };
    expect(told({ ...facts, waiting: { version: 3n, deployments: [B] } })).toEqual([
      ['b', 'installed', 2n],
    ]);
  });
});

describe('rule 58: children of a gateway', () => {
  const child = { ...B, child: 'gw/cell' };
  const of = (state: string | null, leaving = false) => ({
    stateOf: () => (state === null ? null : { state, why: null }) as never,
    isLeaving: () => leaving,
  });
  const settled = { row: { ...under, applied: point(2n) }, accepted: [A2, child], applied: [A2] };

  test('are what they say, whatever this device is at', () => {
    for (const [said, state] of [
      [null, 'pending'],
      ['installing', 'installing'],
      ['failed', 'failed'],
    ] as const) {
      expect(told({ ...settled, children: of(said) })[1]).toEqual(['b', state, 2n]);
    }
    const busy = { ...settled, row: { ...under, intent: intent('activating') } };
    expect(told({ ...busy, children: of('installed') })).toEqual([
      ['a', 'installed', 2n],
      ['b', 'installed', 2n],
    ]);
  });

  test('are removing while anything of them lies there, then removed', () => {
    const gone = { ...settled, accepted: [A2] };
    const held = { ...before, device: 'gw/cell' };
    expect(told({ ...gone, children: of(null, true) }, [held])[1]).toEqual(['b', 'removing', 2n]);
    expect(told({ ...gone, children: of(null) }, [held])[1]).toEqual(['b', 'removed', 2n]);
  });

  test('codes of gateways are Margo’s numbers, with the gateway as their source', () => {
    for (const [why, code] of [
      [fault('margo.child-unknown', { deployment: 'b', device: 'gw/x' }), '101'],
      [fault('margo.child-unreachable', { device: 'gw/x', reason: 'away' }), '102'],
      [fault('margo.no-placement', { deployment: 'b', gateway: 'gw' }), '103'],
    ] as const) {
      const accepted = [{ ...child, refused: why }];
      const rows = margoReportRows({ ...settled, accepted, rejected: null }, []);
      expect(rows[0]).toMatchObject({ device: 'gw/cell', name: 'gw', state: 'failed', code });
    }
  });
});
