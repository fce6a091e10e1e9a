/** What an operator reads of mirrors: a lag and a failure by name, nothing when all is well. */
import { describe, expect, test } from 'bun:test';
import { differing } from '#agent/doctor-mirrors.ts';
import { metricsText } from '#agent/metrics.ts';
import { mirrors } from '#agent/mirrors.ts';
import { mirrorStates, mirrorsWrong, registryViews } from '#agent/mirrors-view.ts';
import { fault } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import type { Point } from '#state/point.ts';
import { manualClock } from '../../support/manual-clock.ts';

const at = (epoch: bigint, sequence: bigint): Point => ({
  ...{ epoch, sequence },
  digest: sha256(Uint8Array.of(Number(sequence))),
});
const DESIRED = {
  channel: 'stable',
  desired: { ...at(1n, 58n), stateDigest: at(1n, 58n).digest, at: 0 },
};

const NOW = { startedAt: 0, accepted: null };

function known(...names: readonly string[]) {
  const clock = manualClock();
  const book = mirrors({ clock, random: { unit: () => 0 }, names });
  for (const name of names) {
    book.answered(name);
    book.showed(name, 'stable', at(1n, 58n), NOW);
  }
  return { clock, book, states: () => mirrorStates(book, [DESIRED]) };
}

describe('what is told of mirrors', () => {
  test('nothing is wrong when each shows what is accepted', () => {
    const { states } = known('a.example/state', 'b.example/state');
    expect(mirrorsWrong(states())).toEqual([]);
    expect(registryViews(states()).map(({ state }) => state)).toEqual(['answers', 'answers']);
  });
  test('a lagging mirror by its name, what it shows and how far behind that is', () => {
    const { book, states } = known('a.example/state', 'b.example/state');
    book.showed('b.example/state', 'stable', at(1n, 55n), NOW);
    const [told] = mirrorsWrong(states());
    expect(told?.verdict).toBe(
      'lagging mirror b.example/state: it shows 1.55 of stable, 3 behind (1.58 is known)',
    );
    expect(told?.cure).toContain('Bring the mirror');
    expect(registryViews(states())[1]).toMatchObject({
      ...{ state: 'lags', channels: [{ shows: '1.55', behind: '3 behind' }] },
    });
  });
  test('also where another mirror shows more than was accepted, and across epochs', () => {
    const { book, states } = known('a.example/state', 'b.example/state');
    book.showed('a.example/state', 'stable', at(2n, 1n), NOW);
    expect(mirrorsWrong(states()).map(({ verdict }) => verdict)).toEqual([
      'lagging mirror b.example/state: it shows 1.58 of stable, in epoch 1 of 2 (2.1 is known)',
    ]);
  });
  test('one that fails, with why and until when it rests; of the only one the verdict tells', () => {
    const why = fault('link.unreachable', { peer: 'b.example', reason: 'nobody listens there' });
    const two = known('a.example/state', 'b.example/state');
    two.book.failed('b.example/state', why);
    const [told] = mirrorsWrong(two.states());
    expect(told?.verdict).toBe(
      'mirror b.example/state fails, asked before others again in 1m: link.unreachable: b.example cannot be reached: nobody listens there',
    );
    expect(told?.cure).toBe(why.remedy);
    const one = known('b.example/state');
    one.book.failed('b.example/state', why);
    expect(mirrorsWrong(one.states())).toEqual([]);
  });
  test('metrics by registry: nothing of one that was not asked', () => {
    const { book } = known('a.example/state', 'b.example/state');
    book.showed('b.example/state', 'stable', at(1n, 55n), NOW);
    book.failed('a.example/state', fault('link.down', { peer: 'a' }));
    const snapshot = {
      ...({
        fleet: 'f',
        deviceId: 'press-7',
        at: 0,
        timeGrade: 'estimated',
        attestedAt: 0,
      } as const),
      ...{ agentVersion: '1', labels: {}, rootVersion: 1n, auditHead: null },
      sealingKey: new Uint8Array(),
      channels: [],
    } as const;
    const none = { mqttUp: () => null, freeBytes: () => null };
    const text = metricsText(snapshot, { ...none, mirrors: book });
    expect(text).toContain('holdfast_registry_up{registry="a.example/state"} 0\n');
    expect(text).toContain('holdfast_registry_up{registry="b.example/state"} 1\n');
    expect(text).toContain(
      'holdfast_registry_lags{registry="b.example/state",channel="stable"} 1\n',
    );
    const fresh = mirrors({ clock: manualClock(), random: { unit: () => 0 }, names: ['a'] });
    expect(metricsText(snapshot, { ...none, mirrors: fresh })).not.toContain('holdfast_registry');
  });
  test('what was asked by an operator’s doctor: heads that differ are said, equal ones are not', () => {
    const [one, other] = [at(1n, 1n).digest, at(1n, 2n).digest];
    expect(
      differing([
        { registry: 'a', channel: 'stable', head: one },
        { registry: 'b', channel: 'stable', head: one },
      ]),
    ).toEqual([]);
    const [told] = differing([
      { registry: 'a', channel: 'stable', head: one },
      { registry: 'b', channel: 'stable', head: other },
    ]);
    expect(told?.message).toContain(`b shows ${other}`);
  });
});
