/** The parts of a change: order, what is one, what waits for what; and that no failure of any breaks what it needs. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { inOrder } from '#plan/order.ts';
import { type Part, partsBetween } from '#plan/parts.ts';
import type { Generation } from '#state/generation.ts';
import { type GenerationInput, generation } from '../../support/generations.ts';
import { value } from '../../support/store.ts';

type Short = readonly [id: string, version: string, dependsOn?: string, target?: string];

function state(rows: readonly Short[]): readonly Generation[] {
  const inputs = rows.map(
    ([id, version, needs = '', target]): GenerationInput => ({
      id,
      version: `${version} ${needs} ${target}`,
      dependsOn: needs === '' ? [] : needs.split(' '),
      ...(target && { target }),
    }),
  );
  return value(inOrder(inputs.map(generation)));
}

const text = (parts: readonly Part[]) =>
  parts.map(({ ids, needs }) => [ids.join('+'), ...needs].join(' '));

describe('the parts of a change', () => {
  for (const [what, current, desired, parts] of [
    ['nothing that is equal', [['a', '1']], [['a', '1']], []],
    [
      'each deployment by itself',
      [
        ['a', '1'],
        ['b', '1'],
      ],
      [
        ['a', '2'],
        ['b', '2'],
      ],
      ['a', 'b'],
    ],
    [
      'what is needed first',
      [],
      [
        ['b', '1', 'a'],
        ['a', '1'],
      ],
      ['a', 'b 0'],
    ],
    [
      'what is needed through one that stays',
      [
        ['u', '1', 'v'],
        ['v', '1', 'p'],
        ['p', '1'],
      ],
      [
        ['p', '2', 'u'],
        ['u', '1', 'v'],
        ['v', '2'],
      ],
      ['v', 'p 0'],
    ],
    [
      'removals first',
      [
        ['gone', '1'],
        ['a', '1'],
      ],
      [['a', '2']],
      ['gone', 'a'],
    ],
    [
      'a removal after what no longer needs it',
      [
        ['gone', '1'],
        ['a', '1', 'gone'],
      ],
      [['a', '2']],
      ['a', 'gone 0'],
    ],
    [
      'dependants before what they need, where both go',
      [
        ['x', '1'],
        ['y', '1', 'x'],
      ],
      [],
      ['y', 'x 0'],
    ],
    [
      'a target that moves to another one: together',
      [['old', '1', '', '/opt/t']],
      [['new', '1', '', '/opt/t']],
      ['old+new'],
    ],
    [
      'a target inside another one’s: together',
      [['old', '1', '', '/opt/t']],
      [['new', '1', '', '/opt/t/in']],
      ['old+new'],
    ],
    [
      'two that swap their targets: together',
      [
        ['a', '1', '', '/opt/x'],
        ['b', '1', '', '/opt/y'],
      ],
      [
        ['a', '1', '', '/opt/y'],
        ['b', '1', '', '/opt/x'],
      ],
      ['a+b'],
    ],
    [
      'what needs each other on the way: together',
      [
        ['x', '1'],
        ['b', '1', 'x', '/opt/b'],
      ],
      [
        ['y', '1', '', '/opt/x'],
        ['b', '2', 'y', '/opt/b'],
      ],
      ['x+y+b'],
    ],
  ] as readonly (readonly [string, Short[], Short[], string[]])[]) {
    test(what, () => {
      const found = partsBetween(state(current), state(desired));
      expect(text(found).map((each) => each.split('+').sort().join('+'))).toEqual(
        parts.map((each) => each.split('+').sort().join('+')),
      );
    });
  }

  test('2,000 in a chain are no trouble', () => {
    const rows = Array.from({ length: 2_000 }, (_, n): Short => {
      return [`d${n}`, '1', n === 0 ? '' : `d${n - 1}`];
    });
    const parts = partsBetween([], state(rows));
    expect(parts.length).toBe(2_000);
    expect(parts.at(-1)?.needs).toEqual([1_998]);
  });
});

const IDS = ['a', 'b', 'c', 'd', 'e', 'f'] as const;
/** each may be there, in a version, with needs among those before it in an order of its own */
const someState = fc
  .tuple(
    fc.shuffledSubarray([...IDS]),
    fc.array(fc.tuple(fc.integer({ min: 1, max: 2 }), fc.nat(63), fc.nat(7)), {
      minLength: IDS.length,
      maxLength: IDS.length,
    }),
  )
  .map(([ids, choices]) => {
    const free = new Set(['/opt/p', '/opt/q']);
    return state(
      ids.map((id, at): Short => {
        const [version, mask, place] = choices[at] ?? [1, 0, 0];
        const needs = ids.slice(0, at).filter((_, bit) => (mask & (1 << bit)) !== 0);
        const wish = place === 0 ? '/opt/p' : place === 1 ? '/opt/q' : `/opt/${id}`;
        const target = wish === `/opt/${id}` || free.delete(wish) ? wish : `/opt/${id}`;
        return [id, `${version}`, needs.join(' '), target];
      }),
    );
  });

test('whichever parts fail, what is in force has all it needs, in no circle, and no place twice', () => {
  fc.assert(
    fc.property(someState, someState, fc.nat(63), (current, desired, failing) => {
      const parts = partsBetween(current, desired);
      const wanted = new Map(desired.map((one) => [one.id, one]));
      let inForce = new Map(current.map((one) => [one.id, one]));
      const failed = new Set<number>();
      for (const [place, { ids, needs }] of parts.entries()) {
        expect(needs.every((need) => need < place)).toBe(true);
        if ((failing & (1 << place)) !== 0 || needs.some((need) => failed.has(need))) {
          failed.add(place);
          continue;
        }
        inForce = new Map(inForce);
        for (const id of ids) {
          const next = wanted.get(id);
          if (next) inForce.set(id, next);
          else inForce.delete(id);
        }
        expect(inOrder([...inForce.values()]).ok).toBe(true);
        const targets = [...inForce.values()].flatMap(({ deployment: { profile } }) =>
          profile.kind === 'files' ? profile.components.map(({ target }) => target) : [],
        );
        expect(new Set(targets).size).toBe(targets.length);
      }
      if (failed.size > 0) return;
      const ended = [...inForce.values()].map(({ id, digest }) => `${id} ${digest}`).sort();
      expect(ended).toEqual(desired.map(({ id, digest }) => `${id} ${digest}`).sort());
    }),
    { numRuns: 2_000 },
  );
});
