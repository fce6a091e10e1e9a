/** What a look found is judged by what was accepted while it looked (agent/cycle.ts). */
import { expect, test } from 'bun:test';
import { type CycleParts, resumeFrom } from '#agent/cycle.ts';
import type { Found } from '#agent/found.ts';
import { emptyRow } from '#apply/journal.ts';
import { fault } from '#errors/fault.ts';
import { channelRow, FLEET, point } from '../../support/store.ts';

function candidateOf(sequence: number): Found {
  const { epoch, stateDigest: digest } = point(sequence);
  const state = { point: { epoch, sequence: BigInt(sequence), digest } };
  return { kind: 'candidate', candidate: { state, via: 'push' } } as unknown as Found;
}

/** Everything waits for its place in a spread. */
function looking(floor: number | null) {
  const asked: bigint[] = [];
  const noted: string[] = [];
  const waits = fault('plan.spread', { offered: '1.6', until: 'in 19m', spread: '20m' });
  const row = floor === null ? emptyRow(FLEET, 'stable') : { ...channelRow(floor), intent: null };
  const parts = {
    follower: {
      row: () => row,
      barred: () => null,
      noteFault: (why: { readonly code: string }) => void noted.push(why.code),
    },
    deferral: {
      barred({ state }: { readonly state: { readonly point: { readonly sequence: bigint } } }) {
        asked.push(state.point.sequence);
        return waits;
      },
    },
    finder: { refuse: () => {} },
    changed: () => {},
  } as unknown as CycleParts;
  return { parts, asked, noted };
}

/** Seed 720152: 1.1 was told to wait for its place in the spread, with 1.2 applied, until it was due. */
test('a state that a newer one overtook while it was looked for waits for nothing and is not told', async () => {
  const { parts, asked, noted } = looking(7);
  expect(await resumeFrom(parts, candidateOf(6))).toMatchObject({ kind: 'superseded' });
  expect({ asked, noted }).toEqual({ asked: [], noted: [] });
});

test('a state above what was accepted waits for its place, and one where nothing was', async () => {
  for (const floor of [7, null]) {
    const { parts, asked, noted } = looking(floor);
    expect(await resumeFrom(parts, candidateOf(8))).toMatchObject({ kind: 'waiting' });
    expect({ asked, noted }).toEqual({ asked: [8n], noted: ['plan.spread'] });
  }
});
