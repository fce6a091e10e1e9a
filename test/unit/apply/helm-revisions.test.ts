/** What a release is, from what helm says of its revisions: the truth table of recovery. */
import { describe, expect, test } from 'bun:test';
import { currentOf } from '#apply/runtimes/helm-revisions.ts';

type Line = readonly [status: string, description: string];
const of = (...lines: readonly Line[]) =>
  currentOf(
    lines.map(([status, description], index) => ({ number: index + 1, status, description })),
  );
const OLD = 'holdfast sha256:old';
const NEW = 'holdfast sha256:new';

describe('what is in force', () => {
  for (const [name, lines, kind, mark] of [
    ['nothing', [], 'none', null],
    ['a first install', [['deployed', OLD]], 'deployed', OLD],
    [
      'an update',
      [
        ['superseded', OLD],
        ['deployed', NEW],
      ],
      'deployed',
      NEW,
    ],
    [
      'a rollback',
      [
        ['superseded', OLD],
        ['failed', 'x'],
        ['deployed', 'Rollback to 1'],
      ],
      'deployed',
      OLD,
    ],
    [
      'a rollback of a rollback',
      [
        ['superseded', OLD],
        ['superseded', 'Rollback to 1'],
        ['deployed', 'Rollback to 2'],
      ],
      'deployed',
      OLD,
    ],
    ['a rollback to what is forgotten', [['deployed', 'Rollback to 9']], 'deployed', null],
    ['a rollback to itself', [['deployed', 'Rollback to 1']], 'deployed', null],
    ['what a person installed', [['deployed', 'Install complete']], 'deployed', null],
    ['a failed install', [['failed', 'Release failed']], 'broken', null],
    ['a kept uninstall', [['uninstalled', 'Uninstallation complete']], 'none', null],
  ] as const) {
    test(name, () => {
      const found = of(...lines);
      expect<unknown>(found.kind).toBe(kind);
      expect(found.kind === 'pending' ? 'pending' : found.mark).toBe(mark);
    });
  }
});

describe('what a cut left', () => {
  for (const [name, lines, whole] of [
    ['in a first install: nothing to go back to', [['pending-install', 'Initial install']], null],
    [
      'in an update: the one before',
      [
        ['deployed', OLD],
        ['pending-upgrade', 'Preparing'],
      ],
      1,
    ],
    [
      'in a rollback: the last that was whole',
      [
        ['superseded', OLD],
        ['failed', 'x'],
        ['pending-rollback', 'Rollback to 1'],
      ],
      1,
    ],
    [
      'in a removal: it is taken out',
      [
        ['superseded', OLD],
        ['uninstalling', 'Deletion in progress'],
      ],
      null,
    ],
  ] as const) {
    test(name, () => {
      const found = of(...lines);
      expect(found).toMatchObject({ kind: 'pending', whole });
      expect(found.differs(OLD)).toBe(lines.at(-1)?.[0] as string);
    });
  }
});

test('the way back is the newest whole revision with the mark, and nothing that failed', () => {
  const found = of(
    ['superseded', OLD],
    ['superseded', 'Rollback to 1'],
    ['failed', OLD],
    ['deployed', NEW],
  );
  expect(found.kind === 'pending' ? null : [found.back(OLD), found.back('holdfast x')]).toEqual([
    2,
    null,
  ]);
  expect([found.differs(NEW), found.differs(OLD)]).toEqual([
    null,
    'another revision of its release is in force',
  ]);
});
