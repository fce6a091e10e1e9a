/** Check 7: from the root held to the newest one offered, one signed step at a time. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import type { Root } from '#state/root.ts';
import { verifyAuthorship } from '#trust/authorship.ts';
import { type HeldRoot, nextRoot, openHeldRoot, walkRoots } from '#trust/root-chain.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import {
  CURRENT,
  FLEET,
  newKey,
  ROOT_KEY,
  role,
  rootKey,
  STABLE_KEY,
  signedRoot,
  type TestKey,
  trusted,
} from './world.ts';

const other = newKey();

/** A root whose root role is these keys. */
function ruledBy(
  version: bigint,
  keys: readonly TestKey[],
  more: Partial<Root> & { threshold?: number } = {},
): Partial<Root> {
  const { threshold = keys.length, ...rest } = more;
  return {
    version,
    keys: [...new Set([...keys, STABLE_KEY])].map((key) => rootKey(key)),
    roles: [role('root', keys, threshold), role('stable-signers', [STABLE_KEY])],
    channels: [{ name: 'stable', role: 'stable-signers', epoch: 1n }],
    ...rest,
  };
}

const FIRST = ruledBy(1n, [ROOT_KEY]);

function held(more: Partial<Root> = FIRST, keys: readonly TestKey[] = [ROOT_KEY]): HeldRoot {
  const opened = openHeldRoot(writeEnvelope(signedRoot(more, [...keys])));
  if (!opened.ok) throw new Error(opened.fault.message);
  return opened.value;
}

/** `2 3 trust.root-gap`: what the walk yields, in words. */
function walked(from: HeldRoot, offered: readonly (Envelope | Uint8Array)[]): string {
  const words: string[] = [];
  for (const step of walkRoots(from, offered)) {
    if (step.kind === 'next') words.push(`${step.held.root.version}`);
    else words.push(`${step.stop.attack ? 'attack ' : ''}${step.stop.fault.code}`);
  }
  return words.join(' ') || 'nothing';
}

/** Versions 1 to `length`, each ruled by a key of its own; index i is version i + 1. */
function rotations(length: number, more: (version: bigint) => Partial<Root> = () => ({})) {
  const keys = Array.from({ length }, () => newKey());
  const [first] = keys;
  if (!first) throw new Error('no keys');
  return keys.map((key, index) => {
    const version = BigInt(index + 1);
    const before = keys[index - 1] ?? key;
    return signedRoot(ruledBy(version, [key], more(version)), [before, key]);
  });
}

function opened(envelope: Envelope | undefined): HeldRoot {
  const root = envelope && openHeldRoot(writeEnvelope(envelope));
  if (!root?.ok) throw new Error('no root');
  return root.value;
}

describe('check 7: a root follows the one held', () => {
  const second = (more: Partial<Root> = {}, keys: TestKey[] = [ROOT_KEY]) =>
    signedRoot(ruledBy(2n, [ROOT_KEY], more), keys);
  const rotated = (keys: TestKey[]) => signedRoot(ruledBy(2n, [other]), keys);
  const rows: readonly (readonly [string, Envelope | Uint8Array, string])[] = [
    ['signed by the old keys, which stay', second(), 'followed'],
    ['new keys, signed by both', rotated([ROOT_KEY, other]), 'followed'],
    ['R08: new keys, signed by the old only', rotated([ROOT_KEY]), 'trust.root-threshold'],
    ['R08: new keys, signed by the new only', rotated([other]), 'trust.root-threshold'],
    ['S01: unsigned', second({}, []), 'trust.root-threshold'],
    ['R07: N + 2, signed by N', second({ version: 3n }), 'trust.root-gap'],
    ['N again', second({ version: 1n }), 'trust.root-gap'],
    ['the highest version', second({ version: 2n ** 64n - 1n }), 'trust.root-gap'],
    ['R18: another fleet', second({ fleet: FLEET.replace('0', 'f') }), 'trust.root-fleet'],
    ['S25: unknown critical', second({ critical: ['delegations'] }), 'trust.critical'],
    [
      'a role without a threshold (S02)',
      second({ roles: [role('root', [ROOT_KEY], 0)] }),
      'trust.root-invalid',
    ],
    [
      'no role root',
      second({ roles: [role('stable-signers', [STABLE_KEY])] }),
      'trust.root-invalid',
    ],
    [
      'an epoch that goes on',
      second({ channels: [{ name: 'stable', role: 'stable-signers', epoch: 9n }] }),
      'followed',
    ],
    ['bytes that are no envelope', Uint8Array.of(1), 'format.json'],
    ['a statement', CURRENT, 'trust.payload-type'],
    ['more than 64 KiB', new Uint8Array(64 * 1024 + 1), 'trust.too-large'],
  ];
  for (const [what, offered, code] of rows) {
    test(`${what}: ${code}`, () => {
      const next = nextRoot(held().root, offered);
      expect(next.ok ? 'followed' : next.fault.code).toBe(code);
    });
  }

  const two = ruledBy(1n, [ROOT_KEY, other], { threshold: 2 });
  const both = held(two, [ROOT_KEY, other]);
  test('thresholds count distinct keys: the same key twice is one (S03)', () => {
    const next = signedRoot(ruledBy(2n, [ROOT_KEY, other]), [ROOT_KEY, ROOT_KEY]);
    const judged = nextRoot(both.root, next);
    expect(judged.ok ? '' : judged.fault.message).toContain('1 of 2');
  });

  for (const [what, before, after, code] of [
    ['of a name', ['stable', 3n], ['stable', 2n], 'trust.root-invalid'],
    ['by a name of its own', ['device.*', 3n], ['device.press-7', 2n], 'trust.root-invalid'],
    ['by losing its own name', ['device.press-7', 3n], ['device.*', 2n], 'trust.root-invalid'],
    ['of nothing that was there', ['stable', 3n], ['canary', 1n], 'followed'],
  ] as const) {
    test(`an epoch that goes back ${what}: ${code}`, () => {
      const channels = ([name, epoch]: readonly [string, bigint]) => ({
        channels: [{ name, role: 'stable-signers', epoch }],
      });
      const from = held(ruledBy(1n, [ROOT_KEY], channels(before)));
      const next = nextRoot(from.root, signedRoot(ruledBy(2n, [ROOT_KEY], channels(after))));
      expect(next.ok ? 'followed' : next.fault.code).toBe(code);
    });
  }
});

