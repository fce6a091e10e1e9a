/** Which channel an operator means, and what is told of several. */
import { describe, expect, test } from 'bun:test';
import type { Assembled } from '#agent/assemble.ts';
import type { CycleEnd } from '#agent/cycle.ts';
import { lineNamed, mostTelling, onlyLine } from '#agent/operating.ts';
import { fault } from '#errors/fault.ts';
import { codeOf } from '../../support/store.ts';

const device = (...channels: readonly string[]) =>
  ({ lines: channels.map((channel) => ({ channel })) }) as unknown as Assembled;

describe('the channel that an operator means', () => {
  test('is the only one, or has to be said: agent.which-channel', () => {
    const one = onlyLine(device('stable'), null, 'a rollback');
    expect(one.ok && one.value.channel).toBe('stable');
    const several = onlyLine(device('oem', 'stable'), null, 'a rollback');
    expect(codeOf(several)).toBe('agent.which-channel');
    expect(several.ok ? '' : several.fault.message).toContain('oem, stable');
  });
  test('is one that is followed: agent.not-followed', () => {
    expect(codeOf(lineNamed(device('oem'), 'stable'))).toBe('agent.not-followed');
    const named = onlyLine(device('oem', 'stable'), 'stable', 'a rollback');
    expect(named.ok && named.value.channel).toBe('stable');
  });
});

describe('of several channels', () => {
  const why = fault('plan.conflict', { target: '/opt/a', one: 'a', other: 'b' });
  const refused: CycleEnd = { kind: 'refused', fault: why, offered: '1.1' };
  const same: CycleEnd = { kind: 'unchanged', source: 'r' };
  const away: CycleEnd = { kind: 'unreachable', fault: fault('agent.no-source', {}) };
  const ends = (...list: readonly CycleEnd[]) =>
    list.map((end, at) => ({ channel: `c${at}`, end }));
  const own = { channel: 'device.x', end: { kind: 'nothing', source: '' } } as const;

  test('the one that was refused gives the exit code', () => {
    expect(mostTelling([...ends(same, refused), own])).toBe(refused);
  });
  test('that the own channel cannot be reached is no end of the others', () => {
    expect(mostTelling([...ends(same), { channel: 'device.x', end: away }])).toBe(same);
    expect(mostTelling([...ends(away), own])).toBe(away);
  });
});
