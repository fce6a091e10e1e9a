/** Topic names: built and read back, and everything that is none. */
import { describe, expect, test } from 'bun:test';
import { checkTopicRoot, defaultTopicRoot, parseTopic, topicOf } from '#link/topics.ts';

const ROOT = defaultTopicRoot('00112233445566778899aabbccddeeff');

describe('topic names', () => {
  for (const [name, topic] of [
    [{ kind: 'channel-nudge', channel: 'stable' }, `${ROOT}/c/stable/nudge`],
    [{ kind: 'device-nudge', device: 'press-7' }, `${ROOT}/d/press-7/nudge`],
    [{ kind: 'status', device: 'press-7' }, `${ROOT}/d/press-7/status`],
    [{ kind: 'presence', device: 'press.7' }, `${ROOT}/d/press.7/presence`],
  ] as const) {
    test(`${topic} is built and read back`, () => {
      expect(topicOf(ROOT, name)).toEqual({ ok: true, value: topic });
      expect(parseTopic(ROOT, topic)).toEqual(name);
    });
  }

  for (const id of ['+', '#', 'a/b', 'a\0', '', 'A', 'x'.repeat(64), '..', '-a', 'a b']) {
    test(`a name ${JSON.stringify(id)} makes no topic`, () => {
      for (const name of [
        { kind: 'channel-nudge', channel: id },
        { kind: 'device-nudge', device: id },
      ] as const) {
        const built = topicOf(ROOT, name);
        expect(built.ok ? built.value : built.fault.code).toBe('link.mqtt-topic');
      }
    });
  }
});

describe('M03: topics that a broker may send', () => {
  for (const topic of [
    `${ROOT}/c/stable/nudge\0`,
    `${ROOT}/c/+/nudge`,
    `${ROOT}/#`,
    `${ROOT}/c/stable/nudge/more`,
    `${ROOT}/c/stable`,
    `${ROOT}/c//nudge`,
    `${ROOT}/c/Stable/nudge`,
    `${ROOT}x/c/stable/nudge`,
    `/${ROOT}/c/stable/nudge`,
    `${ROOT}/d/press-7/reply`,
    `${ROOT}/c/stable/status`,
    `${ROOT}/c/${'a'.repeat(65_000)}/nudge`,
    `${ROOT}/${'/'.repeat(65_000)}`,
    '$SYS/broker/version',
    '',
  ]) {
    test(`${JSON.stringify(topic.slice(0, 70))} (${topic.length}) is none of ours`, () => {
      expect(parseTopic(ROOT, topic)).toBeNull();
    });
  }
});

describe('a topic root of the configuration', () => {
  for (const root of ['holdfast/v1/plant', 'a', 'werk/süd', ROOT]) {
    test(`${root} is allowed`, () => expect(checkTopicRoot(root).ok).toBe(true));
  }
  for (const root of [
    '',
    '/a',
    'a/',
    'a//b',
    'a/+/b',
    '#',
    '$SYS/a',
    'a\0',
    'a\n',
    'x'.repeat(513),
  ]) {
    test(`${JSON.stringify(root.slice(0, 20))} is refused`, () => {
      const checked = checkTopicRoot(root);
      expect(checked.ok ? '' : checked.fault.code).toBe('link.mqtt-topic');
    });
  }
});
