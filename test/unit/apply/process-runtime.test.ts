/** The runtime `process` in detail, with real programs: what the contract suite does not say. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type ProcessRuntime, processRuntime } from '#apply/runtimes/process.ts';
import { tokenOf } from '#apply/runtimes/process-identity.ts';
import type { Deployment, ProcessComponent } from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';
import {
  livePrograms,
  program,
  type RuntimeWorld,
  runtimeWorld,
} from '../../contract/runtime-world.ts';
import { eventually } from '../../support/eventually.ts';
import { isRoot } from '../../support/parts.ts';
import { codeOf, value } from '../../support/store.ts';

let world: RuntimeWorld;
let made: ProcessRuntime[];
/** started by a test itself, and not for the runtime to end */
let besides: Bun.Subprocess[];
beforeEach(() => {
  world = runtimeWorld();
  made = [];
  besides = [];
});
afterEach(async () => {
  for (const each of besides) each.kill();
  for (const runtime of made) runtime.release();
  value(await processRuntime(world.options).stopAll());
  world.end();
});

/** A runtime without memory; the one before lets go, as at the end of an agent. */
function fresh(users = world.options.users): ProcessRuntime {
  for (const runtime of made) runtime.release();
  const runtime = processRuntime({ ...world.options, users });
  made.push(runtime);
  return runtime;
}

function script(
  text: string,
  component: Partial<ProcessComponent> = {},
  more: Partial<Deployment> = {},
): Generation {
  return world.generation(
    'pager',
    { 'bin/pager': `#!/bin/sh\n${text}\n` },
    { profile: { kind: 'process', components: [program('bin/pager', component)] }, ...more },
  );
}

const SLEEP = 'exec sleep 1000';
/** references to parameters, as documents have them */
const reference = (name: string) => `\${${name}}`;
const PORT = reference('port');
const NOTHING = reference('nothing');
const live = () => livePrograms(world);
const pids = () => live().map(({ identity }) => identity.pid);
const log = () => readFileSync(`${world.stateDir}/logs/pager.server.log`, 'utf8');
const out = (name: string) => `${world.root}/${name}`;

/** A program with this token, started by nobody. */
function stray(generation: Generation, component: string, command = ['/bin/sleep', '1000']) {
  return Bun.spawn(command, {
    env: {
      HOLDFAST_INSTANCE: tokenOf(world.options.storeId, 'pager', generation.digest),
      HOLDFAST_COMPONENT: component,
    },
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore'],
  } as Parameters<typeof Bun.spawn>[1]);
}

