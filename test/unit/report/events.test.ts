/** Events as people read them. */
import { describe, expect, test } from 'bun:test';
import { EVENTS, eventOf, eventOfFault } from '#report/events.ts';
import { sha256 } from '#state/digest.ts';

const POINT = { epoch: 1n, sequence: 57n, stateDigest: sha256(new Uint8Array()), at: 0 };

describe('an event', () => {
  test('has its code, place and text', () => {
    const event = eventOf(
      'state.applied',
      { at: 5, channel: 'stable' },
      { point: POINT, via: 'registry', tookMs: 850 },
    );
    expect(event).toEqual({
      at: 5,
      code: 'state.applied',
      channel: 'stable',
      deployment: '',
      message: '1.57 applied (registry) in 850 ms',
    });
  });

  test('of a fault has the code and message of the fault', () => {
    const fault = { code: 'apply.health-failed', message: 'line: tcp failed' } as const;
    expect(eventOfFault(fault, { at: 5, deployment: 'line' })).toMatchObject(fault);
  });

  test('codes are dotted words, so that they never meet a fault by chance of spelling', () => {
    for (const code of Object.keys(EVENTS)) expect(code).toMatch(/^[a-z]+\.[a-z]+(?:-[a-z]+)*$/);
  });
});
