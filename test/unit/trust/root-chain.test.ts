/** Check 7: the owner's root file. */
import { describe, expect, test } from 'bun:test';
import { PAYLOAD } from '#state/media-types.ts';
import type { Root } from '#state/root.ts';
import { spkiFromRaw } from '#trust/ed25519.ts';
import { openRoot } from '#trust/root-chain.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeRoot } from '#wire/root.ts';
import { newP256Key } from './foreign.ts';
import {
  CANARY_KEY,
  newKey,
  ROOT_KEY,
  role,
  root,
  rootKey,
  STABLE_KEY,
  signed,
  signedRoot,
  type TestKey,
} from './world.ts';

const other = newKey();

function opened(more: Partial<Root>, keys?: readonly TestKey[]): string {
  const result = openRoot(writeEnvelope(signedRoot(more, keys ? [...keys] : undefined)));
  return result.ok ? 'opened' : result.fault.code;
}

const keys = (...more: Root['keys']) => ({
  keys: [rootKey(ROOT_KEY), rootKey(STABLE_KEY), rootKey(CANARY_KEY), ...more],
});
const roles = (...more: Root['roles']) => ({ roles: [...root().roles, ...more] });

describe('check 7: the first root is a file that signs itself', () => {
  const rows: readonly [string, Partial<Root>, string, (readonly TestKey[])?][] = [
    ['as init writes it', {}, 'opened'],
    ['R11: signed by another key', {}, 'trust.root-signature', [other]],
    ['unsigned', {}, 'trust.root-signature', []],
    [
      'two of two root keys',
      {
        ...keys(rootKey(other)),
        roles: [role('root', [ROOT_KEY, other], 2), ...root().roles.slice(1)],
      },
      'opened',
      [ROOT_KEY, other],
    ],
    [
      'one of two root keys',
      {
        ...keys(rootKey(other)),
        roles: [role('root', [ROOT_KEY, other], 2), ...root().roles.slice(1)],
      },
      'trust.root-signature',
    ],
    [
      'S02: root threshold 0',
      { roles: [role('root', [ROOT_KEY], 0), ...root().roles.slice(1)] },
      'trust.root-invalid',
    ],
    [
      'S02: a signing role with threshold 0',
      roles(role('x', [STABLE_KEY], 0)),
      'trust.root-invalid',
    ],
    ['no role root', { roles: root().roles.slice(1) }, 'trust.root-invalid'],
    ['a role of a key that is not there', roles(role('x', [other])), 'trust.root-invalid'],
    [
      'a channel of a role that is not there',
      { channels: [{ name: 'stable', role: 'x', epoch: 1n }] },
      'trust.root-invalid',
    ],
    [
      'S09: a small-order key',
      keys(rootKey(other, { publicKey: spkiFromRaw(new Uint8Array(32)) })),
      'trust.root-invalid',
    ],
    [
      'P13: a key that is PKCS#8',
      keys(
        rootKey(other, {
          publicKey: new Uint8Array(other.secret.export({ format: 'der', type: 'pkcs8' })),
        }),
      ),
      'trust.root-invalid',
    ],
    ['a P-256 key', keys(rootKey(newP256Key(), { scheme: 'ecdsa-p256-sha256' })), 'opened'],
    [
      'P13: a P-256 key that is none',
      keys(rootKey(other, { scheme: 'ecdsa-p256-sha256' })),
      'trust.root-invalid',
    ],
    ['a key of an unknown scheme is kept', keys(rootKey(other, { scheme: 'unknown' })), 'opened'],
    ['S25: unknown critical', { critical: ['delegations'] }, 'trust.critical'],
    ['a later version, installed by its owner', { version: 7n }, 'opened'],
    ['a time reset', { timeReset: { notBefore: 5 }, critical: ['time_reset'] }, 'opened'],
    [
      'TLS anchors that this version knows to be critical',
      { tls: { anchors: [], replacesConfigured: false }, critical: ['tls'] },
      'opened',
    ],
    [
      'no TLS anchors in place of the configured ones',
      { tls: { anchors: [], replacesConfigured: true } },
      'trust.root-invalid',
    ],
    ['a demo root opens; verify refuses it', { demo: true }, 'opened'],
  ];
  for (const [what, more, code, signers] of rows) {
    test(`${what}: ${code}`, () => expect(opened(more, signers)).toBe(code));
  }

  test('another payload type: trust.payload-type', () => {
    const envelope = signed(writeRoot(root()), [ROOT_KEY], PAYLOAD.desiredState);
    const result = openRoot(writeEnvelope(envelope));
    expect(result.ok ? '' : result.fault.code).toBe('trust.payload-type');
  });

  test('more than 64 KiB: trust.too-large', () => {
    const result = openRoot(new Uint8Array(64 * 1024 + 1));
    expect(result.ok ? '' : result.fault.code).toBe('trust.too-large');
  });
});
