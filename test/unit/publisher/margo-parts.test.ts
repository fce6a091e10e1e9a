/** publish.margo: what is not signed on the channel margo, because no manifest could say it. */
import { describe, expect, test } from 'bun:test';
import { systemInflate } from '#platform/node/inflate.ts';
import { bytesContent } from '#publisher/content.ts';
import type { FleetChannel } from '#publisher/fleet.ts';
import { documentsFor } from '#publisher/margo-parts.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { writeDocuments } from '#wire/documents.ts';
import { bytesOf } from '../../support/wire-samples.ts';

const CONFIG: FleetChannel['config'] = {
  ...{ signers: ['margo'], audience: { kind: 'everyone' }, urgent: false, healthWindowMs: 0 },
  ...{ attemptsMax: LIMITS.attemptsMaxDefault, unattestedMaxMs: 0, validForMs: 0 },
  ...{ minAgentVersion: '', spreadMs: 0, windows: [], commit: 'healthy', atomicity: 'state' },
};
const channel = (
  name: string,
  more: Partial<FleetChannel['config']> = {},
  epoch = 1n,
): FleetChannel => ({
  ...{ name, entry: { name, role: name, epoch } },
  role: { name, threshold: 1, keyids: [] },
  config: { ...CONFIG, ...more },
});
const document = bytesOf('id: a\n');
const ref = {
  id: 'a',
  digest: sha256(document),
  size: document.length,
  mediaType: MEDIA.margoDeployment,
};
const compiled = { deployments: [ref], documents: bytesContent(writeDocuments([document])) };
const platform = { inflate: systemInflate() };
const said = (of: FleetChannel, what: Parameters<typeof documentsFor>[2] = compiled): string => {
  const made = documentsFor(platform, of, what);
  return made.ok ? 'signed' : `${made.fault.code}: ${made.fault.message}`;
};

describe('the channel margo', () => {
  test('is signed with Margo’s bundle; other channels with their own documents', () => {
    expect(said(channel('margo'))).toBe('signed');
    const own = documentsFor(platform, channel('stable', { spreadMs: 1 }), compiled);
    expect(own.ok && own.value).toBe(compiled.documents);
    const bundle = documentsFor(platform, channel('margo'), compiled);
    expect(bundle.ok && bundle.value?.digest).not.toBe(compiled.documents.digest);
  });

  for (const [key, more] of [
    ['audience', { audience: { kind: 'devices', ids: ['a'] } }],
    ['spread', { spreadMs: 1 }],
    ['urgent', { urgent: true }],
    ['minAgentVersion', { minAgentVersion: '1.0.0' }],
    ['healthWindow', { healthWindowMs: 1 }],
    ['unattestedMax', { unattestedMaxMs: 1 }],
    ['commit', { commit: 'reachable' }],
    ['attemptsMax', { attemptsMax: 1 }],
    [
      'windows',
      { windows: [{ weekdays: [1], start: '02:30', durationMs: 3_600_000, timeZone: 'UTC' }] },
    ],
  ] as const) {
    test(`is not, with ${key} set in fleet.yaml`, () => {
      const text = said(channel('margo', more as Partial<FleetChannel['config']>));
      expect(text).toStartWith('publish.margo: ');
      expect(text).toContain(key);
    });
  }

  test('is not with documents of ours, nor in another epoch', () => {
    const ours = { ...compiled, deployments: [{ ...ref, mediaType: MEDIA.deployment }] };
    expect(said(channel('margo'), ours)).toContain('a is no ApplicationDeployment');
    expect(said(channel('margo', {}, 2n))).toContain('its epoch is 2');
  });
});
