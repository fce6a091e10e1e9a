/** WWW-Authenticate: read by its grammar or not at all. */
import { describe, expect, test } from 'bun:test';
import { readChallenges } from '#link/challenge.ts';

function read(header: string): unknown {
  const result = readChallenges(header, 'registry.example');
  if (!result.ok) return result.fault.code;
  return result.value.map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

describe('WWW-Authenticate', () => {
  for (const [header, expected] of [
    ['Basic realm="Registry Realm"', [['basic', { realm: 'Registry Realm' }]]],
    ['BASIC', [['basic', {}]]],
    [
      'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.example/token',
            service: 'registry',
            scope: 'repository:a/b:pull,push',
          },
        ],
      ],
    ],
    [
      'Basic realm="a", Bearer realm="b" , service=c',
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b', service: 'c' }],
      ],
    ],
    ['Basic realm="a \\"quoted\\" \\\\ one"', [['basic', { realm: 'a "quoted" \\ one' }]]],
    [
      'Negotiate dG9rZW4=, Basic realm="x"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'x' }],
      ],
    ],
    ['Bearer REALM = "r"', [['bearer', { realm: 'r' }]]],
    ['', []],
  ] as const) {
    test(`is read: ${header || '(empty)'}`, () => expect(read(header)).toEqual(expected));
  }

  for (const [what, header] of [
    ['a quote that never ends', 'Bearer realm="https://auth.example'],
    ['one parameter twice', 'Bearer realm="a", realm="b"'],
    ['a control character in a value', 'Bearer realm="a\nb"'],
    ['a value in another alphabet', 'Bearer realm="ä"'],
    ['something that is no scheme', '@@@ realm="x"'],
    ['9 KiB', `Bearer realm="${'a'.repeat(9 * 1024)}"`],
    ['17 parameters', `Bearer ${Array.from({ length: 17 }, (_, i) => `p${i}=v`).join(',')}`],
    ['9 schemes', Array.from({ length: 9 }, (_, i) => `S${i} a=b`).join(', ')],
  ] as const) {
    test(`is refused: ${what}`, () => expect(read(header)).toBe('link.bad-response'));
  }

  test('hostile repetition is read in linear time', () => {
    const started = performance.now();
    read(`Bearer ${'a="'.repeat(2700)}`);
    read(`Bearer ${' ,'.repeat(4000)}`);
    read(`Bearer a="${'\\"'.repeat(4000)}`);
    expect(performance.now() - started).toBeLessThan(500);
  });
});
