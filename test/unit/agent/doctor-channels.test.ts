/** What doctor says of several channels: unknown to the root, and bounds that overlap. */
import { expect, test } from 'bun:test';
import type { ChannelSettings } from '#agent/config-channels.ts';
import { overlappingChannels, unknownChannels } from '#agent/doctor-channels.ts';
import { ok } from '#errors/fault.ts';
import type { Root } from '#state/root.ts';

const channel = (name: string, ...roots: readonly string[]): ChannelSettings => ({
  name,
  allow: { roots, runtimes: [], users: null, defaultUser: null },
});
const files = { realPath: (path: string) => ok(path === '/opt/link' ? '/srv/line' : path) };

test('names the deeper of two roots that overlap, also where one is a link', () => {
  for (const [one, other, where] of [
    [channel('oem', '/opt'), channel('stable', '/opt/line'), '/opt/line'],
    [channel('oem', '/srv'), channel('stable', '/srv'), '/srv'],
    [channel('oem', '/opt/link'), channel('stable', '/srv/line'), '/srv/line'],
  ] as const) {
    const [found] = overlappingChannels(files, { channels: [one, other] });
    expect(found?.message).toBe(`oem and stable may both write below ${where}`);
  }
  const apart = [channel('oem', '/opt/a'), channel('stable', '/opt/ab')];
  expect(overlappingChannels(files, { channels: apart })).toEqual([]);
});

test('names each channel that the root does not', () => {
  const root = { channels: [{ name: 'oem', role: 'oem', epoch: 1n }] } as unknown as Root;
  const found = unknownChannels(root, { channels: [channel('oem'), channel('stabel')] });
  expect(found.map(({ message }) => message)).toEqual([
    'the root names no channel "stabel" (it has: oem)',
  ]);
});
