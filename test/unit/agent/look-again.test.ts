/** What was refused because another channel had it is looked at again when that one has changed. */
import { expect, test } from 'bun:test';
import { lookAgain } from '#agent/lines.ts';

test('only the channels that were refused for it are woken, and not the one that changed', () => {
  const told: string[] = [];
  const line = (channel: string, code: string | null) =>
    ({
      channel,
      follower: { refusal: () => (code === null ? null : { code }) },
      finder: { forget: () => void told.push(`${channel} forgets`) },
      gate: { wake: () => void told.push(`${channel} looks`) },
    }) as unknown as Parameters<typeof lookAgain>[0][number];
  const lines = [
    line('oem', 'plan.conflict'),
    line('stable', 'plan.conflict'),
    line('beta', 'trust.rollback'),
    line('test', null),
  ];
  lookAgain(lines, 'oem');
  expect(told).toEqual(['stable forgets', 'stable looks']);
});
