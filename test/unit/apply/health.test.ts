/** Check 21: the proof after an activation and the watch afterwards, on a clock that stands still. */
import { describe, expect, test } from 'bun:test';
import { checksOf, healthMonitor, proveHealthy } from '#apply/health.ts';
import type { ProbeTools } from '#apply/probes/catalogue.ts';
import type { Condition } from '#apply/runtimes/runtime.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Processes, RunEnd } from '#platform/processes.ts';
import type { HealthCheck } from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';
import { generation } from '../../support/generations.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';
import { codeOf } from '../../support/store.ts';

const UP: Condition = { running: 'yes', upMs: 5_000, restarts: 0, message: '' };
const DOWN: Condition = { running: 'no', upMs: 0, restarts: 0, message: 'server: ended' };

/** Exec checks answer what `answer` says at their moment, `condition` is that of every program. */
function world(answer: (atMs: number) => boolean, condition?: (clock: ManualClock) => Condition) {
  const clock = manualClock();
  const since = (): Condition => ({ ...UP, upMs: UP.upMs + clock.monotonicMs() });
  const asked: number[] = [];
  let takesMs = 0;
  const run: Processes['run'] = async (): Promise<Result<RunEnd>> => {
    asked.push(clock.monotonicMs());
    const healthy = answer(clock.monotonicMs());
    if (takesMs > 0) await clock.sleep(takesMs);
    return ok({ code: healthy ? 0 : 1, signal: null, timedOut: false, output: 'not yet' });
  };
  const tools: ProbeTools = {
    clock,
    http: { request: () => Promise.reject(new Error('no network here')) },
    sockets: {
      connect: () => Promise.reject(new Error('no network here')),
      secure: () => Promise.reject(new Error('no network here')),
    },
    processes: {
      run,
      self: { pid: 1, uid: 0, isInit: false, becomesOthers: true },
    } as unknown as Processes,
    users: { defaultUser: null, allowRoot: true },
    conditionOf: () => condition?.(clock) ?? since(),
  };
  return {
    clock,
    tools,
    asked,
    takes(ms: number) {
      takesMs = ms;
    },
  };
}

function check(more: Partial<HealthCheck> = {}): HealthCheck {
  const plain = { startPeriodMs: 0, intervalMs: 1_000, timeoutMs: 500, retries: 1 };
  return { name: 'script', probe: { kind: 'exec', command: ['/check'] }, ...plain, ...more };
}

const checked = (...health: readonly HealthCheck[]) => generation({ id: 'line', health });

/** The result, and at which moment it came. */
async function proof(
  at: { readonly clock: ManualClock; readonly tools: ProbeTools },
  generations: readonly Generation[],
  windowMs: number,
  signal = new AbortController().signal,
): Promise<{ code: string; message: string; atMs: number }> {
  let end: { code: string; message: string; atMs: number } | null = null;
  void proveHealthy(at.tools, generations, { windowMs, signal, point: '1.2' }).then((result) => {
    const message = result.ok ? '' : result.fault.message;
    end = { code: codeOf(result), message, atMs: at.clock.monotonicMs() };
  });
  for (let step = 0; end === null && step < 1_000; step += 1) await at.clock.advance(50);
  return end ?? { code: 'no end', message: '', atMs: -1 };
}

