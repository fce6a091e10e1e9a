/**
 * What an operator does on a device with the compiled executable: looks, plans, pauses, rolls back,
 * stops; how commands print and end; what signals do; and that a second agent is refused.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExplainView, PlanView } from '#control/api.ts';
import { type Ended, endChild, run } from '../support/command.ts';
import { type Device, holdfast, programsOf, treeOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { isRoot, program } from '../support/parts.ts';
import {
  filesSpec,
  linesOf,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  programText,
  startParts,
} from '../support/plant.ts';
import { type RegistryProxy, startRegistryProxy } from '../support/registry-proxy.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const namespaces = missing === null && isRoot && program('unshare') !== null ? test : test.skip;
const unshared = (what: string) => (isRoot ? title(what) : `${what} (needs root)`);

let parts: Parts;
let proxy: RegistryProxy;
let plant: Plant;
let device: Device;
let point = '';

const journal = () => join(device.folder, 'journal');
const starts = () => linesOf(journal()).filter((line) => !line.startsWith('end'));
const last = () => linesOf(journal()).at(-1)?.split(' ')[0];

/** conf ← first ← second: two programs, one after the other. */
function write(version: string): void {
  plant.write('canary', 'conf', `version=${version}\n`);
  plant.deploy(
    'canary',
    'conf',
    filesSpec({ conf: { blob: 'conf', target: join(device.opt, 'conf') } }),
  );
  for (const [id, needs] of [
    ['first', 'conf'],
    ['second', 'first'],
  ] as const) {
    plant.write('canary', `bin/${id}`, programText(`${id}-${version}`, journal()), 0o755);
    plant.deploy('canary', id, processSpec({ blob: `bin/${id}` }, { dependsOn: [needs] }));
  }
}

async function publish(version: string): Promise<void> {
  write(version);
  ({ point } = await plant.publish('canary'));
}

/** Targets, and all of the store but what commits change anyway. */
function durable() {
  const state = Object.entries(treeOf(device.stateDir)).filter(
    ([path]) => !path.startsWith('store/'),
  );
  return { opt: device.tree(), state: Object.fromEntries(state) };
}

const json = <T>(ended: Ended): T => JSON.parse(ended.out) as T;
/** the program itself, not what it has waiting */
const pids = () =>
  starts()
    .slice(-2)
    .map((line) => Number(line.split(' ')[1]));

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  proxy = await startRegistryProxy(parts.registry.port);
  plant = await makePlant(parts, { registry: `http://127.0.0.1:${proxy.port}/plant/state` });
  device = plant.device('press-7', { settings: { schedule: { interval: '10m' } } });
  await device.start();
  await publish('one');
  await device.applied(point);
});
afterAll(async () => {
  await plant?.remove();
  await proxy?.down();
  await parts?.remove();
});

describe('status', () => {
  real(
    title('prints text, json, yaml and names; no colour where there is no terminal'),
    async () => {
      const text = await device.command(['status']);
      expect(text.code).toBe(0);
      expect(text.out).toMatch(/press-7[\s\S]*canary[\s\S]*1\.1[\s\S]*second\s+healthy/);
      expect(text.out).not.toContain('\u001b');
      expect(json(await device.command(['status', '-o', 'json']))).toMatchObject({
        channels: [{ applied: { point: '1.1' } }],
      });
      expect((await device.command(['status', '-o', 'yaml'])).out).toContain('point: "1.1"');
      expect((await device.command(['status', '-o', 'name'])).out.split('\n').sort()).toEqual([
        '',
        'deployment/conf',
        'deployment/first',
        'deployment/second',
      ]);
      const environment = { env: { HOLDFAST_RUN_DIR: device.runDir } };
      expect((await run([holdfast, 'status', '-o', 'name'], environment)).out).toContain('first');
    },
  );

  const terminal = missing === null && program('script') !== null ? test : test.skip;
  terminal(title('is coloured on a terminal, and not under NO_COLOR'), async () => {
    const command = `${holdfast} status --run-dir ${device.runDir}`;
    const shown = (env: Record<string, string>) =>
      run(['script', '-qec', command, '/dev/null'], { env: { TERM: 'xterm', ...env } });
    expect((await shown({})).out).toContain('\u001b[32m');
    expect((await shown({ NO_COLOR: '1' })).out).not.toContain('\u001b[3');
  });

  real(
    title('is served to anybody on status.sock, which refuses what changes something'),
    async () => {
      const status = join(device.runDir, 'status.sock');
      const control = join(device.runDir, 'control.sock');
      expect(statSync(status).mode & 0o777).toBe(0o666);
      expect(statSync(control).mode & 0o777).toBe(0o660);
      for (const path of ['pause', 'stop', 'apply', 'rollback', 'resume']) {
        const answer = await fetch(`http://holdfast/v1/${path}`, { unix: status, method: 'POST' });
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(await answer.text()).toContain('control.read-only');
      }
    },
  );
});

