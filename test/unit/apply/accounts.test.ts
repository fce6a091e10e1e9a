/** Users of programs and hooks, and the end of programs that do not end. */
import { describe, expect, test } from 'bun:test';
import { accountOf } from '#apply/accounts.ts';
import { endSessions } from '#apply/runtimes/process-end.ts';
import { ok } from '#errors/fault.ts';
import type { Processes } from '#platform/processes.ts';
import { manualClock } from '../../support/manual-clock.ts';

function processes(uid: number, becomesOthers = uid === 0): Processes {
  const users: Record<string, number> = { root: 0, plc: 1000, other: 1001 };
  return {
    self: { pid: 1, uid, isInit: false, becomesOthers },
    user: (name: string) => ok({ uid: users[name] ?? 0, gid: users[name] ?? 0 }),
    signalSession: () => ok(undefined),
    session: () => [4711],
  } as unknown as Processes;
}

describe('as whom a program runs', () => {
  const who = (user: string | null) => ({ deployment: 'line', component: 'main', user });
  for (const [agent, user, defaultUser, allowRoot, ends] of [
    [0, 'plc', null, false, 'uid 1000'],
    [0, null, 'plc', false, 'uid 1000'],
    [0, null, null, false, 'apply.root-denied'],
    [0, 'root', null, false, 'apply.root-denied'],
    [0, 'root', null, true, 'uid 0'],
    [1000, null, null, false, 'as the agent'],
    [1000, 'plc', null, false, 'as the agent'],
    [1000, 'other', null, false, 'apply.user-denied'],
  ] as const) {
    test(`agent ${agent}, user ${user}, default ${defaultUser}, allowRoot ${allowRoot}: ${ends}`, () => {
      const account = accountOf(processes(agent), { defaultUser, allowRoot }, who(user));
      const said = !account.ok
        ? account.fault.code
        : account.value
          ? `uid ${account.value.uid}`
          : 'as the agent';
      expect(said).toBe(ends);
    });
  }

  test('with the capabilities for it, an agent of its own user starts programs as others', () => {
    const rules = { defaultUser: 'plc', allowRoot: false };
    expect(accountOf(processes(1000, true), rules, who('other'))).toMatchObject({
      value: { uid: 1001 },
    });
    expect(accountOf(processes(1000, true), rules, who('plc'))).toEqual(ok(null));
    const root = accountOf(processes(1000, true), rules, who('root'));
    expect(!root.ok && root.fault.code).toBe('apply.root-denied');
  });
});

test('a program that even SIGKILL does not end (a disk that hangs) is told: apply.stop-failed', async () => {
  const clock = manualClock();
  const tools = { processes: processes(0), clock };
  const ended = endSessions(tools, 'line', () => ok(new Set([4711])), {
    signal: 'SIGTERM',
    timeoutMs: 1_000,
  });
  await clock.advance(60_000);
  const end = await ended;
  expect(!end.ok && end.fault.code).toBe('apply.stop-failed');
  expect(!end.ok && end.fault.message).toContain('4711');
});
