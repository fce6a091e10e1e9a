/** The next statement of a channel: its number, what it takes away, whether it says anything new. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Fleet, FleetChannel } from '#publisher/fleet.ts';
import type { RootLink } from '#publisher/root-folder.ts';
import { type Cargo, draftStatement, type Line, saysTheSame } from '#publisher/statement.ts';
import type { DesiredState } from '#state/desired-state.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Root } from '#state/root.ts';
import { viewTime } from '#trust/time.ts';
import { readDesiredState, type Unsigned, writeDesiredState } from '#wire/desired-state.ts';
import { writeRoot } from '#wire/root.ts';

const NOW = 1_795_392_000_000;
const digest = (text: string) => sha256(new TextEncoder().encode(text));

const FIRST: Root = {
  fleet: 'ab'.repeat(16),
  version: 1n,
  issuedAt: 0,
  notAfter: 0,
  keys: [],
  roles: [],
  channels: [],
  timeReset: null,
  demo: false,
  tls: null,
  critical: [],
};

function link(root: Root): RootLink {
  const payload = writeRoot(root);
  const envelope = { payloadType: PAYLOAD.root, payload, signatures: [] };
  return { root, envelope, bytes: payload, digest: sha256(payload) };
}

function fleet(nowMs = NOW, ...later: readonly Root[]): Fleet {
  return {
    directory: '/plant',
    config: { name: 'plant', registry: null, mqtt: null, channels: new Map() },
    root: later.at(-1) ?? FIRST,
    chain: [link(FIRST), ...later.map(link)],
    time: viewTime({ floorMs: NOW - 1, wallMs: nowMs }),
  };
}

const WINDOW = { weekdays: [1], start: '02:30', durationMs: 3_600_000, timeZone: 'UTC' };

function channel(epoch: bigint, more: Partial<FleetChannel['config']> = {}): FleetChannel {
  return {
    name: 'stable',
    entry: { name: 'stable', role: 'channel.stable', epoch },
    role: { name: 'channel.stable', threshold: 1, keyids: [] },
    config: {
      signers: ['stable'],
      audience: { kind: 'everyone' },
      urgent: false,
      healthWindowMs: 0,
      attemptsMax: LIMITS.attemptsMaxDefault,
      unattestedMaxMs: 0,
      validForMs: 0,
      minAgentVersion: '',
      spreadMs: 0,
      windows: [],
      commit: 'healthy',
      atomicity: 'state',
      ...more,
    },
  };
}

function cargo(...ids: readonly string[]): Cargo {
  return {
    deployments: ids.map((id) => ({
      id,
      digest: digest(id),
      size: 1,
      mediaType: 'application/vnd.holdfast.deployment.v1+yaml',
    })),
    blobs: [],
    documents: ids.length > 0 ? { digest: digest(ids.join()), size: 1 } : null,
    promotedFrom: null,
  };
}

function stated(unsigned: Unsigned): DesiredState {
  const read = readDesiredState(writeDesiredState(unsigned));
  if (!read.ok) throw new Error(read.fault.message);
  return read.value;
}

function previous(
  epoch: bigint,
  sequence: bigint,
  ids: readonly string[],
  allow = 0n,
): DesiredState {
  const { unsigned } = draftStatement(fleet(), channel(epoch), cargo(...ids), {
    counter: null,
    previous: null,
  });
  return stated({ ...unsigned, sequence, policy: { ...unsigned.policy, allowRemoval: allow } });
}

const at = (epoch: bigint, sequence: bigint) => ({ epoch, sequence });

describe('the next number is above the counter and above the head', () => {
  const rows: readonly [string, bigint, Line, bigint][] = [
    ['nothing signed, nothing published', 1n, { counter: null, previous: null }, 1n],
    ['the counter is ahead', 1n, { counter: at(1n, 7n), previous: previous(1n, 5n, []) }, 8n],
    ['the head is ahead', 1n, { counter: at(1n, 5n), previous: previous(1n, 9n, []) }, 10n],
    ['a lost folder', 1n, { counter: null, previous: previous(1n, 9n, []) }, 10n],
    ['a new epoch', 2n, { counter: at(1n, 7n), previous: previous(1n, 9n, []) }, 1n],
    ['in the new epoch', 2n, { counter: at(2n, 1n), previous: previous(1n, 9n, []) }, 2n],
  ];
  for (const [what, epoch, line, sequence] of rows) {
    test(`${what}: ${epoch}.${sequence}`, () => {
      const { unsigned } = draftStatement(fleet(), channel(epoch), cargo('a'), line);
      expect([unsigned.epoch, unsigned.sequence]).toEqual([epoch, sequence]);
    });
  }
  test('it is never a number that was used', () => {
    const number = fc.bigInt({ min: 1n, max: 50n });
    fc.assert(
      fc.property(number, number, (used, head) => {
        const line = { counter: at(1n, used), previous: previous(1n, head, []) };
        const { sequence } = draftStatement(fleet(), channel(1n), cargo(), line).unsigned;
        return sequence > used && sequence > head;
      }),
    );
  });
});

describe('allow_removal follows from what was signed before', () => {
  const rows: readonly [string, bigint, DesiredState | null, readonly string[], bigint][] = [
    ['nothing before', 1n, null, ['a'], 0n],
    ['nothing removed', 1n, previous(1n, 5n, ['a']), ['a', 'b'], 0n],
    ['one removed', 1n, previous(1n, 5n, ['a', 'b']), ['a'], 6n],
    ['carried on', 1n, previous(1n, 5n, ['a'], 4n), ['a'], 4n],
    ['removed again', 1n, previous(1n, 5n, ['a', 'b'], 4n), ['b'], 6n],
    ['not into a new epoch', 2n, previous(1n, 5n, ['a'], 4n), ['a'], 0n],
    ['a removal in a new epoch', 2n, previous(1n, 5n, ['a'], 4n), [], 1n],
  ];
  for (const [what, epoch, before, ids, allow] of rows) {
    test(`${what}: ${allow}`, () => {
      const line = { counter: null, previous: before };
      const { unsigned, removed } = draftStatement(fleet(), channel(epoch), cargo(...ids), line);
      expect(unsigned.policy.allowRemoval).toBe(allow);
      const gone = before?.deployments.map(({ id }) => id).filter((id) => !ids.includes(id)) ?? [];
      expect(removed).toEqual(gone);
    });
  }
});

describe('a statement is dated by the desk’s clock', () => {
  const draft = (nowMs: number, before: DesiredState | null, validForMs = 0) =>
    draftStatement(fleet(nowMs), channel(1n, { validForMs }), cargo(), {
      counter: null,
      previous: before,
    }).unsigned;
  test('never before the one it follows', () => {
    const before = { ...previous(1n, 1n, []), issuedAt: NOW + 5_000 };
    expect(draft(NOW, before).issuedAt).toBe(NOW + 5_000);
  });
  test('a time reset frees it from what was dated before the reset', () => {
    const reset = { ...FIRST, version: 2n, timeReset: { notBefore: NOW } };
    const dated = (rootVersion: bigint, ...roots: readonly Root[]) => {
      const before = { ...previous(1n, 1n, []), issuedAt: NOW + 5_000, rootVersion };
      const line = { counter: null, previous: before };
      return draftStatement(fleet(NOW, ...roots), channel(1n), cargo(), line).unsigned.issuedAt;
    };
    const later = { ...FIRST, version: 3n };
    expect([dated(1n, reset), dated(1n, reset, later)]).toEqual([NOW, NOW]);
    expect([dated(2n, reset), dated(1n)]).toEqual([NOW + 5_000, NOW + 5_000]);
  });
  test('a clock that is years wrong falls back to the build time', () => {
    expect(draft(0, null).issuedAt).toBe(NOW - 1);
  });
  test('it ends when fleet.yaml says so', () => {
    expect([draft(NOW, null).notAfter, draft(NOW, null, 1_000).notAfter]).toEqual([0, NOW + 1_000]);
  });
});

describe('the same content is not signed twice', () => {
  const base = draftStatement(fleet(), channel(1n), cargo('a', 'b'), {
    counter: null,
    previous: null,
  });
  const state = stated(base.unsigned);
  const rows: readonly [string, Unsigned, boolean][] = [
    [
      'another number, time and removal mark',
      { ...base.unsigned, sequence: 9n, issuedAt: NOW + 1, previousDigest: digest('x') },
      true,
    ],
    ['another deployment', { ...base.unsigned, ...cargo('a', 'c') }, false],
    ['one less', { ...base.unsigned, ...cargo('a') }, false],
    ['another audience', { ...base.unsigned, audience: { kind: 'devices', ids: ['x'] } }, false],
    [
      'another health window',
      { ...base.unsigned, policy: { ...base.unsigned.policy, healthWindowMs: 5 } },
      false,
    ],
    ...(
      [
        ['another spread', { spreadMs: 1 }],
        ['a window', { windows: [WINDOW] }],
        ['another commit', { commit: 'reachable' }],
        ['another atomicity', { atomicity: 'deployment' }],
      ] as const
    ).map(
      ([what, more]) =>
        [what, { ...base.unsigned, policy: { ...base.unsigned.policy, ...more } }, false] as [
          string,
          Unsigned,
          boolean,
        ],
    ),
    ['another agent version', { ...base.unsigned, minAgentVersion: '0.2.0' }, false],
    ['another epoch', { ...base.unsigned, epoch: 2n }, false],
    ['another root', { ...base.unsigned, rootVersion: 2n }, true],
  ];
  for (const [what, draft, same] of rows) {
    test(`${what}: ${same ? 'the same' : 'new'}`, () =>
      expect(saysTheSame(state, draft)).toBe(same));
  }
});

describe('what an agent must not leave out is marked critical', () => {
  for (const [what, more, critical] of [
    ['windows', { windows: [WINDOW] }, ['policy.windows']],
    ['commit: reachable', { commit: 'reachable' }, ['policy.commit']],
    [
      'atomicity, where an agent that does not know it is stricter',
      { atomicity: 'deployment' },
      [],
    ],
    ['a spread, which only eases the load', { spreadMs: 60_000 }, []],
  ] as const) {
    test(what, () => {
      const line = { counter: null, previous: null };
      const { unsigned } = draftStatement(fleet(), channel(1n, more), cargo('a'), line);
      expect(unsigned.critical).toEqual([...critical]);
    });
  }
});
