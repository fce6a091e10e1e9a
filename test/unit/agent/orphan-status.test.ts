/** Rows of what channels left here that are no longer followed. */
import { describe, expect, test } from 'bun:test';
import { orphanStatuses, orphanView } from '#agent/orphan-status.ts';
import type { DeploymentFacts } from '#agent/snapshot.ts';
import type { Orphaned } from '#apply/orphans.ts';
import type { Generation } from '#state/generation.ts';
import { isId } from '#state/names.ts';
import { channelRow, FLEET, generation } from '../../support/store.ts';

const OTHER = 'ffeeddccbbaa99887766554433221100';
const facts: DeploymentFacts = {
  runtimeOf: () => null,
  healthOf: () => ({ health: 'healthy', code: '', message: '', restarts: 0 }),
  drift: new Map(),
};

function rows(fleet: string, channel: string, ids: readonly string[]) {
  const row = { ...channelRow(9), fleet, channel };
  // The status shows id and digest alone.
  const generations = ids.map((id) => generation(id) as unknown as Generation);
  const orphan: Orphaned = { row, generations };
  return orphanStatuses([orphan], { fleet: FLEET }, facts);
}

describe('what another channel left', () => {
  test('has a row with its deployments, and says what to do', () => {
    const [row] = rows(FLEET, 'canary', ['a', 'b']);
    expect(row).toMatchObject({ channel: 'canary', phase: 'idle', waitingFor: 'agent.orphaned' });
    expect(row?.deployments.map(({ id, health }) => `${id} ${health}`)).toEqual([
      'a healthy',
      'b healthy',
    ]);
    if (!row) throw new Error('there is no row');
    const view = orphanView(row);
    expect(view.waitingFor?.remedy).toContain('takes them over');
    expect(view.applied?.point).toBe('1.8');
  });

  test('has none when all of it was taken over', () => {
    expect(rows(FLEET, 'canary', [])).toEqual([]);
  });

  for (const channel of ['stable', 'a'.repeat(63), `${'a'.repeat(50)}.${'b'.repeat(12)}`]) {
    test(`in another fleet, ${channel.length} characters long, has a name of its own`, () => {
      const [row] = rows(OTHER, channel, ['a']);
      expect(row?.channel).toEndWith('.of-ffeeddcc');
      expect(isId(row?.channel ?? '')).toBe(true);
      expect(row?.channel).not.toBe(rows(FLEET, channel, ['a'])[0]?.channel);
    });
  }
});