describe('the proof', () => {
  test('without checks and window it is there at once', async () => {
    const at = world(() => true);
    expect(await proof(at, [checked()], 0)).toMatchObject({ code: 'ok', atMs: 0 });
    expect(at.clock.pending()).toBe(0);
  });

  test('every check has to pass once', async () => {
    const at = world((ms) => ms >= 3_000);
    const patient = checked(check({ startPeriodMs: 10_000 }));
    expect(await proof(at, [patient], 0)).toMatchObject({ code: 'ok', atMs: 3_000 });
  });

  for (const [retries, startPeriodMs, failsAt] of [
    [1, 0, 0],
    [3, 0, 2_000],
    [2, 2_500, 4_000],
  ] as const) {
    test(`${retries} failures in a row after ${startPeriodMs} ms are enough`, async () => {
      const at = world(() => false);
      const end = await proof(at, [checked(check({ retries, startPeriodMs }))], 60_000);
      expect(end).toMatchObject({ code: 'apply.health-failed', atMs: failsAt });
      expect(end.message).toBe('line: health check script failed: ended with 1: not yet');
    });
  }

  test('a failure between passes does not count where retries allow it', async () => {
    const at = world((ms) => ms % 2_000 === 0);
    const end = await proof(at, [checked(check({ retries: 2 }))], 10_000);
    expect(end).toMatchObject({ code: 'ok', atMs: 10_000 });
  });

  test('L18: a check that passes once and fails in the window fails the proof', async () => {
    const at = world((ms) => ms < 3_000);
    const end = await proof(at, [checked(check())], 10_000);
    expect(end).toMatchObject({ code: 'apply.health-failed', atMs: 3_000 });
  });

  test('the last look is at the end of the window', async () => {
    const at = world((ms) => ms < 2_500);
    const end = await proof(at, [checked(check())], 2_500);
    expect(end).toMatchObject({ code: 'apply.health-failed', atMs: 2_500 });
  });

  test('one of several that fails ends all of them, and no timer is left', async () => {
    const at = world(() => false);
    const good = generation({ id: 'good', kind: 'process' });
    const end = await proof(at, [good, checked(check())], 60_000);
    expect(end.code).toBe('apply.health-failed');
    expect(at.clock.pending()).toBe(0);
  });

  test('a newer state ends it at once', async () => {
    const at = world(() => true);
    const stop = new AbortController();
    at.clock.after(1_500, () => stop.abort());
    const end = await proof(at, [checked(check())], 60_000, stop.signal);
    expect(end).toMatchObject({ code: 'apply.superseded', atMs: 1_500 });
    expect(at.clock.pending()).toBe(0);
  });

  test('L10: a failure seen by a loop that was late by more than a second is forgiven once', async () => {
    const at = world((ms) => ms > 2_000);
    at.takes(1_800);
    expect(await proof(at, [checked(check())], 0)).toMatchObject({ code: 'ok' });
    const again = world(() => false);
    again.takes(1_800);
    expect(await proof(again, [checked(check())], 0)).toMatchObject({
      code: 'apply.health-failed',
    });
    expect(again.asked).toHaveLength(2);
  });
});

describe('alive', () => {
  const program = generation({ id: 'pager', kind: 'process' });

  test('is made for every program, once, and can be declared instead', () => {
    expect(checksOf(program).map(({ name }) => name)).toEqual(['alive']);
    const own = check({ name: 'mine', probe: { kind: 'alive' }, retries: 5 });
    const declared = generation({ id: 'pager', kind: 'process', health: [own] });
    expect(checksOf(declared)).toEqual([own]);
    expect(checksOf(checked())).toEqual([]);
  });

  test('passes as soon as the program has lived long enough', async () => {
    const at = world(
      () => true,
      () => ({ ...UP, upMs: at.clock.monotonicMs() }),
    );
    const end = await proof(at, [program], 0);
    expect(end).toMatchObject({ code: 'ok', atMs: 1_000 });
  });

  test('fails at once when it is not running, with its reason', async () => {
    const at = world(
      () => true,
      () => (at.clock.monotonicMs() < 400 ? { ...UP, upMs: 0 } : DOWN),
    );
    const end = await proof(at, [program], 0);
    expect(end).toMatchObject({ code: 'apply.health-failed', atMs: 400 });
    expect(end.message).toBe('pager: health check alive failed: server: ended');
  });

  test('L18: a program that dies in the window and is started again fails it', async () => {
    const at = world(
      () => true,
      () => (at.clock.monotonicMs() < 3_000 ? UP : { ...UP, restarts: 1 }),
    );
    const end = await proof(at, [program], 10_000);
    expect(end).toMatchObject({ code: 'apply.health-failed', atMs: 3_000 });
  });
});

