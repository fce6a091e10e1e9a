/** What every trigger keeps to, whatever wakes it (triggers/trigger.ts). */
import { describe, expect, test } from 'bun:test';
import type { Trigger, Wake } from '#triggers/trigger.ts';

export interface TriggerUnderTest {
  readonly trigger: Trigger;
  /** brings about what the trigger waits for, once */
  cause(): Promise<void> | void;
  /** timers that wait */
  pending(): number;
}

export function triggerContract(name: string, make: () => TriggerUnderTest): void {
  describe(`the trigger ${name}`, () => {
    test('has its name', () => expect(make().trigger.name).toBe(name));

    test('wakes nobody while it starts, and no timer runs before', () => {
      const { trigger, pending } = make();
      expect(pending()).toBe(0);
      const wakes: Wake[] = [];
      trigger.start((wake) => wakes.push(wake))();
      expect(wakes).toEqual([]);
    });

    test('wakes once for one cause', async () => {
      const { trigger, cause } = make();
      const wakes: Wake[] = [];
      const stop = trigger.start((wake) => wakes.push(wake));
      await cause();
      expect(wakes).toHaveLength(1);
      await cause();
      expect(wakes).toHaveLength(2);
      stop();
    });

    test('is silent after its stop, which may come twice, and leaves no timer', async () => {
      const { trigger, cause, pending } = make();
      const wakes: Wake[] = [];
      const stop = trigger.start((wake) => wakes.push(wake));
      stop();
      stop();
      await cause();
      expect(wakes).toEqual([]);
      expect(pending()).toBe(0);
    });

    test('starts again after a stop', async () => {
      const { trigger, cause } = make();
      const wakes: Wake[] = [];
      trigger.start(() => {})();
      const stop = trigger.start((wake) => wakes.push(wake));
      await cause();
      expect(wakes).toHaveLength(1);
      stop();
    });
  });
}
