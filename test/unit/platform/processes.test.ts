/** Real programs: sessions, identities, output, ends. */
import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { spawn as spawnChild } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from '#errors/fault.ts';
import { readStat } from '#platform/node/proc.ts';
import { systemProcesses } from '#platform/node/processes.ts';
import { findGroup, findUser } from '#platform/node/users.ts';
import type { Program } from '#platform/processes.ts';

const processes = systemProcesses();
const folder = mkdtempSync(join(tmpdir(), 'holdfast-run-'));
chmodSync(folder, 0o755);
const started: number[] = [];
const isRoot = process.getuid?.() === 0;
let outputs = 0;

afterEach(() => {
  for (const session of started.splice(0)) processes.signalSession(session, 'SIGKILL');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}
const reason = (result: Result<unknown>): string =>
  result.ok ? 'ok' : `${result.fault.code} ${result.fault.message}`;

function shell(script: string, more: Partial<Program> = {}): Program {
  outputs += 1;
  return {
    command: ['/bin/sh', '-c', script],
    env: { PATH: '/usr/bin:/bin' },
    directory: '/',
    output: join(folder, `${outputs}.log`),
    ...more,
  };
}

async function start(program: Program) {
  const child = must(await processes.spawn(program));
  started.push(child.identity.pid);
  return child;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('spawn', () => {
  test('leads a session of its own, with exactly the environment, stdin null, output appended', async () => {
    const program = shell('env | sort; readlink /proc/self/fd/0; echo err >&2', {
      env: { A: '1', B: 'two words' },
      directory: '/tmp',
    });
    writeFileSync(program.output, 'before\n');
    const child = await start(program);
    expect(readStat(child.identity.pid)?.session).toBe(child.identity.pid);
    expect(await child.exited).toEqual({ code: 0, signal: null, timedOut: false, output: '' });
    const lines = readFileSync(program.output, 'utf8').split('\n');
    expect(lines).toEqual(['before', 'A=1', 'B=two words', 'PWD=/tmp', '/dev/null', 'err', '']);
  });

  test('names the process for ever: another start time or boot is another process', async () => {
    const { identity, exited } = await start(shell('exec sleep 60'));
    expect(processes.alive(identity)).toBe(true);
    expect(processes.alive({ ...identity, startTicks: identity.startTicks + 1n })).toBe(false);
    expect(processes.alive({ ...identity, bootId: 'another' })).toBe(false);
    must(processes.signalSession(identity.pid, 'SIGTERM'));
    expect((await exited).signal).toBe('SIGTERM');
    expect(processes.alive(identity)).toBe(false);
  });

  test('a program that ends at once still has an identity and an end', async () => {
    const child = await start(shell('exit 7'));
    expect(child.identity.startTicks).toBeGreaterThan(0n);
    expect((await child.exited).code).toBe(7);
  });

  test('its output file is no link and not for everybody', async () => {
    const program = shell('echo x');
    await (await start(program)).exited;
    expect(statSync(program.output).mode & 0o7).toBe(0);
  });

  test.skipIf(!isRoot)('becomes the user, without the groups of root (needs root)', async () => {
    const program = shell('id -u; id -g; id -G; umask', { uid: 65_534, gid: 65_534 });
    expect((await (await start(program)).exited).code).toBe(0);
    expect(readFileSync(program.output, 'utf8')).toBe('65534\n65534\n65534\n0022\n');
  });

  const script = join(folder, 'script');
  writeFileSync(script, '#!/no/such/interpreter\n', { mode: 0o755 });
  const text = join(folder, 'text');
  writeFileSync(text, 'hello', { mode: 0o644 });
  const foreign = join(folder, 'foreign');
  writeFileSync(foreign, Buffer.from([0x7f, 0x45, 0x4c, 0x46, 9, 9, 9, 9]), { mode: 0o755 });
  for (const [name, program, words] of [
    ['a missing program', { command: ['/no/such'] }, 'there is no such file'],
    ['a missing directory', { directory: '/no/such' }, 'its directory /no/such is not there'],
    ['a missing interpreter', { command: [script] }, 'interpreter or loader'],
    ['a file that is not executable', { command: [text] }, 'not executable'],
    ['a directory', { command: ['/tmp'] }, 'it is a directory'],
    ['a damaged executable', { command: [foreign] }, 'no program for this machine'],
  ] as const) {
    test(`${name} is platform.exec`, async () => {
      const result = await processes.spawn(shell('', program));
      expect(reason(result)).toStartWith('platform.exec');
      expect(reason(result)).toContain(words);
    });
  }
});

describe('sessions', () => {
  test('a signal reaches every process of the session, grandchildren included', async () => {
    const child = await start(shell('sleep 61 & sleep 62 & wait'));
    await until('three processes', () => processes.session(child.identity.pid).length === 3);
    must(processes.signalSession(child.identity.pid, 'SIGKILL'));
    await child.exited;
    await until('nobody', () => processes.session(child.identity.pid).length === 0);
    expect(reason(processes.signalSession(child.identity.pid, 'SIGKILL'))).toBe('ok');
  });

  test('the own session and those of the system are never signalled', () => {
    const own = readStat(process.pid)?.session ?? 0;
    for (const session of [0, 1, own]) {
      expect(() => processes.signalSession(session, 'SIGTERM')).toThrow();
    }
  });

  test('a zombie counts as dead', async () => {
    // A parent that became another program before its child ended: it never waits.
    const parent = spawnChild('/bin/sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60']);
    const pid = await new Promise<number>((resolve) =>
      parent.stdout.once('data', (chunk) => resolve(Number(chunk.toString()))),
    );
    await until('a zombie', () => readStat(pid)?.state === 'Z');
    const stat = readStat(pid);
    const bootId = processes.bootId();
    expect(processes.alive({ pid, startTicks: stat?.startTicks ?? 0n, bootId })).toBe(false);
    expect(processes.session(stat?.session ?? 0)).not.toContain(pid);
    parent.kill('SIGKILL');
  });
});

describe('instances', () => {
  test('are found by HOLDFAST_INSTANCE in the environment, with user and session', async () => {
    const instance = `line/sha256:${'a'.repeat(64)}`;
    const env = { HOLDFAST_INSTANCE: instance, HOLDFAST_COMPONENT: 'plc' };
    const child = await start(shell('exec sleep 60', { env: { ...env, PATH: '/bin' } }));
    await start(shell('exec sleep 60', { env: { NOT_HOLDFAST_INSTANCE: 'x', PATH: '/bin' } }));
    await until('exec', () =>
      must(processes.instances()).some(({ identity }) => identity.pid === child.identity.pid),
    );
    const found = must(processes.instances()).filter((one) => one.instance === instance);
    expect(found).toEqual([
      {
        identity: child.identity,
        session: child.identity.pid,
        uid: process.getuid?.() ?? -1,
        instance,
        component: 'plc',
      },
    ]);
  });
});

describe('run', () => {
  test('gives code and output', async () => {
    const end = must(await processes.run(shell('echo out; exit 3'), 5_000));
    expect(end).toEqual({ code: 3, signal: null, timedOut: false, output: 'out\n' });
  });

  test('keeps the last 16 KiB of an endless output', async () => {
    const end = must(await processes.run(shell('yes | head -c 5000000; echo end'), 20_000));
    expect(end.output.length).toBe(16 * 1024);
    expect(end.output).toEndWith('y\nend\n');
  });

  test('one that ignores SIGTERM and leaves a grandchild with its output ends in time (L18)', async () => {
    const before = performance.now();
    const marker = `6${Date.now()}`;
    const script = `trap "" TERM; (trap "" TERM; exec sleep ${marker}) & sleep ${marker}`;
    const end = must(await processes.run(shell(script), 200));
    expect(end).toMatchObject({ timedOut: true, signal: 'SIGKILL' });
    expect(performance.now() - before).toBeLessThan(3_000);
    const left = must(await processes.run(shell(`pgrep -f "sleep ${marker}" | grep -v $$`), 5_000));
    expect(left.output.trim()).toBe('');
  });

  test('one that ends well does not wait for what it left behind, and ends it', async () => {
    const end = must(await processes.run(shell('sleep 63 & echo $!'), 5_000));
    expect(end).toMatchObject({ code: 0, timedOut: false });
    const pid = Number(end.output);
    expect(pid).toBeGreaterThan(1);
    await until('the end of the rest', () => (readStat(pid)?.state ?? 'Z') === 'Z');
  });
});

describe('users', () => {
  const files = { passwd: join(folder, 'passwd'), group: join(folder, 'group') };
  writeFileSync(files.passwd, 'root:x:0:0::/:/bin/sh\nplc:x:1001:2001::/:/bin/sh\nbad:x:no:1::\n');
  writeFileSync(files.group, 'root:x:0:\nplc:x:2001:\ndialout:x:20:plc\n');
  for (const [user, group, expected] of [
    ['root', null, { uid: 0, gid: 0 }],
    ['plc', null, { uid: 1001, gid: 2001 }],
    ['plc', 'dialout', { uid: 1001, gid: 20 }],
    ['plc', '77', { uid: 1001, gid: 77 }],
    ['1001', null, { uid: 1001, gid: 2001 }],
    ['5000', null, { uid: 5000, gid: 5000 }],
    ['5000', '20', { uid: 5000, gid: 20 }],
    ['nobody-here', null, null],
    ['plc', 'nothing', null],
    ['bad', null, null],
    ['', null, null],
    ['-1', null, null],
    ['4294967295', null, null],
    ['0x10', null, null],
  ] as const) {
    test(`${JSON.stringify(user)} with group ${group}: ${JSON.stringify(expected)}`, () => {
      const found = findUser(user, group, files);
      expect(found.ok ? found.value : null).toEqual(expected);
      if (!found.ok) expect(found.fault.code).toBe('platform.no-user');
    });
  }

  test('a group by name', () => expect(findGroup('dialout', files)).toBe(20));
});