describe('plan', () => {
  real(
    title('tells what would change and ends with 1; nothing is fetched or written'),
    async () => {
      expect((await device.command(['plan'])).code).toBe(0);
      await device.command(['pause']);
      await publish('two');
      const before = durable();
      const ended = await device.command(['plan', '-o', 'json']);
      expect(ended.code).toBe(1);
      const plan = json<PlanView>(ended);
      expect(plan).toMatchObject({ offered: point, applied: '1.1', unchanged: 0 });
      expect(
        plan.steps.map(({ action, deployment, restarts }) => [action, deployment, restarts]),
      ).toEqual([
        ['update', 'conf', false],
        ['update', 'first', true],
        ['update', 'second', true],
      ]);
      expect(plan.steps[0]?.targets).toEqual([join(device.opt, 'conf')]);
      expect(plan.downloads.blobs).toBe(3);
      const text = await device.command(['plan']);
      expect(text.code).toBe(1);
      expect(text.out).toMatch(/update\s+first\s+process\s+restarts/);
      expect(durable()).toEqual(before);
    },
  );
});

describe('pause and resume', () => {
  real(title('paused, a published state waits and status says so; resume lets it in'), async () => {
    const report = await device.reports(
      'that it waits',
      ({ waitingFor, held }) => waitingFor === 'agent.paused' && held,
    );
    expect(report.applied).toBe('1.1');
    expect(json<ExplainView>(await device.command(['explain', '-o', 'json']))).toMatchObject({
      verdict: expect.stringContaining('paused'),
      cure: expect.stringContaining('holdfast resume'),
    });
    expect((await device.command(['resume'])).code).toBe(0);
    await device.applied('1.2');
    expect(last()).toBe('second-two');
    const after = await device.reports('1.2', ({ applied, held }) => applied === '1.2' && !held);
    expect(after.waitingFor).toBe('');
  });

  real(title('a pause outlives the agent'), async () => {
    await device.command(['pause', '--reason', 'shift change']);
    await device.stop();
    await device.start();
    expect((await device.status()).channels[0]?.paused).toBe(true);
    await device.command(['resume']);
    expect((await device.status()).channels[0]?.paused).toBe(false);
  });
});

describe('rollback', () => {
  real(
    title('goes back to the previous proven state, holds it, and resume follows again'),
    async () => {
      const ended = await device.command(['rollback', '-o', 'json']);
      expect(ended.code).toBe(0);
      expect(json(ended)).toMatchObject({ result: 'rolled back to', offered: '1.1' });
      expect(device.read('conf')).toBe('version=one\n');
      expect(last()).toBe('second-one');
      await device.reports(
        'the hold',
        ({ held, applied, desired }) => held && applied === '1.1' && desired === '1.2',
      );
      await publish('three');
      await device.reports('that it waits', ({ waitingFor }) => waitingFor === 'agent.held');
      expect(device.read('conf')).toBe('version=one\n');
      await device.stop();
      await device.start();
      expect((await device.status()).channels[0]).toMatchObject({
        heldByOperator: true,
        applied: { point: '1.1' },
      });
      await device.command(['resume']);
      await device.applied('1.3');
      expect(device.read('conf')).toBe('version=three\n');
      expect((await device.history()).map(({ outcome }) => outcome)).toContain('rolled-back');
    },
  );

  real(title('where there is nothing to go back to says so and changes nothing'), async () => {
    const fresh = plant.device('press-fresh', { settings: { registries: [], mqtt: undefined } });
    await fresh.start();
    const ended = await fresh.command(['rollback', '-o', 'json']);
    expect(ended.code).not.toBe(0);
    expect(json(ended)).toMatchObject({ fault: { code: 'agent.no-rollback' } });
    const looked = await fresh.command(['apply', '-o', 'json']);
    expect(json(looked)).toMatchObject({ fault: { code: 'agent.no-source' } });
    await fresh.remove();
  });
});

