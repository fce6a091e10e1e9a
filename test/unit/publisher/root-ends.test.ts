/** What ends soon is told whenever somebody signs: publish.ends-soon. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { ok, type Result } from '#errors/fault.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import { endsSoon } from '#publisher/root-ends.ts';
import type { Root } from '#state/root.ts';
import { DAY, NOW, root } from '../trust/world.ts';
import { openRootDesk, type RootDesk } from './root-desk.ts';

const time = {
  floorMs: 0,
  estimateMs: NOW,
  grade: 'estimated',
  wallPlausible: true,
  attestedMs: null,
} as const;

/** A certificate that ends in 50 days, whatever is asked. */
const certificates = (): Result<readonly PeerCertificate[]> =>
  ok([{ notAfter: NOW + 50 * DAY } as PeerCertificate]);

function told(more: Partial<Root>): readonly string[] {
  const made = root(more);
  const role = made.roles.find(({ name }) => name === 'stable-signers');
  if (!role) throw new Error('no such role');
  return endsSoon({ certificates }, { root: made, time }, { role }).map(({ message }) => message);
}

describe('what ends soon', () => {
  test('is the root, within 60 days and not before', () => {
    expect(told({ notAfter: NOW + 61 * DAY })).toEqual([]);
    expect(told({ notAfter: NOW + 60 * DAY })).toEqual([
      expect.stringMatching(/^root 1 ends .* 60 days$/),
    ]);
    expect(told({ notAfter: 0 })).toEqual([]);
  });

  test('is not what has ended: that stops the publisher by itself', () => {
    expect(told({ notAfter: NOW - DAY })).toEqual([]);
  });

  test('is a key of the root or of the channel, and none of another channel', () => {
    const keys = root().keys.map((key, index) => ({
      ...key,
      notAfter: NOW + (3 - index) * DAY,
      comment: ['root-1', 'stable', 'canary'][index] ?? '',
    }));
    expect(told({ keys })).toEqual([
      expect.stringMatching(/^the key stable ends .* in 2 days$/),
      expect.stringMatching(/^the key root-1 ends .* in 3 days$/),
    ]);
  });

  test('is a CA of TLS, by its own end or by that of its certificate', () => {
    const anchor = (notAfter: number, comment: string) => ({
      certificate: new TextEncoder().encode(comment),
      notAfter,
      comment,
    });
    const anchors = [anchor(0, 'ca-1'), anchor(NOW + DAY, 'ca-2')];
    expect(told({ tls: { anchors, replacesConfigured: false } })).toEqual([
      expect.stringMatching(/^the CA ca-2 of TLS ends .* in 1 day$/),
      expect.stringMatching(/^the CA ca-1 of TLS ends .* in 50 days$/),
    ]);
  });
});

describe('the desk', () => {
  let made: RootDesk;
  beforeEach(async () => {
    made = await openRootDesk();
  });
  afterEach(() => made.desk.remove());

  test('warns when it signs, and signs', async () => {
    await made.change(['set-expiry', '59d']);
    const ran = await made.desk.run(['sign', 'stable', '-C', 'plant']);
    expect(ran.code).toBe(0);
    expect(ran.err).toContain('warning publish.ends-soon: root 2 ends');
    expect(ran.err).toContain('docs/roots.md');
    await made.change(['set-expiry', '365d']);
    const later = await made.desk.run(['sign', 'stable', '--renew', '-C', 'plant']);
    expect(later).toMatchObject({ code: 0, err: '' });
  });
});