describe('a program', () => {
  test('gets its parameters, its own environment and nothing of the agent’s', async () => {
    const generation = script(
      `env | sort; echo "$0 $*"; pwd; ${SLEEP}`,
      {
        command: ['bin/pager', '--port', PORT, `${PORT}${NOTHING}`],
        env: { MODE: `at ${PORT}`, HOLDFAST_COMPONENT: 'forged' },
        workingDirectory: '/',
      },
      {
        parameters: [
          {
            name: 'port',
            value: { kind: 'literal', text: `80${PORT}` },
            targets: [{ pointer: 'PORT', components: ['server'] }],
          },
        ],
      },
    );
    value(await fresh().activate(generation, null));
    await eventually(
      'its output',
      () => existsSync(`${world.stateDir}/logs/pager.server.log`) && log().includes('\n/\n'),
    );
    expect(log()).toContain(`PORT=80${PORT}\n`);
    expect(log()).toContain(`MODE=at 80${PORT}\n`);
    expect(log()).toContain('HOLDFAST_COMPONENT=server\n');
    expect(log()).toContain(`/server/pager --port 80${PORT} 80${PORT}${NOTHING}\n`);
    expect(log()).not.toContain('HOME=');
    expect(statSync(`${world.stateDir}/logs`).mode & 0o777).toBe(0o700);
  });

  test('leads a session of its own', async () => {
    value(await fresh().activate(script(SLEEP), null));
    const [instance] = live();
    expect(instance?.session).toBe(instance?.identity.pid ?? 0);
  });

  test('that is not in its blob is refused before anything', async () => {
    const tree = world.generation(
      'pager',
      { tree: [{ path: 'bin/pager', kind: 'file', mode: 0o755, bytes: Buffer.from('') }] },
      { profile: { kind: 'process', components: [program('tree', { command: ['bin/other'] })] } },
    );
    expect(codeOf(await fresh().prepare(tree))).toBe('apply.program-missing');
  });

  test('of a tree runs from there, with the files beside it', async () => {
    const generation = world.generation(
      'pager',
      {
        tree: [
          {
            path: 'bin/pager',
            kind: 'file',
            mode: 0o755,
            bytes: Buffer.from(`#!/bin/sh\ncat etc/text; ${SLEEP}\n`),
          },
          { path: 'etc/text', kind: 'file', mode: 0o644, bytes: Buffer.from('beside') },
        ],
      },
      { profile: { kind: 'process', components: [program('tree', { command: ['bin/pager'] })] } },
    );
    value(await fresh().activate(generation, null));
    await eventually('its output', () => log().includes('beside'));
  });

  test('that cannot be started fails the activation', async () => {
    const generation = world.generation(
      'pager',
      { 'bin/pager': '#!/no/such/shell\n' },
      { profile: { kind: 'process', components: [program('bin/pager')] } },
    );
    expect(codeOf(await fresh().activate(generation, null))).toBe('platform.exec');
  });

  test.if(isRoot)('runs as its user, and reaches its files there', async () => {
    const runtime = fresh();
    const generation = script(`id -u; ${SLEEP}`, { user: 'nobody' });
    value(await runtime.prepare(generation));
    value(await runtime.activate(generation, null));
    await eventually('its output', () => log() === '65534\n');
    expect(live()[0]?.uid).toBe(65_534);
    // Passing through is all that others may do.
    expect(statSync(world.stateDir).mode & 0o777).toBe(0o711);
  });

  test.if(isRoot)('runs as root only where that is allowed', async () => {
    const users = { defaultUser: null, allowRoot: false };
    for (const user of [null, 'root', '0']) {
      expect(codeOf(await fresh(users).prepare(script(SLEEP, { user })))).toBe('apply.root-denied');
    }
    const fallback = { defaultUser: 'nobody', allowRoot: false };
    value(await fresh(fallback).activate(script(SLEEP), null));
    expect(live()[0]?.uid).toBe(65_534);
  });
});

