/** The phase table, every pair of phase and event. */
import { describe, expect, test } from 'bun:test';
import { nextPhase, PHASES } from '#apply/phases.ts';

const phases = [...new Set(PHASES.flatMap(([from, , to]) => [from, to]))];
const events = [...new Set(PHASES.map(([, event]) => event))];

describe('the phase table', () => {
  for (const from of phases) {
    for (const event of events) {
      const row = PHASES.find(([phase, on]) => phase === from && on === event);
      test(`${from} on ${event}: ${row ? row[2] : 'does not belong there'}`, () => {
        expect(nextPhase(from, event)?.phase).toBe(row?.[2] as never);
        expect(nextPhase(from, event)?.durable).toBe(row?.[3] as never);
      });
    }
  }
  test('one phase and one event have one answer', () => {
    const keys = PHASES.map(([from, event]) => `${from} ${event}`);
    expect(new Set(keys).size).toBe(keys.length);
  });
  test('every phase but idle can be left, and idle is reached from every one', () => {
    for (const phase of phases) {
      const reached = new Set([phase]);
      for (let grown = true; grown; ) {
        grown = false;
        for (const [from, , to] of PHASES) {
          if (reached.has(from) && !reached.has(to)) {
            reached.add(to);
            grown = true;
          }
        }
      }
      expect(reached.has('idle')).toBe(true);
    }
  });
  test('what has an effect on the device is durable before it begins', () => {
    for (const [, , to, durable] of PHASES) {
      if (['activating', 'proving', 'undoing', 'stuck'].includes(to)) expect(durable).toBe(true);
    }
  });
});
