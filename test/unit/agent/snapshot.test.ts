/** The condition of a channel: from the row, the runtimes, health and drift, never from intent. */
import { describe, expect, test } from 'bun:test';
import type { Follower } from '#agent/follow.ts';
import { channelStatus } from '#agent/snapshot.ts';
import type { Health } from '#apply/health.ts';
import { emptyRow } from '#apply/journal.ts';
import type { Condition, Deviation, Runtime } from '#apply/runtimes/runtime.ts';
import { fault } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { generation } from '../../support/generations.ts';
import { channelRow, FLEET } from '../../support/store.ts';

const HEALTHY: Health = { health: 'healthy', code: '', message: '', restarts: 0 };
const UP: Condition = { running: 'yes', upMs: 5_000, restarts: 0, message: '' };

interface Seen {
  readonly row?: ChannelRow;
  readonly condition?: Condition;
  readonly health?: Health;
  readonly drift?: readonly Deviation[];
  readonly waiting?: boolean;
  readonly safeMode?: boolean;
}

function status(seen: Seen = {}) {
  const waiting = seen.waiting ? fault('agent.paused', { offered: '1.2' }) : null;
  const follower = {
    channel: 'stable',
    row: () => seen.row ?? emptyRow(FLEET, 'stable'),
    waitingFor: () => waiting,
    refusal: () => null,
    paused: () => false,
  } as unknown as Follower;
  return channelStatus({
    follower,
    current: [generation({ id: 'line', kind: 'process' })],
    runtimeOf: () => ({ condition: () => seen.condition ?? UP }) as unknown as Runtime,
    healthOf: () => seen.health ?? HEALTHY,
    drift: new Map(seen.drift ? [['line', seen.drift]] : []),
    safeMode: seen.safeMode ?? false,
  });
}

describe('the status of a channel', () => {
  test('all is well: idle, not degraded, healthy', () => {
    expect(status()).toMatchObject({ phase: 'idle', degraded: false, waitingFor: '' });
    expect(status().deployments).toMatchObject([{ id: 'line', health: 'healthy', code: '' }]);
  });
  for (const [what, seen, deployment] of [
    [
      'a program that is gone',
      { condition: { ...UP, running: 'no' } },
      { health: 'stopped', code: 'apply.not-running' },
    ],
    [
      'a check that fails',
      { health: { ...HEALTHY, health: 'unhealthy', code: 'apply.health-failed' } },
      { health: 'unhealthy', code: 'apply.health-failed' },
    ],
    [
      'a file that was edited',
      { drift: [{ what: '/opt/line', found: 'other bytes' }] },
      { health: 'unhealthy' },
    ],
  ] as const) {
    test(`${what} is degraded, and the deployment says why`, () => {
      expect(status(seen).degraded).toBe(true);
      expect(status(seen).deployments[0]).toMatchObject(deployment);
    });
  }
  test('a program that starts is starting, and that is not degraded', () => {
    const starting = status({ condition: { ...UP, running: 'starting' } });
    expect(starting).toMatchObject({ degraded: false, deployments: [{ health: 'starting' }] });
  });
  test('what waits says for what; an open change shows its phase; safe mode covers all', () => {
    expect(status({ waiting: true })).toMatchObject({
      phase: 'waiting',
      waitingFor: 'agent.paused',
    });
    expect(status({ row: channelRow(2) }).phase).toBe('proving');
    expect(status({ row: channelRow(2), safeMode: true }).phase).toBe('safe-mode');
  });
});
