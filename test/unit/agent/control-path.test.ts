/** Asking for the ways to the control plane ends when nobody wants to know any more (agent/control-path.ts). */
import { expect, test } from 'bun:test';
import { controlPath } from '#agent/control-path.ts';
import type { MqttLink } from '#link/mqtt.ts';
import { codeOf } from '../../support/store.ts';

/** A broker that never answers, and a clock on which nothing comes due. */
function silent() {
  const counts = { renewed: 0, left: 0 };
  const never = (_ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) resolve();
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  const mqtt = {
    listen: () => () => {
      counts.left += 1;
    },
    renew() {
      counts.renewed += 1;
    },
    kick: () => {},
    state: () => ({ kind: 'down', since: 0, lastFault: null, protocol: '5' }),
  } as unknown as MqttLink;
  const platform = { clock: { sleep: never, monotonicMs: () => 0 } };
  const path = controlPath({
    ...{ config: { registries: [] }, channel: 'stable', link: {}, mqtt },
    platform,
  } as unknown as Parameters<typeof controlPath>[0]);
  return { path, counts };
}

async function rounds(): Promise<string> {
  for (let round = 0; round < 50; round += 1) await Promise.resolve();
  return 'still asks';
}

function asked(path: ReturnType<typeof controlPath>, signal: AbortSignal): Promise<string> {
  const within = { windowMs: 60_000, signal, point: '1.2' };
  return Promise.race([path.comesBack(['broker'], within).then(codeOf), rounds()]);
}

/** Seed 720682: the device was cut off and stayed in phase proving for good. */
test('a state that was superseded before its proof began does not wait for a broker', async () => {
  const { path, counts } = silent();
  expect(await asked(path, AbortSignal.abort())).toBe('apply.superseded');
  expect(counts).toEqual({ renewed: 0, left: 0 });
});

test('one that is superseded while it waits stops waiting, and listens no more', async () => {
  const { path, counts } = silent();
  const stop = new AbortController();
  expect(await asked(path, stop.signal)).toBe('still asks');
  const ended = asked(path, stop.signal);
  stop.abort();
  expect(await ended).toBe('apply.superseded');
  await rounds();
  expect(counts).toEqual({ renewed: 2, left: 2 });
});
