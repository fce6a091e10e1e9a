/** Plans: steps, order, what the owner allows, parameters. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { checkAllowed } from '#plan/allow.ts';
import { inOrder } from '#plan/order.ts';
import { NO_VALUES, resolveValues } from '#plan/resolve.ts';
import { stepsBetween, stepText } from '#plan/steps.ts';
import type { ParameterValue } from '#state/deployment.ts';
import { sha256 } from '#state/digest.ts';
import { type Generation, generationDigest } from '#state/generation.ts';
import type { KnownValues } from '#state/values.ts';
import { type GenerationInput, generation } from '../../support/generations.ts';

const texts = (current: readonly Generation[], desired: readonly Generation[]) =>
  stepsBetween(current, desired).map(stepText);

describe('steps between two states', () => {
  test('unchanged deployments get no step', () => {
    const [a, b] = [generation({ id: 'a' }), generation({ id: 'b' })];
    expect(texts([a, b], [a, b])).toEqual([]);
  });
  test('removals come first, dependants before what they need, then installs and updates in order', () => {
    const base = generation({ id: 'base' });
    const app = generation({ id: 'app', dependsOn: ['base'] });
    const db = generation({ id: 'db' });
    const newDb = generation({ id: 'db', version: '2' });
    const web = generation({ id: 'web', dependsOn: ['db'] });
    expect(texts([base, app, db], [newDb, web])).toEqual([
      'remove app',
      'remove base',
      'update db',
      'install web',
    ]);
  });
  test('applying the steps to any state gives the desired one', () => {
    const ids = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 5 });
    const states = ids.chain((names) =>
      fc.tuple(
        ...names.map((id) =>
          fc.constantFrom('1', '2').map((version) => generation({ id, version })),
        ),
      ),
    );
    fc.assert(
      fc.property(states, states, (current, desired) => {
        const after = new Map(current.map((one) => [one.id, one.digest]));
        for (const step of stepsBetween(current, desired)) {
          if (step.kind === 'remove') after.delete(step.previous.id);
          else after.set(step.next.id, step.next.digest);
        }
        expect(after).toEqual(new Map(desired.map((one) => [one.id, one.digest])));
      }),
    );
  });
});

describe('order by dependsOn', () => {
  const order = (...inputs: GenerationInput[]) => {
    const ordered = inOrder(inputs.map(generation));
    return ordered.ok ? ordered.value.map(({ id }) => id) : ordered.fault.code;
  };
  test('what is needed comes first, ties keep their order', () => {
    expect(
      order({ id: 'z', dependsOn: ['m'] }, { id: 'a' }, { id: 'm', dependsOn: ['b'] }, { id: 'b' }),
    ).toEqual(['b', 'm', 'z', 'a']);
  });
  test('a circle is refused and named', () => {
    expect(order({ id: 'a', dependsOn: ['b'] }, { id: 'b', dependsOn: ['a'] })).toBe(
      'plan.dependency-cycle',
    );
    const circle = inOrder([generation({ id: 'a', dependsOn: ['a'] })]);
    expect(!circle.ok && circle.fault.message).toContain('a → a');
  });
  test('a name that is not in the state is refused', () => {
    expect(order({ id: 'a', dependsOn: ['nobody'] })).toBe('plan.unknown-dependency');
  });
  test('2,000 deployments in one chain are ordered without a deep stack', () => {
    const chain = Array.from({ length: 2_000 }, (_, n) => ({
      id: `d${n}`,
      dependsOn: n === 1_999 ? [] : [`d${n + 1}`],
    }));
    const ordered = order(...chain);
    expect(ordered[0]).toBe('d1999');
    expect(ordered.at(-1)).toBe('d0');
  });
});

describe('check 15: what the owner lets a channel do', () => {
  const allow = {
    roots: ['/opt', '/srv'],
    runtimes: ['files', 'process'],
    users: null,
    defaultUser: 'holdfast',
  };
  for (const [inputs, verdict] of [
    [[{ id: 'a', target: '/opt/a' }], 'allowed'],
    [[{ id: 'a', target: '/etc/passwd' }], 'plan.target-outside-roots'],
    [[{ id: 'a', target: '/optimal/a' }], 'plan.target-outside-roots'],
    [[{ id: 'a', target: '/opt' }], 'plan.target-outside-roots'],
    [
      [
        { id: 'a', target: '/opt/x' },
        { id: 'b', target: '/opt/x' },
      ],
      'plan.conflict',
    ],
    [
      [
        { id: 'a', target: '/opt/x' },
        { id: 'b', target: '/opt/x/y/z' },
      ],
      'plan.conflict',
    ],
    [
      [
        { id: 'a', target: '/opt/x' },
        { id: 'b', target: '/opt/xy' },
      ],
      'allowed',
    ],
    [[{ id: 'a', kind: 'other' }], 'plan.runtime-unknown'],
    [[{ id: 'a', kind: 'process', user: 'plc' }], 'allowed'],
    [[{ id: 'a', kind: 'process', user: 'root' }], 'plan.user-not-allowed'],
    [[{ id: 'a', kind: 'process', user: '0' }], 'plan.user-not-allowed'],
  ] as const) {
    test(`${JSON.stringify(inputs)}: ${verdict}`, () => {
      const checked = checkAllowed(inputs.map(generation), allow);
      expect(checked.ok ? 'allowed' : checked.fault.code).toBe(verdict);
    });
  }
  test('a runtime that the channel may not use is refused', () => {
    const checked = checkAllowed([generation({ id: 'a', kind: 'process' })], {
      ...allow,
      runtimes: ['files'],
    });
    expect(!checked.ok && checked.fault.code).toBe('plan.runtime-not-allowed');
  });
  test('a type of a further runtime passes where the owner allows it: its runtime judges the rest', () => {
    const further = { ...allow, runtimes: ['wasm'] };
    expect(checkAllowed([generation({ id: 'a', kind: 'other' })], further).ok).toBe(true);
  });
  test('named users are the only ones, the default among them', () => {
    const only = { ...allow, users: ['plc'] };
    const user = (name: string) =>
      checkAllowed([generation({ id: 'a', kind: 'process', user: name })], only).ok;
    expect([user('plc'), user('holdfast'), user('other')]).toEqual([true, true, false]);
  });
});

describe('parameters from facts of the device', () => {
  const device = { id: 'press-7', labels: { site: 'a' } };
  const statement = sha256(Buffer.from('statement'));
  const sealed = { statement, name: 'pin', tag: 'ab' };
  const known: KnownValues = {
    channel: 'device.press-7',
    absent: null,
    byName: new Map([
      ['serial', { kind: 'plain', text: '0047' }],
      ['pin', { kind: 'sealed', ...sealed }],
    ]),
  };
  const resolved = (value: ParameterValue, kind: 'files' | 'process', values: KnownValues) => {
    const { deployment } = generation({ id: 'a', kind });
    const parameters = [{ name: 'p', value, targets: [] }];
    return resolveValues({ ...deployment, parameters }, device, values);
  };
  const resolve = (value: ParameterValue, values = known) => {
    const found = resolved(value, 'process', values);
    return found.ok ? found.value.values.get('p') : found.fault.code;
  };
  test('literals, the id and labels are text', () => {
    expect(resolve({ kind: 'literal', text: '8080' })).toBe('8080');
    expect(resolve({ kind: 'device-id' })).toBe('press-7');
    expect(resolve({ kind: 'device-label', label: 'site' })).toBe('a');
  });
  test('a label that the device lacks waits for the operator', () => {
    expect(resolve({ kind: 'device-label', label: 'line' })).toBe('plan.value-missing');
  });
  test('a plain value of the device is text', () => {
    expect(resolve({ kind: 'device-value', name: 'serial' })).toBe('0047');
  });
  test('a sealed one is where it stands, and no text', () => {
    const found = resolved({ kind: 'device-value', name: 'pin' }, 'process', known);
    expect(found).toEqual({
      ok: true,
      value: { values: new Map(), secrets: new Map([['p', sealed]]) },
    });
  });
  test('a value that is not there yet is waited for, by name', () => {
    const value = { kind: 'device-value', name: 'other' } as const;
    expect(resolve(value)).toBe('values.unresolved');
    const found = resolved(value, 'process', known);
    expect(found.ok ? '' : found.fault.message).toContain('device.press-7 has no such value');
    expect(found.ok ? '' : found.fault.retry).toBe('operator');
    expect(resolve(value, NO_VALUES)).toBe('values.unresolved');
  });
  test('a sealed value goes into no file on disk: values.exposed', () => {
    const found = resolved({ kind: 'device-value', name: 'pin' }, 'files', known);
    expect(found.ok ? 'resolved' : found.fault.code).toBe('values.exposed');
  });
  test('nor into a command line: values.exposed', () => {
    const { deployment } = generation({ id: 'a', kind: 'process' });
    const { profile } = deployment;
    if (profile.kind !== 'process') throw new Error('no program');
    const components = profile.components.map((one) => ({
      ...one,
      command: ['run', '-p', `\${p}`],
    }));
    const parameters = [
      { name: 'p', value: { kind: 'device-value', name: 'pin' }, targets: [] },
    ] as const;
    const exposed = { ...deployment, profile: { ...profile, components }, parameters };
    const found = resolveValues(exposed, device, known);
    expect(found.ok ? 'resolved' : found.fault.code).toBe('values.exposed');
  });
  test('another text is another generation, the same in another place is not', () => {
    const digest = (secret: typeof sealed) =>
      generationDigest(statement, new Map(), new Map(), new Map([['p', secret]]));
    expect(digest({ ...sealed, tag: 'cd' })).not.toBe(digest(sealed));
    expect(digest({ ...sealed, statement: sha256(Buffer.from('next')) })).toBe(digest(sealed));
    expect(generationDigest(statement, new Map(), new Map())).not.toBe(digest(sealed));
  });
});
