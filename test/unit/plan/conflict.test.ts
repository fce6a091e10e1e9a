/** What another channel owns on this device is not taken: ids, targets, and what lies in or around them. */
import { describe, expect, test } from 'bun:test';
import { checkOwned } from '#plan/conflict.ts';
import type { Generation } from '#state/generation.ts';
import { codeOf } from '../../support/store.ts';

interface Has {
  readonly targets?: readonly string[];
  readonly data?: readonly string[];
  readonly purge?: boolean;
}

function generation(id: string, { targets = [], data = [], purge = false }: Has): Generation {
  const components = targets.map((target) => ({ target }));
  return {
    id,
    deployment: {
      profile: { kind: 'files', components },
      data: data.map((path) => ({ path, onRemove: purge ? 'purge' : 'keep' })),
    },
  } as unknown as Generation;
}

const claim = (channel: string, id: string, has: Has) => ({
  channel,
  generations: [generation(id, has)],
});

describe('plan.conflict', () => {
  for (const [what, ours, theirs] of [
    ['the same target', { targets: ['/opt/a'] }, { targets: ['/opt/a'] }],
    ['a target inside theirs', { targets: ['/opt/a/b/c'] }, { targets: ['/opt/a'] }],
    ['a target around theirs', { targets: ['/opt/a'] }, { targets: ['/opt/a/b'] }],
    ['a data directory in their target', { data: ['/opt/a/d'] }, { targets: ['/opt/a'] }],
    ['a target in their data directory', { targets: ['/opt/a/b'] }, { data: ['/opt/a'] }],
    [
      'a shared data directory that one would purge',
      { data: ['/srv/d'] },
      { data: ['/srv/d'], purge: true },
    ],
  ] as const) {
    test(`${what}, naming both`, () => {
      const checked = checkOwned(claim('stable', 'x', ours), [claim('oem', 'y', theirs)]);
      expect(codeOf(checked)).toBe('plan.conflict');
      const message = checked.ok ? '' : checked.fault.message;
      expect(message).toContain('x (channel stable)');
      expect(message).toContain('y (channel oem)');
    });
  }

  test('one deployment id in two channels', () => {
    const checked = checkOwned(claim('stable', 'line', {}), [claim('oem', 'line', {})]);
    expect(checked.ok ? '' : checked.fault.message).toBe(
      'line (channel oem) and line (channel stable) both want the id line',
    );
  });

  test('the configuration of the agent from two channels, before anything is accepted', () => {
    const settings = (channel: string, id: string) => ({
      channel,
      generations: [
        { id, deployment: { profile: { kind: 'other', type: 'agent' }, data: [] } },
      ] as unknown as readonly Generation[],
    });
    const both = checkOwned(settings('stable', 'tuning'), [settings('oem', 'settings')]);
    expect(both.ok ? '' : both.fault.message).toBe(
      'settings (channel oem) and tuning (channel stable) both want the configuration of the agent',
    );
    expect(checkOwned(settings('stable', 'tuning'), [claim('oem', 'y', {})]).ok).toBe(true);
  });

  test('two names of one place, where a target root is a link', () => {
    const real = (path: string) => path.replace(/^\/srv\/link\//, '/opt/line/');
    const checked = checkOwned(
      claim('stable', 'x', { targets: ['/srv/link/a'] }),
      [claim('oem', 'y', { targets: ['/opt/line/a'] })],
      real,
    );
    expect(codeOf(checked)).toBe('plan.conflict');
  });
});

test('neighbours, names that only begin alike, and a shared data directory are no conflict', () => {
  for (const [ours, theirs] of [
    [{ targets: ['/opt/a'] }, { targets: ['/opt/ab', '/opt/b'] }],
    [{ data: ['/srv/exchange'] }, { data: ['/srv/exchange'] }],
    [{ data: ['/srv/exchange/in'] }, { data: ['/srv/exchange'] }],
  ] as const) {
    expect(checkOwned(claim('stable', 'x', ours), [claim('oem', 'y', theirs)]).ok).toBe(true);
  }
});

test('2,000 deployments against 2,000 take less than a second', () => {
  const many = (channel: string) => ({
    channel,
    generations: Array.from({ length: 2_000 }, (_, n) =>
      generation(`${channel}${n}`, { targets: [`/opt/${channel}/a/b/c/d/e/${n}`] }),
    ),
  });
  const begun = performance.now();
  expect(checkOwned(many('x'), [many('y')]).ok).toBe(true);
  expect(performance.now() - begun).toBeLessThan(1_000);
});
