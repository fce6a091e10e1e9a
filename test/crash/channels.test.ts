/**
 * kill -9 while two channels of one device change: each channel is in its old or its new state at the
 * next start, whichever of the two the kill struck, and both come to the newest. A channel that is
 * taken out of agent.yaml while its change is open goes back to what was proven, and runs on.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { endChild } from '../support/command.ts';
import { type Device, programsOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  linesOf,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';

const CHANNELS = ['oem', 'stable'] as const;
type Name = (typeof CHANNELS)[number];
const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
let device: Device;
let version = 1;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: CHANNELS });
  device = plant.device('press-7', {
    settings: { log: { level: 'info' }, schedule: { interval: '1h' } },
  });
  device.configure({ channels: CHANNELS.map(channel) });
  await publishBoth();
  await device.start();
  await settled();
}, 60_000);
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
}, 60_000);

const channel = (name: string) => ({ name, allow: { roots: [device.opt] } });
const journal = (name: Name) => join(device.folder, `${name}.journal`);

/** Ends 200 ms after it is told to: an activation is long enough to be cut. */
function write(name: Name): void {
  const text = `#!/bin/sh
trap 'sleep 0.2; exit 0' TERM
echo ${version} >> ${journal(name)}
while :; do sleep 1000 & wait $!; done
`;
  plant.write(name, 'run', text, 0o755);
  plant.deploy(name, `run-${name}`, processSpec({ blob: 'run', aliveFor: '100ms' }));
}

async function publishBoth(): Promise<void> {
  for (const name of CHANNELS) {
    write(name);
    await plant.publish(name, '--no-nudge');
  }
}

async function settled(names: readonly Name[] = CHANNELS): Promise<void> {
  await eventually(`${names} at ${version}`, async () => {
    const status = await device.status().catch(() => null);
    const there = (status?.channels ?? []).filter(
      (one) => one.phase === 'idle' && one.applied?.point === `1.${version}`,
    );
    return names.every((name) => there.some((one) => one.channel === name));
  }).catch((error) => {
    throw new Error(`${error}\n${device.log().slice(-2_000)}`);
  });
  for (const name of names) expect(linesOf(journal(name)).at(-1)).toBe(`${version}`);
}

function logged(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error(`ended before ${text}`)));
    child.stderr?.on('data', (chunk: Buffer) => {
      if (`${chunk}`.includes(text)) resolve();
    });
  });
}

/** Starts the agent and kills it as soon as it logs that this channel is in this phase. */
async function cutAt(phase: string, name: Name): Promise<void> {
  const child = device.launch();
  await logged(child, `"event":"phase","phase":"${phase}","channel":"${name}"`);
  await endChild(child, 'SIGKILL');
}

/** One program each, of the version before or of this one; what it waits with is not counted. */
function eachIsWhole(): void {
  const shells = programsOf(device.stateDir).filter((pid) => {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('/bin/sh');
  });
  expect(shells).toHaveLength(CHANNELS.length);
}

describe('kill -9 in a change of one of two channels', () => {
  for (const phase of ['activating', 'proving', 'idle'] as const) {
    for (const name of CHANNELS) {
      real(
        title(`when ${name} is ${phase}: both are whole, and both reach the newest`),
        async () => {
          await device.stop();
          version += 1;
          await publishBoth();
          await cutAt(phase, name);
          await device.start();
          eachIsWhole();
          await settled();
          eachIsWhole();
        },
        60_000,
      );
    }
  }
});

real(
  title('a channel that is taken out while its change is open goes back to what was proven'),
  async () => {
    await device.stop();
    const proven = version;
    version += 1;
    await publishBoth();
    await cutAt('activating', 'oem');
    device.configure({ channels: [channel('stable')] });
    await device.start();
    await settled(['stable']);
    const left = (await device.status()).channels.find((one) => one.channel === 'oem');
    expect(left?.waitingFor?.code).toBe('agent.orphaned');
    expect(left?.applied?.point).toBe(`1.${proven}`);
    expect(linesOf(journal('oem')).at(-1)).toBe(`${proven}`);
    eachIsWhole();
    await device.stop();
    device.configure({ channels: CHANNELS.map(channel) });
    await device.start();
    await settled();
    eachIsWhole();
  },
  60_000,
);
