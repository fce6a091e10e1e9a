/** What the removal guard compares with, while a statement comes into force deployment by deployment. */
import { expect, test } from 'bun:test';
import type { Base } from '#agent/base.ts';
import type { AgentConfig } from '#agent/config.ts';
import { currentTrust } from '#agent/current-trust.ts';
import type { Follower } from '#agent/follow.ts';
import { emptyRow } from '#apply/journal.ts';
import { judgeRemoval } from '#trust/guards.ts';
import { FLEET, point } from '../../support/store.ts';

const [ONE, TWO] = [point(1), point(2)];

/** Of 1.2, which takes everything away from devices below it, after its first part. */
function judged(whole: typeof ONE | null, allowRemoval: bigint) {
  const row = { ...emptyRow(FLEET, 'stable'), floor: TWO, applied: TWO, partly: { whole } };
  const base = {
    store: {
      rejected: () => ({ ok: true, value: [] }),
      state: () => ({ ok: true, value: { generations: [{ id: 'plc' }] } }),
    },
    time: { view: () => null },
  } as unknown as Base;
  const config = { trust: {} } as AgentConfig;
  const program = { version: '0.1.0' } as Parameters<typeof currentTrust>[0]['program'];
  const following = { row: () => row } as unknown as Follower;
  const trusted = currentTrust({ base, config, program }, following, null);
  const state = {
    point: { epoch: 1n, sequence: 2n, digest: TWO.stateDigest },
    deployments: [],
    policy: { allowRemoval } as never,
  };
  return judgeRemoval(state, trusted.appliedIds, trusted.appliedPoint).kind;
}

test('a removal that was allowed stays so when its parts go on after a cut', () => {
  expect(judged(ONE, 2n)).toBe('passed');
  expect(judged(null, 2n)).toBe('passed');
});

test('one that was not allowed, or only for devices further behind, does not pass by parts', () => {
  expect(judged(ONE, 0n)).not.toBe('passed');
  expect(judged(ONE, 1n)).not.toBe('passed');
});
