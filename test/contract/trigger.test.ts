/** The contract suite over every trigger of the catalogue. */
import { expect, test } from 'bun:test';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { MqttLink, MqttLinkEvent } from '#link/mqtt.ts';
import { systemFiles } from '#platform/node/files.ts';
import { TRIGGERS } from '#triggers/catalogue.ts';
import { writeNudge } from '#wire/nudge.ts';
import { manualClock } from '../support/manual-clock.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { triggerContract } from './trigger.contract.ts';

const INTERVAL_MS = 60_000;

function fakeLink(): Pick<MqttLink, 'listen'> & { tell(event: MqttLinkEvent): void } {
  const listeners = new Set<(event: MqttLinkEvent) => void>();
  return {
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    tell: (event) => {
      for (const listener of listeners) listener(event);
    },
  };
}

triggerContract('command', () => {
  const trigger = TRIGGERS.command();
  return { trigger, cause: () => trigger.look(), pending: () => 0 };
});

triggerContract('bundle-drop', () => {
  const clock = manualClock();
  const folder = mkdtempSync(`${tmpdir()}/holdfast-drop-`);
  const trigger = TRIGGERS.bundleDrop({ clock, files: systemFiles(), directories: [folder] });
  let bundles = 0;
  const cause = async () => {
    bundles += 1;
    writeFileSync(`${folder}/bundle-${bundles}.tar`, 'not read here');
    await clock.advance(10_000);
  };
  return { trigger, cause, pending: clock.pending };
});

triggerContract('reconnect', () => {
  const link = fakeLink();
  const trigger = TRIGGERS.reconnect(link);
  return { trigger, cause: () => link.tell({ kind: 'up', protocol: '5' }), pending: () => 0 };
});

triggerContract('schedule', () => {
  const clock = manualClock();
  const options = { intervalMs: INTERVAL_MS, jitter: 0, backoffMaxMs: INTERVAL_MS };
  const trigger = TRIGGERS.schedule({ clock, random: seededRandom(1), ...options });
  return { trigger, cause: () => clock.advance(INTERVAL_MS), pending: clock.pending };
});

triggerContract('nudge', () => {
  const clock = manualClock();
  const link = fakeLink();
  const trigger = TRIGGERS.nudge({ clock, link, channels: ['stable'], floor: () => null });
  const payload = writeNudge({
    channel: 'stable',
    epoch: 1n,
    sequence: 1n,
    stateDigest: null,
    manifestDigest: null,
    urgent: false,
    envelope: null,
    roots: [],
    contents: [],
  });
  const topic = { kind: 'channel-nudge', channel: 'stable' } as const;
  const cause = () => link.tell({ kind: 'nudge', topic, payload, retained: false });
  return { trigger, cause, pending: clock.pending };
});

test('the catalogue lists them all', () => {
  expect(Object.keys(TRIGGERS).toSorted()).toEqual([
    'bundleDrop',
    'command',
    'nudge',
    'reconnect',
    'schedule',
  ]);
});
