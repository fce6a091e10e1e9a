/** History and events as people read them. */
import { describe, expect, test } from 'bun:test';
import { EVENTS, eventOf, eventOfFault } from '#report/events.ts';
import { historyFields } from '#report/history.ts';
import { sha256 } from '#state/digest.ts';

const POINT = { epoch: 1n, sequence: 57n, stateDigest: sha256(new Uint8Array()), at: 0 };

describe('a line of history', () => {
  test('is text', () => {
    expect(
      historyFields({
        number: 12n,
        at: Date.UTC(2026, 10, 23, 12),
        channel: 'stable',
        outcome: 'applied',
        point: POINT,
        via: 'registry',
        code: null,
        message: '',
        tookMs: 850.4,
      }),
    ).toEqual({
      number: '12',
      at: '2026-11-23T12:00:00.000Z',
      channel: 'stable',
      outcome: 'applied',
      point: '1.57',
      digest: POINT.stateDigest,
      via: 'registry',
      code: '',
      message: '',
      took: '850ms',
    });
  });

  for (const [tookMs, took] of [
    [0, '0ms'],
    [-5, '0ms'],
    [999.4, '999ms'],
    [3_240, '3.2s'],
    [250_000, '4m10s'],
    [3_600_000, '60m0s'],
  ] as const) {
    test(`that took ${tookMs} ms says ${took}`, () => {
      const none = { point: null, via: null, code: null, message: '' };
      const row = {
        number: 1n,
        at: Number.NaN,
        channel: 'c',
        outcome: 'refused',
        ...none,
      } as const;
      expect(historyFields({ ...row, tookMs })).toMatchObject({ took, at: '', point: '' });
    });
  }
});

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
