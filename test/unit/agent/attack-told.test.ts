/**
 * What status tells of refusals: the last one, but an attack that is still shown is not hidden by what
 * anybody at a broker or with a stick can have refused.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import type { AuditLog, Refused } from '#agent/audit-log.ts';
import { finder } from '#agent/find.ts';
import { type Follower, follower } from '#agent/follow.ts';
import type { Found } from '#agent/found.ts';
import { fault, ok } from '#errors/fault.ts';
import { mqttPush } from '#sources/mqtt-push.ts';
import type { Head } from '#sources/source.ts';
import { sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import type { Wake } from '#triggers/trigger.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { type ApplyWorld, applyWorld } from '../../support/apply-world.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { FLEET, value } from '../../support/store.ts';
import { CANARY_KEY, CURRENT, signedState, trusted } from '../trust/world.ts';

const SEEN = { offered: null, via: 'registry', source: 'a', again: false } as const;
const ATTACK: Found = {
  ...{ kind: 'refused', attack: true, ...SEEN },
  fault: fault('trust.rollback', { offered: '1.56', floor: '1.57' }),
};
const LESSER: Found = {
  ...{ kind: 'refused', attack: false, ...SEEN },
  fault: fault('source.stale', { offered: '1.56', floor: '1.57' }),
};

let world: ApplyWorld;
beforeEach(() => {
  world = applyWorld();
});
afterEach(() => world.remove());

function followed(written: Refused[]): Follower {
  const audit = { refuse: (one) => void written.push(one) } as Partial<AuditLog> as AuditLog;
  return value(
    follower({
      context: world.context(),
      ...{ fleet: FLEET, channel: 'stable', safeModeCrashes: 0 },
      device: { paused: false },
      audit,
    }),
  );
}

describe('what a channel tells of refusals', () => {
  test('an attack that is shown again is told again when something else was told over it', () => {
    const written: Refused[] = [];
    const here = followed(written);
    expect(here.note(ATTACK)).toBe(true);
    expect(here.note({ ...ATTACK, again: true })).toBe(false);
    expect(here.note(LESSER)).toBe(true);
    expect(here.refusal()?.attack).toBe(false);
    expect(here.note({ ...ATTACK, again: true })).toBe(true);
    expect(here.refusal()).toMatchObject({ code: 'trust.rollback', attack: true });
    // Known by now: neither tells nor writes again.
    expect(here.note({ ...LESSER, again: true })).toBe(false);
    expect(here.note({ ...ATTACK, again: true })).toBe(false);
    expect(written).toHaveLength(2);
  });
});

const TWIN = signedState({ sequence: 57n, minAgentVersion: '0.0.1' });
const FORGED = signedState({ sequence: 60n }, [CANARY_KEY]);

interface Shown {
  /** by a broker */
  readonly pushed?: readonly Envelope[];
  /** by a registry, under the channel's tag */
  readonly tagged: Envelope;
  /** there as well, and a nudge names it */
  readonly named?: Envelope;
}

function headOf(envelope: Envelope): Head {
  const bytes = writeEnvelope(envelope);
  return { manifestDigest: sha256(bytes), envelope: bytes, roots: [], inline: new Map() };
}

/** What one look tells, in this order. */
async function look({ pushed = [], tagged, named }: Shown) {
  const pushes = mqttPush('broker');
  for (const envelope of pushed) {
    pushes.take({ envelope, roots: [], contents: [], retained: false });
  }
  const head = headOf(tagged);
  const other = named ? headOf(named) : null;
  const told: Found[] = [];
  const find = finder({
    clock: manualClock(),
    sources: [
      {
        ...{ name: 'a', via: 'registry' },
        peek: async () => ok(head.manifestDigest),
        head: async (wanted) => ok(wanted !== null ? other : head),
        blob: () => {
          throw new Error('no contents are asked for here');
        },
      },
    ],
    pushes,
    bundle: () => {
      throw new Error('no bundle is looked at here');
    },
    roots: {
      walk: () => ({ replaced: false, rows: [], refused: null, unkept: null, more: false }),
    },
    trusted: () => trusted(),
    rootReplaced: () => undefined,
    alsoFound: (found) => void told.push(found),
  });
  const digests = { manifestDigest: other?.manifestDigest ?? null, stateDigest: null };
  const number = { epoch: 1n, sequence: 60n };
  const wake: Wake = other
    ? { kind: 'nudge', channel: 'stable', urgent: false, ...number, ...digests }
    : { kind: 'schedule' };
  const found = await find.find(wake, new AbortController().signal);
  return [...told, found].map((each) => ('fault' in each ? each.fault.code : each.kind));
}

describe('of one look the attack is told last, whoever brought it', () => {
  test.each([
    ['pushed, and forged in the registry', { pushed: [TWIN], tagged: FORGED }],
    ['in the registry, and forged over the broker', { pushed: [FORGED], tagged: TWIN }],
    ['pushed after a forgery', { pushed: [FORGED, TWIN], tagged: FORGED }],
    ['pushed before a forgery', { pushed: [TWIN, FORGED], tagged: FORGED }],
    ['under the tag, and a nudge names a forgery', { tagged: TWIN, named: FORGED }],
  ])('%s', async (_, shown) => {
    const codes = await look(shown);
    expect(codes.at(-1)).toBe('trust.equivocation');
    expect(codes.slice(0, -1)).toContain('trust.threshold');
  });
  test('beside what is in force it is told as well', async () => {
    expect(await look({ pushed: [TWIN], tagged: CURRENT })).toEqual([
      'trust.equivocation',
      'current',
    ]);
  });
});
