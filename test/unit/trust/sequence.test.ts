/** Check 13 as a table: order, equivocation, resumption, epochs, and when it is an attack. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Point } from '#state/point.ts';
import { judgeSequence, type SequenceFacts } from '#trust/sequence.ts';
import { verifyStatement } from '#trust/verify.ts';
import { accepted, FLOOR, offer, root, signedState, trusted, verdictText } from './world.ts';

const AA = sha256(Uint8Array.of(0xaa));
const BB = sha256(Uint8Array.of(0xbb));
const at = (epoch: bigint, sequence: bigint, digest: Digest = AA): Point => ({
  epoch,
  sequence,
  digest,
});

function judge(offered: Point, more: Partial<SequenceFacts> = {}): string {
  const outcome = judgeSequence(offered, {
    floor: accepted(1n, 57n, AA),
    appliedDigest: AA,
    rejected: new Map(),
    rootEpoch: 1n,
    sourceHighest: null,
    via: 'registry',
    retained: false,
    ...more,
  });
  if (outcome.kind === 'passed') return outcome.value;
  return `${outcome.kind} ${outcome.fault.code}${outcome.attack ? ' attack' : ''}`;
}

const failed = new Map([[AA, { code: 'apply.health-failed', message: 'web: refused' } as const]]);
const first = { floor: null, appliedDigest: null } as const;
const MAX = 2n ** 64n - 1n;
const poisoned = { floor: accepted(1n, MAX, AA), appliedDigest: AA } as const;

describe('check 13: a statement is newer than all this device accepted', () => {
  const rows: readonly [string, Point, string, Partial<SequenceFacts>?][] = [
    ['the first of a channel', at(1n, 3n), 'accept', first],
    ['higher', at(1n, 58n, BB), 'accept'],
    ['equal, applied', at(1n, 57n), 'current'],
    ['equal, not applied', at(1n, 57n), 'resume', { appliedDigest: BB }],
    ['equal, nothing applied ever', at(1n, 57n), 'resume', { appliedDigest: null }],
    [
      'R20: equal, rejected',
      at(1n, 57n),
      'refused apply.health-failed',
      { appliedDigest: BB, rejected: failed },
    ],
    ['R02, R16: equal, other digest', at(1n, 57n, BB), 'refused trust.equivocation attack'],
    [
      'R02: the same by a stick',
      at(1n, 57n, BB),
      'refused trust.equivocation attack',
      { via: 'bundle' },
    ],
    ['R16: a higher one cures it', at(1n, 58n, AA), 'accept'],
    ['R01: lower, nothing seen there before', at(1n, 56n), 'refused source.stale'],
    [
      'R01: lower, the source had shown the same',
      at(1n, 56n),
      'refused source.stale',
      { sourceHighest: at(1n, 56n) },
    ],
    [
      'R01: lower, the source had shown a higher one',
      at(1n, 56n),
      'refused trust.rollback attack',
      { sourceHighest: at(1n, 57n) },
    ],
    [
      'R01: the same by MQTT, live',
      at(1n, 56n),
      'refused trust.rollback attack',
      { sourceHighest: at(1n, 57n), via: 'mqtt' },
    ],
    [
      'R01: the same, retained',
      at(1n, 56n),
      'refused source.stale',
      { sourceHighest: at(1n, 57n), via: 'mqtt', retained: true },
    ],
    [
      'R01: the same by a stick',
      at(1n, 56n),
      'refused source.stale',
      { sourceHighest: at(1n, 57n), via: 'bundle' },
    ],
    [
      'an old digest that is applied, below the floor',
      at(1n, 56n, BB),
      'refused source.stale',
      { appliedDigest: BB },
    ],
    ['the next epoch beats any sequence', at(2n, 1n), 'accept', { rootEpoch: 2n }],
    ['an epoch the root does not have yet', at(2n, 1n), 'waiting trust.root-missing'],
    ['higher in an epoch that ended', at(1n, 58n), 'refused trust.epoch', { rootEpoch: 2n }],
    [
      'the first of a channel, in an epoch that ended',
      at(1n, 1n),
      'refused trust.epoch',
      { ...first, rootEpoch: 2n },
    ],
    [
      'resumption in an epoch that ended',
      at(1n, 57n),
      'refused trust.epoch',
      { appliedDigest: BB, rootEpoch: 2n },
    ],
    ['applied, in an epoch that ended', at(1n, 57n), 'current', { rootEpoch: 2n }],
    ['R03: after a fast-forward, a normal one', at(1n, 58n, BB), 'refused source.stale', poisoned],
    ['R03: the next epoch recovers', at(2n, 1n, BB), 'accept', { ...poisoned, rootEpoch: 2n }],
    [
      'R03: then the old epoch again',
      at(1n, MAX),
      'refused source.stale',
      { floor: accepted(2n, 1n, BB), appliedDigest: BB, rootEpoch: 2n },
    ],
  ];
  for (const [what, offered, verdict, facts] of rows) {
    test(`${what}: ${verdict}`, () => expect(judge(offered, facts)).toBe(verdict));
  }
});

test('R20: a rejected statement is refused with the words that were recorded', () => {
  const verdict = verifyStatement(
    offer(signedState({ sequence: 57n })),
    trusted({
      appliedDigest: null,
      rejected: new Map([
        [FLOOR.stateDigest, { code: 'apply.health-failed', message: 'web: 503' }],
      ]),
    }),
  );
  expect(verdictText(verdict)).toBe('refused apply.health-failed');
  expect('fault' in verdict && verdict.fault).toMatchObject({
    message: 'web: 503',
    retry: 'never',
  });
});

test('R03 through the front door: only a root with the next epoch ends a fast-forward', () => {
  const highest = signedState({ sequence: MAX });
  const floor = accepted(1n, MAX, AA);
  const nextEpoch = root({ channels: [{ name: 'stable', role: 'stable-signers', epoch: 2n }] });
  const verdict = (envelope: ReturnType<typeof signedState>, held = root()) =>
    verdictText(verifyStatement(offer(envelope), trusted({ floor, root: held })));
  expect(verdict(highest)).toBe('refused trust.equivocation attack');
  expect(verdict(signedState({ epoch: 2n, sequence: 1n }))).toBe('waiting trust.root-missing');
  expect(verdict(signedState({ epoch: 2n, sequence: 1n }), nextEpoch)).toBe('accept');
});

test('nothing at or below the floor is ever accepted as new, nothing above it is called old', () => {
  const small = fc.bigInt({ min: 1n, max: 4n });
  const facts = { fe: small, fs: small, oe: small, os: small, rootEpoch: small };
  fc.assert(
    fc.property(
      fc.record({ ...facts, same: fc.boolean() }),
      ({ fe, fs, oe, os, rootEpoch, same }) => {
        const verdict = judge(at(oe, os, same ? AA : BB), {
          floor: accepted(fe, fs, AA),
          rootEpoch,
        });
        const above = oe > fe || (oe === fe && os > fs);
        if (verdict === 'accept') return above && oe === rootEpoch;
        if (verdict === 'current' || verdict === 'resume') return oe === fe && os === fs && same;
        return above ? oe !== rootEpoch : true;
      },
    ),
  );
});
