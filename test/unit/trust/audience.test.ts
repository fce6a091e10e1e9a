/** Check 12 on decoded values: what wire/desired-state.ts refuses first must not pass here either. */
import { describe, expect, test } from 'bun:test';
import type { Audience } from '#state/desired-state.ts';
import { judgeAudience } from '#trust/audience.ts';

const device = { id: 'press-7', labels: { site: 'a' } };
const codeOf = (audience: Audience) => {
  const outcome = judgeAudience(audience, device);
  return outcome.kind === 'passed' ? 'passed' : `${outcome.kind} ${outcome.fault.code}`;
};

describe('check 12: an empty audience is for nobody, never for everyone (R12)', () => {
  const rows: readonly [string, Audience, string][] = [
    ['no devices', { kind: 'devices', ids: [] }, 'refused trust.audience-empty'],
    ['no labels', { kind: 'selector', allOf: [] }, 'refused trust.audience-empty'],
    [
      'a label without values',
      { kind: 'selector', allOf: [{ key: 'site', values: [] }] },
      'refused trust.audience-empty',
    ],
    [
      'a label without a key',
      { kind: 'selector', allOf: [{ key: '', values: ['a'] }] },
      'refused trust.audience-empty',
    ],
    [
      'one of two labels matches',
      {
        kind: 'selector',
        allOf: [
          { key: 'site', values: ['a'] },
          { key: 'line', values: ['1'] },
        ],
      },
      'waiting trust.not-addressed',
    ],
    [
      'all labels match',
      { kind: 'selector', allOf: [{ key: 'site', values: ['b', 'a'] }] },
      'passed',
    ],
    ['everyone', { kind: 'everyone' }, 'passed'],
  ];
  for (const [what, audience, code] of rows) {
    test(`${what}: ${code}`, () => expect(codeOf(audience)).toBe(code));
  }
});