describe('supervision', () => {
  test('a program that ends is started again, later each time, and says why', async () => {
    const runtime = fresh();
    const generation = script(`printf x >> ${out('count')}; exit 7`);
    value(await runtime.activate(generation, null));
    const count = () => (existsSync(out('count')) ? readFileSync(out('count'), 'utf8').length : 0);
    await eventually('three starts', () => count() >= 3);
    const { running, restarts, message } = await eventually('it waits', () => {
      const now = runtime.condition(generation);
      return now.message.includes('code 7') && now;
    });
    expect(running).toBe('starting');
    expect(restarts).toBeGreaterThanOrEqual(2);
    expect(message).toMatch(/^server: ended with code 7; starts again in \d+ s$/);
    value(await runtime.deactivate(generation));
    const ended = count();
    expect(runtime.condition(generation).running).toBe('no');
    expect(count()).toBe(ended);
  });

  test('what a program leaves behind is ended before its next start', async () => {
    const text = `sleep 1000 & echo up; test -e ${out('stay')} && wait; exit 1`;
    value(await fresh().activate(script(text), null));
    await eventually('three starts', () => log().split('up').length > 3);
    writeFileSync(out('stay'), '');
    const starts = log().length;
    await eventually('one that stays', () => log().length > starts && live().length >= 2);
    expect(new Set(live().map(({ session }) => session)).size).toBe(1);
  });

  test('check 18: an edited program is made anew before it is started again', async () => {
    const runtime = fresh();
    const generation = script(`printf x >> ${out('count')}; ${SLEEP}`);
    value(await runtime.activate(generation, null));
    const [first = 0] = await eventually('it runs', () => existsSync(out('count')) && pids());
    const shelf = `${world.stateDir}/generations/pager/${generation.digest.slice(7)}`;
    writeFileSync(`${shelf}/server/pager`, `#!/bin/sh\ntouch ${out('hostile')}\n`);
    process.kill(first, 'SIGKILL');
    await eventually('a second start', () => readFileSync(out('count'), 'utf8') === 'xx');
    expect(existsSync(out('hostile'))).toBe(false);
  });

  test('an unchanged deployment is not restarted, a changed one is stopped before it starts', async () => {
    const runtime = fresh();
    const old = script(`echo old up; trap 'echo old down; exit' TERM; sleep 1000 & wait`);
    const next = script(`echo next up; ${SLEEP}`);
    value(await runtime.activate(old, null));
    await eventually('old', () => log() === 'old up\n');
    const before = pids();
    value(await runtime.activate(old, old));
    expect(pids()).toEqual(before);
    value(await runtime.activate(next, old));
    await eventually('next', () => log() === 'old up\nold down\nnext up\n');
  });

  test('several programs start in order and are stopped in reverse order', async () => {
    const components = ['a', 'b', 'c'].map((name) => program(name, { name }));
    const contents = Object.fromEntries(
      ['a', 'b', 'c'].map((name) => [
        name,
        `#!/bin/sh\ntrap 'echo ${name} >> ${out('ends')}; exit' TERM\ntouch ${out(name)}\nsleep 1000 & wait\n`,
      ]),
    );
    const generation = world.generation('pager', contents, {
      profile: { kind: 'process', components },
    });
    const runtime = fresh();
    value(await runtime.activate(generation, null));
    await eventually('all of them', () => ['a', 'b', 'c'].every((name) => existsSync(out(name))));
    value(await runtime.stopAll());
    expect(readFileSync(out('ends'), 'utf8')).toBe('c\nb\na\n');
  });

  test('L18: one that ignores its stop signal is ended with its grandchild after the timeout', async () => {
    const generation = script(
      `trap '' TERM; setsid sleep 1000 & sleep 1000 & touch ${out('up')}; while :; do wait; done`,
      { stop: { signal: 'SIGTERM', timeoutMs: 200 } },
    );
    const runtime = fresh();
    value(await runtime.activate(generation, null));
    await eventually('it is up', () => existsSync(out('up')) && live().length >= 3);
    value(await runtime.deactivate(generation));
    expect(live()).toEqual([]);
  });

  test('a program whose stop signal is another one gets that', async () => {
    const generation = script(
      `trap 'touch ${out('told')}; exit' USR1; touch ${out('up')}; sleep 1000 & wait`,
      { stop: { signal: 'SIGUSR1', timeoutMs: 4_000 } },
    );
    const runtime = fresh();
    value(await runtime.activate(generation, null));
    await eventually('it is up', () => existsSync(out('up')));
    value(await runtime.deactivate(generation));
    expect(existsSync(out('told'))).toBe(true);
  });
});

