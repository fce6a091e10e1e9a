/** `forget` touches nothing that is followed, and does not come between a change and its end. */
import { expect, test } from 'bun:test';
import type { Assembled } from '#agent/assemble.ts';
import { forget } from '#agent/forget.ts';
import { emptyRow } from '#apply/journal.ts';
import { ok } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { Fleet } from '#state/names.ts';
import { codeOf } from '../../support/store.ts';

const fleet = 'f'.repeat(32) as Fleet;
const applied = { epoch: 1n, sequence: 2n, stateDigest: 'sha256:aa' as Digest, at: 1 };
const row = (channel: string): ChannelRow => ({ ...emptyRow(fleet, channel), applied });

function device(busy: boolean): { readonly assembled: Assembled; readonly ran: () => number } {
  let ran = 0;
  const store = {
    channels: () => ok([row('stable'), row('canary')]),
    state: () => ok(null),
    transaction: () => ok(undefined),
  };
  const assembled = {
    base: { store, content: {}, audit: { landed: () => undefined } },
    busy: () => busy,
    turns: {
      async take() {
        ran += 1;
        return () => undefined;
      },
    },
    context: {
      clock: { wallMs: () => 1 },
      followed: { fleet, channels: new Set(['stable']) },
    },
    delivery: null,
  };
  return { assembled: assembled as unknown as Assembled, ran: () => ran };
}

test('a channel that is followed, or unknown, is refused: agent.not-orphaned', async () => {
  const { assembled, ran } = device(false);
  expect(codeOf(await forget(assembled, 'stable'))).toBe('agent.not-orphaned');
  const unknown = await forget(assembled, 'beta');
  expect(unknown.ok ? '' : unknown.fault.message).toContain('there is: canary');
  expect(ran()).toBe(0);
});

test('while a change is under way it is refused: agent.busy; afterwards it goes', async () => {
  const during = device(true);
  expect(codeOf(await forget(during.assembled, 'canary'))).toBe('agent.busy');
  expect(during.ran()).toBe(0);
  const after = device(false);
  expect(await forget(after.assembled, 'canary')).toEqual(ok({ channel: 'canary', removed: [] }));
  expect(after.ran()).toBe(1);
});