describe('the watch', () => {
  test('tells when health changes, and only then', async () => {
    const at = world((ms) => ms < 20_000 || ms > 40_000);
    const told: string[] = [];
    const monitor = healthMonitor(at.tools, ({ id }) => {
      told.push(`${id} ${monitor.health(line).health} ${at.clock.monotonicMs() / 1_000}`);
    });
    const line = checked(check({ intervalMs: 5_000, retries: 2 }));
    monitor.watch([line]);
    monitor.watch([line]);
    await at.clock.advance(60_000);
    expect(told).toEqual(['line healthy 0', 'line unhealthy 25', 'line healthy 45']);
    expect(at.asked).toHaveLength(13);
    monitor.watch([]);
    await at.clock.advance(60_000);
    expect(at.asked).toHaveLength(13);
    expect(at.clock.pending()).toBe(0);
  });

  test('is starting until its checks have passed once, looked for as often as they say', async () => {
    const at = world((ms) => ms >= 400);
    const monitor = healthMonitor(at.tools, () => {});
    const line = checked(check({ intervalMs: 100, retries: 10 }));
    monitor.watch([line]);
    expect(monitor.health(line)).toMatchObject({ health: 'starting', code: '' });
    await at.clock.advance(300);
    expect(monitor.health(line).health).toBe('starting');
    await at.clock.advance(100);
    expect(monitor.health(line).health).toBe('healthy');
    expect(at.asked).toEqual([0, 100, 200, 300, 400]);
    monitor.close();
  });

  test('what was proven a moment ago is healthy before it is looked at', async () => {
    const at = world(() => true);
    const told: string[] = [];
    const monitor = healthMonitor(at.tools, ({ id }) => void told.push(id));
    const line = checked(check({ intervalMs: 5_000 }));
    monitor.proven([line]);
    monitor.watch([line]);
    expect(monitor.health(line).health).toBe('healthy');
    await at.clock.advance(10_000);
    expect(told).toEqual([]);
    monitor.close();
  });

  test('I8: a program that was started anew is starting until it was looked at itself', async () => {
    let startedMs = -5_000;
    const at = world(
      () => true,
      (clock) => ({ ...UP, upMs: clock.monotonicMs() - startedMs }),
    );
    const told: string[] = [];
    const monitor = healthMonitor(at.tools, () => told.push(monitor.health(line).health));
    const line = checked(check({ intervalMs: 1_000 }));
    monitor.watch([line]);
    await at.clock.advance(7_000);
    expect([monitor.health(line).health, told]).toEqual(['healthy', ['healthy']]);
    // Undone back to it, or ended and started again: what was seen was another process.
    startedMs = at.clock.monotonicMs();
    expect(monitor.health(line)).toMatchObject({
      health: 'starting',
      message: 'check script has not passed yet',
    });
    await at.clock.advance(5_000);
    expect([monitor.health(line).health, told]).toEqual(['healthy', ['healthy', 'healthy']]);
    startedMs = at.clock.monotonicMs();
    await at.clock.advance(100);
    monitor.watch([line]);
    await at.clock.advance(10);
    expect(monitor.health(line).health).toBe('healthy');
    monitor.close();
  });

  test('asks no more often than every 5 s, and of programs alone nothing', async () => {
    const at = world(() => true);
    const monitor = healthMonitor(at.tools, () => {});
    monitor.watch([checked(check({ intervalMs: 100 })), generation({ id: 'p', kind: 'process' })]);
    await at.clock.advance(10_000);
    expect(at.asked).toEqual([0, 5_000, 10_000]);
    monitor.close();
    expect(at.clock.pending()).toBe(0);
  });

  test('health of programs is read from the process table', () => {
    let condition = UP;
    const at = world(
      () => true,
      () => condition,
    );
    const monitor = healthMonitor(at.tools, () => {});
    const program = generation({ id: 'pager', kind: 'process' });
    expect(monitor.health(program)).toMatchObject({ health: 'healthy', code: '' });
    condition = { ...DOWN, running: 'starting', restarts: 3 };
    expect(monitor.health(program)).toMatchObject({ health: 'starting', restarts: 3 });
    condition = DOWN;
    expect(monitor.health(program)).toMatchObject({
      health: 'unhealthy',
      message: 'server: ended',
    });
  });
});