describe('an agent that starts while programs run', () => {
  test('adopts what matches, without a restart, and supervises it', async () => {
    const generation = script(SLEEP);
    value(await fresh().activate(generation, null));
    const [pid = 0] = pids();
    const runtime = fresh();
    value(await runtime.activate(generation, null));
    expect(pids()).toEqual([pid]);
    expect(runtime.condition(generation)).toMatchObject({ running: 'yes', restarts: 0 });
    process.kill(pid, 'SIGKILL');
    await eventually('another one', () => pids().some((each) => each !== pid));
    expect(runtime.condition(generation).restarts).toBe(1);
  });

  test('adopts it without a record as well, and ends duplicates', async () => {
    const generation = script(SLEEP);
    value(await fresh().activate(generation, null));
    const [pid = 0] = pids();
    rmSync(`${world.runDir}/processes`, { recursive: true });
    const duplicate = stray(generation, 'server');
    await eventually('both', () => pids().length === 2);
    value(await fresh().activate(generation, null));
    expect(pids()).toEqual([pid]);
    await duplicate.exited;
  });

  test('ends programs of other generations, and leaves those of other agents alone', async () => {
    const generation = script(SLEEP);
    const other = stray(script(`${SLEEP} # other`), 'server');
    const foreign = Bun.spawn(['/bin/sleep', '1000'], {
      env: { HOLDFAST_INSTANCE: tokenOf('other', 'pager', generation.digest) },
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    besides.push(foreign);
    await eventually('the stray', () => pids().length === 1);
    value(await fresh().activate(generation, null));
    await other.exited;
    expect(pids()).toHaveLength(1);
    expect(foreign.exitCode).toBeNull();
  });

  test('starts a program that has ended meanwhile, and ends what it left', async () => {
    const generation = script(`setsid sleep 1000 & touch ${out('up')}; exec sleep 1000`);
    value(await fresh().activate(generation, null));
    await eventually('both', () => existsSync(out('up')) && live().length === 2);
    const before = pids();
    const record = readFileSync(`${world.runDir}/processes/pager/server`, 'utf8');
    const pid = Number(record.split(' ')[2]);
    fresh();
    process.kill(pid, 'SIGKILL');
    await eventually('it is gone', () => !pids().includes(pid));
    value(await fresh().activate(generation, null));
    await eventually('a new pair', () => live().length === 2);
    for (const old of before) expect(pids()).not.toContain(old);
  });

  test('does not take a process of another user for its program', async () => {
    if (!isRoot) return;
    const generation = script(SLEEP, { user: 'nobody' });
    const forged = stray(generation, 'server');
    await eventually('the forged one', () => pids().length === 1);
    const runtime = fresh();
    value(await runtime.prepare(generation));
    value(await runtime.activate(generation, null));
    expect(live().map(({ uid }) => uid)).toEqual([65_534]);
    await forged.exited;
  });

  test('stops everything of its store, also what it never came to supervise', async () => {
    value(await fresh().activate(script(SLEEP), null));
    value(await fresh().stopAll());
    expect(live()).toEqual([]);
  });

  test('never signals its own session, whatever its environment holds', async () => {
    const generation = script(SLEEP);
    // In the session of this test: as an agent that was started by a supervised program.
    const inside = Bun.spawn(['/bin/sleep', '1000'], {
      env: {
        HOLDFAST_INSTANCE: tokenOf(world.options.storeId, 'pager', generation.digest),
        HOLDFAST_COMPONENT: 'server',
      },
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    besides.push(inside);
    value(await fresh().deactivate(generation));
    expect(inside.exitCode).toBeNull();
  });
});

describe('logs', () => {
  test('stay within their bound: rotated by copy, the newest copy is .1', async () => {
    const generation = script(
      `i=0; while [ $i -lt 4000 ]; do echo "line $i of some length"; i=$((i+1)); done; touch ${out('done')}; ${SLEEP}`,
      { logs: { maxBytes: 16 * 1024, files: 2 } },
    );
    value(await fresh().activate(generation, null));
    const folder = `${world.stateDir}/logs`;
    await eventually(
      'a rotation',
      () => existsSync(`${folder}/pager.server.log.1`) && existsSync(out('done')),
    );
    await eventually('the cut', () => statSync(`${folder}/pager.server.log`).size <= 16 * 1024);
    expect(statSync(`${folder}/pager.server.log.1`).size).toBeLessThanOrEqual(16 * 1024);
    expect(readdirSync(folder).sort()).toEqual(['pager.server.log', 'pager.server.log.1']);
  });

  test('go with the deployment when it is removed for good; those of a.b are not those of a', async () => {
    value(await fresh().activate(script(`echo x; ${SLEEP}`), null));
    await eventually('a log', () => existsSync(`${world.stateDir}/logs/pager.server.log`));
    writeFileSync(`${world.stateDir}/logs/pager.b.server.log`, '');
    value(await fresh().deactivate(script(`echo x; ${SLEEP}`)));
    value(await fresh().sweep('pager', new Set()));
    expect(readdirSync(`${world.stateDir}/logs`)).toEqual(['pager.b.server.log']);
  });
});

describe('sweeping', () => {
  test('keeps what a live program runs from, whatever is to be kept', async () => {
    const generation = script(SLEEP);
    value(await fresh().activate(generation, null));
    value(await fresh().sweep('pager', new Set()));
    expect(readdirSync(`${world.stateDir}/generations/pager`)).toEqual([
      generation.digest.slice(7),
    ]);
  });
});