describe('check 7: the walk', () => {
  const chain = rotations(6);
  const first = opened(chain[0]);

  test('R19: five roots behind, every key replaced', () => {
    expect(walked(first, chain.slice(1))).toBe('2 3 4 5 6');
  });

  test('is lazy: nothing is judged before the step before it was taken', () => {
    const walk = walkRoots(first, chain.slice(1));
    const step = walk.next().value;
    expect(step?.kind === 'next' && step.held.root.version).toBe(2n);
  });

  test('R07: stops before a version that is left out', () => {
    const [, second, , fourth] = chain;
    if (!second || !fourth) throw new Error('no roots');
    expect(walked(first, [second, fourth])).toBe('2 trust.root-threshold');
  });

  test('passes over what is older than the root held, whose keys are gone, without an alarm', () => {
    expect(walked(opened(chain[3]), chain.slice(1))).toBe('5 6');
    expect(walked(opened(chain[5]), chain.slice(1))).toBe('nothing');
    expect(walked({ root: opened(chain[3]).root, digest: null }, chain.slice(1))).toBe('5 6');
  });

  test('a root that stands between and cannot be used does not hide the next', () => {
    const [, second, third] = chain;
    if (!second || !third) throw new Error('no roots');
    expect(walked(first, [second, Uint8Array.of(1), third])).toBe('2 3');
  });

  test('the root held under another payload, by the same keys: an attack, and the walk goes on', () => {
    const twin = signedRoot(ruledBy(1n, [ROOT_KEY], { issuedAt: 5 }));
    const second = signedRoot(ruledBy(2n, [ROOT_KEY]));
    expect(walked(held(), [twin, second])).toBe('attack trust.root-equivocation 2');
    expect(walked(held(), [signedRoot(FIRST), second])).toBe('2');
  });

  test('R10: at most 64 steps a walk, however many are offered', () => {
    const version = (index: number) => signedRoot(ruledBy(BigInt(index + 2), [ROOT_KEY]));
    const many = Array.from({ length: 1_000 }, (_, index) => version(index));
    const steps = [...walkRoots(held(), many)];
    expect(steps.length).toBe(64);
    const last = steps.at(-1);
    expect(last?.kind === 'next' && last.held.root.version).toBe(65n);
  });

  test('R10: 1,000 roots that nobody here signed end soon', () => {
    const forged = signedRoot(ruledBy(2n, [other]), [other]);
    const hinted = {
      ...forged,
      signatures: Array.from({ length: 16 }, () => ({
        keyid: ROOT_KEY.keyid,
        sig: forged.signatures[0]?.sig ?? new Uint8Array(),
      })),
    };
    const started = performance.now();
    expect(
      walked(
        held(),
        Array.from({ length: 1_000 }, () => hinted),
      ),
    ).toBe('trust.root-threshold');
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('walks to nothing that a chain of honest steps does not lead to', () => {
    const changes = fc.array(fc.constantFrom('drop', 'swap', 'flip', 'repeat', 'keep'), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(changes, (names) => {
        const offered = names.reduce<readonly Envelope[]>(
          (list, name, index) => spoil(list, name, index),
          chain.slice(1),
        );
        let at = 1n;
        for (const step of walkRoots(first, offered)) {
          if (step.kind === 'refused') continue;
          const { version } = step.held.root;
          const honest = chain[Number(version) - 1];
          if (version !== at + 1n || !honest) return false;
          if (step.held.digest !== sha256(honest.payload)) return false;
          at = version;
        }
        return true;
      }),
      { numRuns: 40 },
    );
  });
});

function spoil(list: readonly Envelope[], how: string, index: number): readonly Envelope[] {
  const copy = [...list];
  const [one, next] = [copy[index], copy[index + 1]];
  if (!one) return copy;
  if (how === 'drop') copy.splice(index, 1);
  if (how === 'repeat') copy.splice(index, 0, one);
  if (how === 'swap' && next) copy.splice(index, 2, next, one);
  if (how === 'flip') {
    const payload = Uint8Array.from(one.payload);
    payload[payload.length - 1] = (payload.at(-1) ?? 0) ^ 1;
    copy[index] = { ...one, payload };
  }
  return copy;
}

test('the trace tells each step, and what was not followed', () => {
  const next = signedRoot(ruledBy(2n, [ROOT_KEY, other]), [ROOT_KEY, other]);
  const forged = signedRoot(ruledBy(3n, [other]), [other]);
  const verdict = verifyAuthorship(
    { envelope: CURRENT, roots: [next, forged] },
    trusted({ root: held().root }),
  );
  const rows = verdict.checks.filter(({ number }) => number === 7);
  expect(rows.map(({ passed, compared }) => [passed, compared.slice(0, 42)])).toEqual([
    [true, 'root 1 held'],
    [true, 'root 2: signed by the keys of root 1, by 2'],
    [false, 'trust.root-threshold: an offered root has '],
    [true, 'root 2: no end date'],
  ]);
});