describe('explain', () => {
  real(title('shows each check of the last look with what it compared, offline'), async () => {
    await publish('four');
    await device.applied(point);
    await proxy.down();
    const view = json<ExplainView>(await device.command(['explain', '-o', 'json']));
    expect(view.checks.map(({ number }) => number)).toEqual(
      expect.arrayContaining([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    );
    for (const check of view.checks) {
      expect(check.compared).not.toBe('');
      expect(check.at).toBeGreaterThan(0);
    }
    const text = await device.command(['explain']);
    expect(text.out).toMatch(/13\s+sequence\s+passed/);
    await proxy.up();
  });
});

describe('logs', () => {
  real(title('prints what a program said, and -f goes on until it is interrupted'), async () => {
    expect((await device.command(['logs', 'first'])).out).toContain('hello from first-four');
    const unknown = await device.command(['logs', 'nothing']);
    expect(unknown.err).toContain('control.no-log');
    expect(unknown.err).toContain('first');
    const arguments_ = ['logs', 'first', '-f', '-n', '1', '--run-dir', device.runDir];
    const following = spawn(holdfast, arguments_, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    following.stdout.on('data', (chunk) => {
      text += chunk;
    });
    await eventually('the last line', () => text.includes('hello from first-four'));
    await publish('five');
    await eventually('the next line', () => text.includes('hello from first-five'));
    await endChild(following, 'SIGINT');
    expect(following.exitCode).toBe(0);
    await device.applied(point);
  });
});

describe('signals', () => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    real(title(`${signal} leaves programs running; the next agent adopts them`), async () => {
      const before = { starts: starts(), pids: pids() };
      await device.stop(signal);
      for (const pid of before.pids) expect(() => process.kill(pid, 0)).not.toThrow();
      await device.start();
      expect(starts()).toEqual(before.starts);
      const { channels } = await device.status();
      expect(channels[0]?.deployments.map(({ health, restarts }) => [health, restarts])).toEqual([
        ['healthy', 0],
        ['healthy', 0],
        ['healthy', 0],
      ]);
    });
  }

  real(title('SIGHUP rereads the configuration; one that is broken changes nothing'), async () => {
    const pid = device.pid();
    const before = starts();
    device.configure({ device: { id: 'press-7', labels: { site: 'b' } } });
    process.kill(pid, 'SIGHUP');
    await device.reports('the label', ({ labels }) => labels.site === 'b');
    writeFileSync(device.configFile, 'apiVersion: holdfast/v1\nkind: Agent\nnonsense: 1\n');
    process.kill(pid, 'SIGHUP');
    await eventually('the complaint', () => device.log().includes('agent.yaml:3:1'));
    await eventually('the agent is back', () => device.status().catch(() => null));
    expect((await device.status()).device.labels).toEqual({ site: 'b' });
    expect(device.pid()).toBe(pid);
    expect(starts()).toEqual(before);
    device.configure({});
  });

  namespaces(
    unshared('SIGTERM as process 1 ends the programs, the last started first'),
    async () => {
      await device.stop();
      for (const pid of programsOf(device.stateDir)) process.kill(pid, 'SIGKILL');
      await device.start({ wrap: ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] });
      await eventually('both run', () =>
        starts()
          .slice(-2)
          .join()
          .match(/first.*second/),
      );
      const children = readFileSync(`/proc/${device.pid()}/task/${device.pid()}/children`, 'utf8');
      const running = starts()
        .slice(-2)
        .map((line) => line.split(' ')[0]);
      process.kill(Number(children), 'SIGTERM');
      // It answers nobody any more while it still ends them.
      await eventually('the agent ended', () => !existsSync(`/proc/${Number(children)}`));
      const ended = linesOf(journal()).slice(-2);
      await device.stop();
      await device.start();
      expect(ended).toEqual([`end ${running[1]}`, `end ${running[0]}`]);
    },
  );
});

describe('a second agent', () => {
  real(
    title('on the same store is refused with the cure; the first is not disturbed'),
    async () => {
      const config = join(device.folder, 'second.yaml');
      const settings = { ...device.config, runDir: join(device.folder, 'run2') };
      writeFileSync(config, JSON.stringify(settings));
      const command = [holdfast, 'agent', '--config', config];
      const plain = await run(command);
      expect(plain.code).toBe(2);
      expect(plain.err).toMatch(/agent\.already-running|store\.locked/);
      expect((await device.status()).agent.pid).toBe(device.pid());
      if (!isRoot || program('unshare') === null) return;
      const apart = await run(['unshare', '--pid', '--net', '--fork', '--mount-proc', ...command]);
      expect(apart.code).toBe(2);
      expect(apart.err).toMatch(/agent\.already-running|store\.locked/);
    },
  );

  real(title('prepare-image is refused while an agent runs'), async () => {
    const ended = await run([holdfast, 'prepare-image', '--config', device.configFile]);
    expect(ended.code).toBe(2);
    expect(ended.err).toMatch(/agent\.already-running|store\.locked/);
  });
});

describe('stop', () => {
  real(
    title(
      'ends the programs, the last started first, then the agent; the next start brings them back',
    ),
    async () => {
      const ended = await device.command(['stop']);
      expect(ended.code).toBe(0);
      await eventually(
        'the agent ended',
        async () => (await device.command(['status'])).code === 5,
      );
      expect(linesOf(journal()).slice(-2)).toEqual(['end second-five', 'end first-five']);
      expect(programsOf(device.stateDir)).toEqual([]);
      await device.stop();
      const before = starts().length;
      await device.start();
      // A program that was started has still to note that it was.
      await eventually('both have started', () => starts().length === before + 2);
      expect(
        starts()
          .slice(-2)
          .map((line) => line.split(' ')[0]),
      ).toEqual(['first-five', 'second-five']);
      expect((await device.status()).channels[0]?.applied?.point).toBe(point);
    },
  );
});
