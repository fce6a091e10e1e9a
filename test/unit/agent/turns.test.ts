/** One transaction at a time per device: turns in the order in which channels were ready. */
import { describe, expect, test } from 'bun:test';
import { turns } from '#agent/turns.ts';

const never = new AbortController().signal;

describe('turns', () => {
  test('one at a time, in the order in which they were asked for', async () => {
    const desk = turns();
    const order: string[] = [];
    const first = await desk.take('oem', never);
    const waiting = ['stable', 'beta'].map(async (channel) => {
      const end = await desk.take(channel, never);
      order.push(`${channel} ${desk.holder()}`);
      end?.();
    });
    expect(desk.holder()).toBe('oem');
    expect(order).toEqual([]);
    first?.();
    await Promise.all(waiting);
    expect(order).toEqual(['stable stable', 'beta beta']);
    expect({ holder: desk.holder(), ended: desk.ended() }).toEqual({ holder: null, ended: 3 });
  });

  test('who gives up while waiting has no turn, and keeps nobody else from one', async () => {
    const desk = turns();
    const end = await desk.take('oem', never);
    const gone = new AbortController();
    const given = desk.take('stable', gone.signal);
    const next = desk.take('beta', never);
    gone.abort();
    expect(await given).toBeNull();
    end?.();
    expect(await next).not.toBeNull();
    expect(desk.holder()).toBe('beta');
    expect(await desk.take('late', AbortSignal.abort())).toBeNull();
  });

  test('a turn that ends twice ends once', async () => {
    const desk = turns();
    const end = await desk.take('oem', never);
    end?.();
    const other = await desk.take('stable', never);
    end?.();
    expect(desk.holder()).toBe('stable');
    other?.();
    expect(desk.ended()).toBe(2);
  });
});
