/**
 * An operator with kubectl and flux in the fingers, on a device with the compiled executable: events,
 * wait, get, describe, rollout, and what goes on by itself with -w.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { endChild } from '../support/command.ts';
import { type Device, holdfast } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
let device: Device;

async function publish(version: string, ...flags: readonly string[]): Promise<string> {
  plant.write('canary', 'conf', `version=${version}\n`);
  const target = join(device.opt, 'conf');
  plant.deploy('canary', 'conf', filesSpec({ conf: { blob: 'conf', target } }));
  return (await plant.publish('canary', ...flags)).point;
}

/** A command that goes on; what it printed so far. */
function going(args: readonly string[]): { readonly child: ChildProcess; out(): string } {
  const child = spawn(holdfast, [...args, '--run-dir', device.runDir], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  return { child, out: () => text };
}

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  device = plant.device('press-7', {
    settings: { device: { id: 'press-7', labels: { site: 'a' } }, schedule: { interval: '10m' } },
  });
  await device.start();
  await device.linked();
  await publish('one');
  await device.applied('1.1');
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

describe('wait', () => {
  real(
    title('ends with 0 when it holds, with 1 and the reason when it does not in time'),
    async () => {
      for (const what of ['recovered', 'idle', 'healthy', 'applied', 'applied=1.1']) {
        const ended = await device.command(['wait', '--for', what, '--timeout', '5s']);
        expect(ended).toMatchObject({ code: 0, out: `${what}\n` });
      }
      const late = await device.command(['wait', '--for', 'applied=1.9', '--timeout', '0s']);
      expect(late.code).toBe(1);
      expect(late.err).toContain('control.wait-timeout: not applied=1.9');
      expect(late.err).toContain('1.1 is applied');
      expect((await device.command(['wait'])).code).toBe(2);
    },
  );

  real(title('ends as soon as a state that is published later is applied'), async () => {
    const waiting = device.command(['wait', '--for', 'applied=1.2', '--timeout', '30s']);
    expect(await publish('two')).toBe('1.2');
    expect((await waiting).code).toBe(0);
  });

  real(title('ends at once when the state was refused: it will not come'), async () => {
    const outside = filesSpec({ conf: { blob: 'conf', target: '/etc/holdfast-no-such/conf' } });
    plant.deploy('canary', 'other', outside);
    const { point } = await plant.publish('canary');
    const ended = await device.command(['wait', '--for', `applied=${point}`, '--timeout', '30s']);
    expect(ended.code).toBe(1);
    expect(ended.err).toContain('control.wait-hopeless');
    expect(ended.err).toContain('plan.target-outside-roots');
    plant.unwrite('canary', 'other.yaml');
    const next = await publish('three', '--allow-removal');
    await device.applied(next);
  });
});

describe('events', () => {
  real(
    title('tells what happened, also once delivered, and --since leaves out the old'),
    async () => {
      await eventually('all is delivered', async () => {
        return (await device.status()).undeliveredEvents === 0;
      });
      const shown = await device.command(['events']);
      expect(shown.out).toMatch(/agent\.started[\s\S]*1\.1 applied[\s\S]*1\.2 applied/);
      const json = JSON.parse(
        (await device.command(['events', '-o', 'json', '--since', '1h'])).out,
      );
      expect(json.map(({ code }: { code: string }) => code)).toContain('state.applied');
      expect(
        JSON.parse((await device.command(['events', '--since', '1ms', '-o', 'json'])).out),
      ).toEqual([]);
      expect((await device.command(['events', '--for', 'canary', '-o', 'name'])).out).toContain(
        'event/state.applied\n',
      );
    },
  );

  real(title('outlive the agent: the next one tells what the history kept'), async () => {
    await device.stop();
    await device.start();
    const shown = (await device.command(['events', '-o', 'wide'])).out;
    expect(shown).toMatch(/1\.1 applied[\s\S]*1\.2 applied[\s\S]*agent\.started/);
    expect(shown.match(/1\.2 applied/g)).toHaveLength(1);
  });

  real(title('-w goes on as it happens, over a restart of the agent'), async () => {
    const following = going(['events', '-w', '-o', 'json']);
    await eventually('the first lines', () => following.out().includes('agent.started'));
    await device.stop();
    await device.start();
    await device.linked();
    const point = await publish('four');
    await eventually('the new state', () => following.out().includes(`${point} applied`));
    const lines = following.out().trimEnd().split('\n');
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty('code');
    expect(lines.filter((line) => line.includes(`${point} applied`))).toHaveLength(1);
    await endChild(following.child, 'SIGINT');
    expect(following.child.exitCode).toBe(0);
  });
});

describe('get and describe', () => {
  real(title('print rows, wide rows, names and json for each noun'), async () => {
    expect((await device.command(['get', 'device'])).out).toMatch(/press-7\s+\S+\s+yes\s+canary/);
    expect((await device.command(['get', 'device', '-l', 'site=a', '-o', 'name'])).out).toBe(
      'device/press-7\n',
    );
    const none = await device.command(['get', 'devices', '-l', 'site=b']);
    expect(none.code).toBe(2);
    expect(none.err).toContain('control.not-found');
    expect((await device.command(['get', 'ch'])).out).toMatch(
      /canary\s+1\.\d+\s+1\.\d+\s+idle\s+1\/1/,
    );
    expect((await device.command(['get', 'deploy/conf', '-o', 'wide'])).out).toMatch(
      /conf\s+canary\s+healthy\s+0\s+sha256:[0-9a-f]{64}/,
    );
    expect((await device.command(['get', 'history', '-n', '1', '-o', 'name'])).out).toMatch(
      /^history\/\d+\n$/,
    );
    expect((await device.command(['get', 'pods'])).code).toBe(2);
  });

  real(title('describe tells all of one, with its events'), async () => {
    const channel = (await device.command(['describe', 'channel', 'canary'])).out;
    expect(channel).toMatch(
      /is applied and is the newest[\s\S]*CHECK[\s\S]*Events[\s\S]*state\.applied/,
    );
    const one = (await device.command(['describe', 'deployment/conf'])).out;
    expect(one).toMatch(/deployment:\s+conf[\s\S]*channel:\s+canary[\s\S]*health:\s+healthy/);
    expect((await device.command(['describe', 'device'])).out).toContain('agent.started');
    expect((await device.command(['describe', 'history'])).out).toContain('outcome:');
    expect((await device.command(['describe', 'event'])).out).toContain('code:');
    expect((await device.command(['describe', 'deployment', 'none'])).code).toBe(2);
  });

  real(title('-w prints again when something has changed, and only then'), async () => {
    const rows = going(['get', 'channels', '-w', '-o', 'name']);
    const whole = going(['status', '-w']);
    await eventually('both have begun', () => rows.out() !== '' && whole.out().includes('canary'));
    const point = await publish('five');
    await eventually('the new state', () => whole.out().includes(point));
    await eventually('another row', () => rows.out().split('\n').length > 2);
    await endChild(rows.child, 'SIGTERM');
    await endChild(whole.child, 'SIGTERM');
    expect([rows.child.exitCode, whole.child.exitCode]).toEqual([0, 0]);
  });
});

describe('rollout', () => {
  real(
    title('status, undo, pause and resume are the commands that kubectl users look for'),
    async () => {
      expect((await device.command(['rollout', 'status', '--timeout', '10s'])).code).toBe(0);
      expect((await device.command(['rollout', 'pause', '--reason', 'night'])).out).toBe(
        'paused\n',
      );
      expect((await device.status()).channels[0]?.paused).toBe(true);
      expect((await device.command(['rollout', 'resume'])).out).toBe('resumed\n');
      const undone = await device.command(['rollout', 'undo', '-o', 'json']);
      expect(JSON.parse(undone.out)).toMatchObject({ result: 'rolled back to' });
      const held = await device.command(['rollout', 'status', '--timeout', '0s']);
      expect(held.code).toBe(1);
      await device.command(['rollout', 'resume']);
      expect((await device.command(['rollout', 'status', '--timeout', '20s'])).code).toBe(0);
    },
  );
});
