/**
 * What every runtime promises (src/apply/runtimes/runtime.ts), on a real disk and real processes.
 * `fresh` gives a runtime without any memory: what an agent has after a crash.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
import type { Runtime } from '#apply/runtimes/runtime.ts';
import type { Generation } from '#state/generation.ts';
import { codeOf, value } from '../support/store.ts';

export interface RuntimeFixture {
  /** a runtime without memory */
  fresh(): Runtime;
  readonly old: Generation;
  readonly next: Generation;
  /** what a consumer sees: `origin` before anything, then `old` or `next` */
  sees(): string;
  /** changes when anything was replaced or restarted */
  identity(): string;
  /** spoils what is unpacked of a generation */
  damage(generation: Generation): void;
  /** paths of everything kept for generations of this deployment */
  kept(): readonly string[];
  /** where blobs are stored */
  readonly blobs: string;
  end(): Promise<void>;
}

export function runtimeContract(name: string, build: () => RuntimeFixture): void {
  describe(`runtime ${name}`, () => {
    let at: RuntimeFixture;
    beforeEach(() => {
      at = build();
    });
    afterEach(() => at.end());

    test('preparing has no visible effect, once or twice', async () => {
      const before = at.identity();
      value(await at.fresh().prepare(at.next));
      value(await at.fresh().prepare(at.next));
      expect(at.sees()).toBe('origin');
      expect(at.identity()).toBe(before);
    });

    test('activating twice changes and restarts nothing the second time', async () => {
      const runtime = at.fresh();
      value(await runtime.prepare(at.next));
      value(await runtime.activate(at.next, null));
      const first = at.identity();
      expect(at.sees()).toBe('next');
      value(await runtime.activate(at.next, null));
      value(await at.fresh().activate(at.next, null));
      expect(at.sees()).toBe('next');
      expect(at.identity()).toBe(first);
    });

    test('every call may be repeated by an agent that remembers nothing', async () => {
      for (const _ of [1, 2]) value(await at.fresh().activate(at.old, null));
      expect(at.sees()).toBe('old');
      for (const _ of [1, 2]) value(await at.fresh().prepare(at.next));
      expect(at.sees()).toBe('old');
      for (const _ of [1, 2]) value(await at.fresh().activate(at.next, at.old));
      expect(at.sees()).toBe('next');
      for (const _ of [1, 2]) value(await at.fresh().activate(at.old, at.next));
      expect(at.sees()).toBe('old');
      for (const _ of [1, 2]) value(await at.fresh().deactivate(at.old));
      expect(at.sees()).toBe('origin');
    });

    test('undoing a first activation brings back what was there', async () => {
      value(await at.fresh().prepare(at.next));
      value(await at.fresh().activate(at.next, null));
      value(await at.fresh().deactivate(at.next));
      expect(at.sees()).toBe('origin');
    });

    test('undoing what was never activated changes nothing', async () => {
      const before = at.identity();
      value(await at.fresh().prepare(at.next));
      value(await at.fresh().deactivate(at.next));
      expect(at.sees()).toBe('origin');
      expect(at.identity()).toBe(before);
    });

    test('a removal may be undone, and done again', async () => {
      value(await at.fresh().activate(at.old, null));
      value(await at.fresh().deactivate(at.old));
      value(await at.fresh().activate(at.old, null));
      expect(at.sees()).toBe('old');
      value(await at.fresh().deactivate(at.old));
      expect(at.sees()).toBe('origin');
    });

    test('check 18: a generation that was edited is made anew from its blob before use', async () => {
      value(await at.fresh().activate(at.old, null));
      value(await at.fresh().activate(at.next, at.old));
      at.damage(at.old);
      value(await at.fresh().activate(at.old, at.next));
      expect(at.sees()).toBe('old');
      expect(value(await at.fresh().inspect(at.old, 'hash'))).toEqual(withoutMemory(at.old));
    });

    test('check 18: a blob that is not the signed one is refused, what runs stays', async () => {
      value(await at.fresh().activate(at.old, null));
      const before = at.identity();
      for (const { digest } of at.next.blobs.values()) {
        await Bun.write(`${at.blobs}/${digest.slice(7)}.blob`, 'something else');
      }
      expect(codeOf(await at.fresh().prepare(at.next))).toBe('store.blob-damaged');
      expect(at.sees()).toBe('old');
      expect(at.identity()).toBe(before);
      // Dropped, so that the next try fetches it.
      expect(codeOf(await at.fresh().prepare(at.next))).toBe('store.blob-missing');
    });

    test('what is in force as signed has no deviations; what was edited has, until repaired', async () => {
      const runtime = at.fresh();
      value(await runtime.activate(at.next, null));
      expect(value(await runtime.inspect(at.next, 'stat'))).toEqual([]);
      expect(value(await runtime.inspect(at.next, 'hash'))).toEqual([]);
      at.damage(at.next);
      expect(value(await runtime.inspect(at.next, 'stat'))).not.toEqual([]);
      value(await runtime.activate(at.next, at.next));
      expect(value(await runtime.inspect(at.next, 'hash'))).toEqual([]);
      expect(at.sees()).toBe('next');
    });

    test('sweeping keeps what is to be kept and what is in use, and goes on after a repeat', async () => {
      const runtime = at.fresh();
      value(await runtime.activate(at.old, null));
      value(await runtime.prepare(at.next));
      value(await runtime.activate(at.next, at.old));
      for (const _ of [1, 2]) value(await at.fresh().sweep(at.old.id, new Set([at.old.digest])));
      expect(at.sees()).toBe('next');
      value(await runtime.activate(at.old, at.next));
      expect(at.sees()).toBe('old');
    });

    test('sweeping a removed deployment for good leaves nothing behind', async () => {
      value(await at.fresh().activate(at.next, null));
      value(await at.fresh().deactivate(at.next));
      for (const _ of [1, 2]) value(await at.fresh().sweep(at.next.id, new Set()));
      expect(at.kept()).toEqual([]);
      expect(at.sees()).toBe('origin');
    });

    test('a generation that is gone from the disk is unpacked again from its blob', async () => {
      value(await at.fresh().activate(at.old, null));
      value(await at.fresh().activate(at.next, at.old));
      for (const path of at.kept()) {
        if (path.includes(at.old.digest.slice(7))) rmSync(path, { recursive: true, force: true });
      }
      value(await at.fresh().activate(at.old, at.next));
      expect(at.sees()).toBe('old');
    });
  });

  /** A runtime that supervises says so of what it has not started itself. */
  function withoutMemory({ deployment: { profile } }: Generation) {
    if (profile.kind !== 'process') return [];
    return profile.components.map((component) => ({ what: component.name, found: 'not running' }));
  }
}
