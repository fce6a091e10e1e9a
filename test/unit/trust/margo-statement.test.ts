/** A signed Margo manifest is judged by every check of a statement, on its own channel and nowhere else. */
import { describe, expect, test } from 'bun:test';
import { sha256 } from '#state/digest.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { type Trusted, verifyStatement } from '#trust/verify.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import { payloadTypeOf, readStatement, writeStatement } from '#wire/margo-statement.ts';
import { bytesOf } from '../../support/wire-samples.ts';
import {
  accepted,
  CANARY_KEY,
  DAY,
  deploying,
  FLEET,
  NOW,
  offer,
  root,
  STABLE_KEY,
  signed,
  statement,
  trusted,
  verdictText,
} from './world.ts';

const ROOT = root({
  channels: [
    { name: 'margo', role: 'stable-signers', epoch: 1n },
    { name: 'stable', role: 'stable-signers', epoch: 1n },
  ],
});
const A = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const device = (more: Partial<Trusted> = {}): Trusted =>
  trusted({
    root: ROOT,
    channel: 'margo',
    floor: null,
    appliedDigest: null,
    appliedPoint: null,
    ...more,
  });
const manifest = (more: Parameters<typeof statement>[0] = {}): Uint8Array =>
  writeStatement(statement({ channel: 'margo', sequence: 5n, ...deploying(A), ...more }));
const envelope = (payload: Uint8Array, keys = [STABLE_KEY]) =>
  signed(payload, keys, MARGO_MEDIA.manifest);
const verdict = (payload: Uint8Array, more: Partial<Trusted> = {}): string =>
  verdictText(verifyStatement(offer(envelope(payload)), device(more)));
/** As other tools write one: nothing of ours in it. */
const plain = (version: string, more = ''): Uint8Array => {
  const digest = sha256(bytesOf('x'));
  const url = `/api/v1/deployments/${A}/${digest}`;
  return bytesOf(
    `{"manifestVersion":${version},"bundle":null,"deployments":[{"deploymentId":"${A}","digest":"${digest}","url":"${url}"}]${more}}`,
  );
};

describe('a signed Margo manifest', () => {
  test('is a manifest for everyone else, and says what it says to us', () => {
    const payload = manifest({ notAfter: NOW + DAY, rootVersion: 1n });
    const read = readMargoManifest(payload);
    expect(read.ok && read.value).toMatchObject({ version: 5n, warnings: [] });
    const state = readStatement({ payloadType: MARGO_MEDIA.manifest, payload });
    expect(state.ok && state.value).toMatchObject({
      ...{ fleet: FLEET, channel: 'margo', notAfter: NOW + DAY, rootVersion: 1n },
      point: { epoch: 1n, sequence: 5n, digest: sha256(payload) },
    });
    expect(verdict(payload)).toBe('accept');
  });

  test('counts beyond 2^53, and its own members beside blobs as well', () => {
    const blob = { name: 'a', mediaType: 'application/octet-stream', digest: sha256(bytesOf('a')) };
    const blobs = [{ ...blob, size: 1, unpackedSize: 1 }];
    const payload = manifest({ sequence: 2n ** 64n - 1n, rootVersion: 2n ** 60n, blobs });
    const state = readStatement({ payloadType: MARGO_MEDIA.manifest, payload });
    expect(state.ok && state.value).toMatchObject({ rootVersion: 2n ** 60n, blobs });
    expect(state.ok && state.value.point.sequence).toBe(2n ** 64n - 1n);
  });

  test('of another tool needs nothing but its signature', () => {
    expect(verdict(plain('7'))).toBe('accept');
  });

  for (const [what, payload, more, wanted] of [
    ['of another fleet', manifest({ fleet: 'ff'.repeat(16) }), {}, 'refused trust.wrong-fleet'],
    ['that has ended', manifest({ notAfter: NOW - 60 * DAY }), {}, 'refused trust.expired'],
    ['under a root not yet here', manifest({ rootVersion: 9n }), {}, 'waiting trust.root-missing'],
    [
      'below the floor',
      manifest(),
      { floor: accepted(1n, 6n, sha256(bytesOf('y'))) },
      'refused source.stale',
    ],
    [
      'of the same number with other bytes',
      manifest(),
      { floor: accepted(1n, 5n, sha256(bytesOf('y'))) },
      'refused trust.equivocation attack',
    ],
    [
      'that takes everything away, unmarked',
      manifest({ deployments: [], documents: null }),
      { appliedIds: ['a', 'b'], appliedPoint: accepted(1n, 4n, sha256(bytesOf('y'))) },
      'refused trust.removal-guard',
    ],
    [
      'with a fleet that is none',
      plain('7', ',"x-holdfast-extensions":{"fleet":1}'),
      {},
      'refused margo.manifest',
    ],
    [
      'with a time that is none',
      plain('7', ',"x-holdfast-extensions":{"notAfter":"x"}'),
      {},
      'refused margo.manifest',
    ],
    ['that is none', bytesOf('{}'), {}, 'refused margo.manifest'],
  ] as const) {
    test(`${what}: ${wanted}`, () => expect(verdict(payload, more)).toStartWith(wanted));
  }

  test('counts by the keys of the channel margo alone', () => {
    const by = (...keys: readonly (typeof STABLE_KEY)[]) =>
      verdictText(verifyStatement(offer(envelope(manifest(), [...keys])), device()));
    expect(by()).toBe('refused trust.threshold');
    expect(by(CANARY_KEY)).toBe('refused trust.threshold');
  });

  test('is nothing on another channel, nor a statement of ours on this one', () => {
    const elsewhere = trusted({ root: ROOT, channel: 'stable' });
    expect(verdictText(verifyStatement(offer(envelope(manifest())), elsewhere))).toBe(
      'refused trust.payload-type',
    );
    const ours = signed(writeStatement(statement({ channel: 'stable' })), [STABLE_KEY]);
    expect(verdictText(verifyStatement(offer(ours), device()))).toBe('refused trust.payload-type');
    expect([payloadTypeOf('margo'), payloadTypeOf('stable')]).toEqual([
      MARGO_MEDIA.manifest,
      PAYLOAD.desiredState,
    ]);
  });
});
