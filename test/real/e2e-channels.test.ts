/**
 * Two channels on one device, with the compiled executable, a real registry and a real broker: each is
 * followed for itself, neither takes what the other has, an operator can mean one of them, and a device
 * changes from one channel to another without a restart of what stays the same.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChannelView } from '#control/api.ts';
import { run } from '../support/command.ts';
import { type Device, holdfast, programsOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ROOT } from '../support/parts.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
let device: Device;
let metrics: string;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: ['oem', 'canary', 'stable'] });
  metrics = `127.0.0.1:${await freePort()}`;
  device = plant.device('press-7', {
    ...{ channel: 'oem', settings: { metrics: { listen: metrics } } },
  });
  device.configure({ channels: [channel('oem'), channel('canary')] });
  plant.write('oem', 'base', 'oem 1\n');
  plant.deploy('oem', 'base', filesSpec({ conf: { blob: 'base', target: at('base.conf') } }));
  for (const name of ['canary', 'stable']) {
    plant.write(name, 'run.sh', '#!/bin/sh\nexec sleep 600\n', 0o755);
    plant.deploy(name, 'line', processSpec({ blob: 'run.sh' }));
  }
  await plant.publish('oem');
  await plant.publish('canary');
  await device.start();
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

const channel = (name: string) => ({ name, allow: { roots: [device.opt] } });
const at = (name: string) => join(device.opt, name);

async function view(name: string): Promise<ChannelView> {
  const { channels } = await device.status();
  const found = channels.find((one) => one.channel === name);
  if (!found) throw new Error(`no channel ${name} in ${JSON.stringify(channels)}`);
  return found;
}

async function applied(name: string, point: string): Promise<void> {
  await eventually(`${name} applies ${point}`, async () => {
    const seen = await view(name);
    return seen.applied?.point === point && seen.phase === 'idle';
  }).catch((error) => {
    throw new Error(`${error}\n${device.log().slice(-2_000)}`);
  });
}

real(title('both are applied, told apart, and reported in one signed status'), async () => {
  await applied('oem', '1.1');
  await applied('canary', '1.1');
  expect(device.read('base.conf')).toBe('oem 1\n');
  expect(programsOf(device.stateDir)).toHaveLength(1);
  await device.reports('both channels', ({ channels }) => channels.join() === 'oem,canary');
  const list = await device.command(['get', 'channels']);
  expect(list.out).toMatch(/oem\s+1\.1\s+1\.1\s+idle\s+1\/1/);
  expect(list.out).toMatch(/canary\s+1\.1\s+1\.1\s+idle\s+1\/1/);
});

real(title('metrics tell the channels apart, and say nothing twice'), async () => {
  const text = await (await fetch(`http://${metrics}/metrics`)).text();
  const series = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')));
  expect(series).toHaveLength(new Set(series).size);
  for (const name of ['oem', 'canary']) {
    expect(series).toContain(`holdfast_phase{channel="${name}",phase="idle"}`);
  }
  // A family is told in one block (Prometheus, text format).
  const families = text.match(/^# TYPE \S+/gm) ?? [];
  expect(families).toHaveLength(new Set(families).size);
});

real(title('a nudge for one channel wakes that one'), async () => {
  await device.linked();
  plant.write('oem', 'base', 'oem 2\n');
  const { nudged } = await plant.publish('oem');
  expect(nudged).toBe(true);
  await applied('oem', '1.2');
  expect(device.read('base.conf')).toBe('oem 2\n');
  expect((await view('canary')).applied?.point).toBe('1.1');
});

real(
  title('what another channel has is refused, naming both, and taken when it is free'),
  async () => {
    plant.write('canary', 'mine', 'canary\n');
    plant.deploy('canary', 'mine', filesSpec({ conf: { blob: 'mine', target: at('base.conf') } }));
    await plant.publish('canary');
    await eventually('canary is refused', async () => (await view('canary')).refused !== null);
    const { refused, applied: held } = await view('canary');
    expect(refused?.code).toBe('plan.conflict');
    expect(refused?.message).toContain('base (channel oem)');
    expect(refused?.message).toContain('mine (channel canary)');
    expect(held?.point).toBe('1.1');
    expect(device.read('base.conf')).toBe('oem 2\n');
    const why = await device.command(['explain']);
    expect(why.out).toContain('plan.conflict');
    // The other channel lets go of it: nobody has to publish again.
    plant.write('oem', 'other', 'oem 3\n');
    plant.deploy('oem', 'base', filesSpec({ conf: { blob: 'other', target: at('other.conf') } }));
    await plant.publish('oem');
    await applied('oem', '1.3');
    await applied('canary', '1.2');
    expect(device.read('base.conf')).toBe('canary\n');
    expect(programsOf(device.stateDir)).toHaveLength(1);
  },
);

real(title('an operator means one channel, and has to say which'), async () => {
  const unsaid = await device.command(['rollback']);
  expect(unsaid.err).toContain('agent.which-channel');
  expect((await device.command(['rollback', '--channel', 'beta'])).err).toContain(
    'agent.not-followed',
  );
  // Back to where the other channel has something by now.
  const taken = await device.command(['rollback', '--channel', 'oem']);
  expect(taken.err).toContain('plan.conflict');
  expect((await device.command(['rollback', '--channel', 'canary'])).code).toBe(0);
  expect((await view('canary')).applied?.point).toBe('1.1');
  expect((await view('canary')).heldByOperator).toBe(true);
  // The other channel is not held.
  plant.write('oem', 'other', 'oem 4\n');
  await plant.publish('oem');
  await applied('oem', '1.4');
  expect((await view('oem')).heldByOperator).toBe(false);
  expect((await device.command(['resume', '--channel', 'canary'])).code).toBe(0);
  await applied('canary', '1.2');
});

real(title('one channel is paused, the other goes on, also over a restart'), async () => {
  expect((await device.command(['pause', '--channel', 'oem', '--reason', 'audit'])).code).toBe(0);
  await device.stop();
  await device.start();
  expect((await view('oem')).paused).toBe(true);
  expect((await view('canary')).paused).toBe(false);
  await device.linked();
  plant.write('oem', 'other', 'oem 5\n');
  plant.write('canary', 'mine', 'canary 3\n');
  await plant.publish('oem');
  await plant.publish('canary');
  await applied('canary', '1.3');
  const waits = await device.command(['explain', '--channel', 'oem']);
  expect(waits.out).toContain('paused by the operator');
  expect((await view('oem')).applied?.point).toBe('1.4');
  expect((await device.command(['resume'])).code).toBe(0);
  await applied('oem', '1.5');
});

real(
  title('from canary to stable by a new agent.yaml and SIGHUP: what is equal does not restart'),
  async () => {
    const before = programsOf(device.stateDir);
    expect(before).toHaveLength(1);
    await plant.publish('stable');
    device.configure({ channels: [channel('oem'), channel('stable')] });
    process.kill(device.pid(), 'SIGHUP');
    await eventually('stable is followed', async () => {
      const status = await device.status().catch(() => null);
      return status?.channels.some((one) => one.channel === 'stable');
    });
    await applied('stable', '1.1');
    expect(programsOf(device.stateDir)).toEqual(before);
    // What stable does not name stays until somebody takes it away.
    const left = await view('canary');
    expect(left.waitingFor?.code).toBe('agent.orphaned');
    expect(left.deployments.map(({ id }) => id)).toEqual(['mine']);
    expect(device.read('base.conf')).toBe('canary 3\n');
    expect((await device.command(['forget', 'canary', '-y'])).code).toBe(0);
    expect(existsSync(at('base.conf'))).toBe(false);
    expect(programsOf(device.stateDir)).toEqual(before);
  },
);

real(title('the commands of docs/operate.md, as they stand there'), async () => {
  plant.write('stable', 'more', 'more\n');
  plant.deploy('stable', 'more', filesSpec({ conf: { blob: 'more', target: at('more.conf') } }));
  await plant.publish('stable');
  await applied('stable', '1.2');
  const page = readFileSync(join(ROOT, 'docs/operate.md'), 'utf8');
  const section = page.slice(page.indexOf('## Several channels'));
  const lines = /```sh\n([^`]*)```/.exec(section)?.[1]?.trimEnd().split('\n') ?? [];
  expect(lines).toHaveLength(6);
  for (const line of lines) {
    const words = (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ''));
    const ended = await device.command(words.slice(1));
    expect({ line, code: ended.code, err: ended.err }).toMatchObject({ line, code: 0 });
  }
  expect((await device.command(['resume'])).code).toBe(0);
  await applied('stable', '1.2');
});

real(title('and back: what was taken over meanwhile is brought into force whole'), async () => {
  plant.write('canary', 'mine', 'canary 4\n');
  await plant.publish('canary');
  device.configure({ channels: [channel('oem'), channel('canary')] });
  await device.stop();
  await device.start();
  await applied('canary', '1.4');
  expect(device.read('base.conf')).toBe('canary 4\n');
  expect(programsOf(device.stateDir)).toHaveLength(1);
  // What canary does not name: it is stable's still.
  expect((await device.command(['forget', '-o', 'name'])).out).toBe('channel/stable\n');
});

real(title('doctor says where the bounds of two channels overlap'), async () => {
  const checked = await run([holdfast, 'doctor', '--config', device.configFile]);
  expect(checked.out).toContain('oem and canary may both write below');
});

real(
  title('by the broker alone: a push that was refused for it is taken when it is free'),
  async () => {
    const other = await makePlant(parts, { channels: ['oem', 'stable'] });
    try {
      const far = other.device('press-8', { settings: { registries: [] } });
      const allow = { roots: [far.opt] };
      far.configure({ channels: ['oem', 'stable'].map((name) => ({ name, allow })) });
      const target = (name: string) => join(far.opt, name);
      const spec = (name: string) => filesSpec({ conf: { blob: 'conf', target: target(name) } });
      const pointOf = async (name: string) => {
        const { channels } = await far.status();
        return channels.find((one) => one.channel === name);
      };
      await far.start();
      await far.linked();
      other.write('oem', 'conf', 'oem\n');
      other.deploy('oem', 'base', spec('conf'));
      await other.publish('oem', '--push');
      await eventually('oem', async () => (await pointOf('oem'))?.applied?.point === '1.1');
      other.write('stable', 'conf', 'stable\n');
      other.deploy('stable', 'mine', spec('conf'));
      await other.publish('stable', '--push');
      await eventually('refused', async () => (await pointOf('stable'))?.refused?.code);
      // Looked at again, it is refused again, and still held.
      await far.command(['apply']);
      expect((await pointOf('stable'))?.applied).toBeNull();
      other.deploy('oem', 'base', spec('elsewhere'));
      await other.publish('oem', '--push');
      await eventually('stable', async () => (await pointOf('stable'))?.applied?.point === '1.1');
      expect(far.read('conf')).toBe('stable\n');
    } finally {
      await other.remove();
    }
  },
);
