/**
 * Crashes that repeat end: a state that is cut in every activation is given up after its tries, and
 * an agent that keeps crashing starts in safe mode, which a newer state or the operator ends.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endChild } from '../support/command.ts';
import type { Device } from '../support/device.ts';
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
import { contentOf, phaseAtKill } from './phase-at-kill.ts';

const CHANNEL = 'canary';
/** starts without progress that make the next one safe (DESIGN section 3) */
const CRASHES = 5;
const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
const plants: Plant[] = [];
beforeAll(async () => {
  if (missing === null) parts = await startParts();
}, 60_000);
afterAll(async () => {
  await Promise.all(plants.map((plant) => plant.remove()));
  await parts?.remove();
}, 60_000);

interface World {
  readonly plant: Plant;
  readonly device: Device;
  readonly journal: string;
}

/** A device in state v1, whose program takes its time to end. */
async function world(policy: string): Promise<World> {
  const plant = await makePlant(parts, { channels: [CHANNEL] });
  plants.push(plant);
  const config = join(plant.fleetFolder, 'fleet.yaml');
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, text.replace('policy: { healthWindow: 0s }', `policy: ${policy}`));
  const device = plant.device('press-7', {
    settings: { log: { level: 'info' }, schedule: { interval: '1h' } },
  });
  const made = { plant, device, journal: join(device.folder, 'journal') };
  write(made, 'v1');
  await device.start();
  await applies(made, (await plant.publish(CHANNEL)).point);
  return made;
}

/** Ends 200 ms after it is told to: an activation is long enough to be cut. */
function write({ plant, journal }: World, version: string): void {
  const text = `#!/bin/sh
trap 'sleep 0.2; exit 0' TERM
echo ${version} >> ${journal}
while :; do sleep 1000 & wait $!; done
`;
  plant.write(CHANNEL, 'run', text, 0o755);
  plant.deploy(CHANNEL, 'program', processSpec({ blob: 'run', aliveFor: '100ms' }));
}

async function applies({ device }: World, point: string) {
  return await device.reports(`${point} applied`, (report) => {
    return report.applied === point && report.phase === 'IDLE';
  });
}

function logged(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error(`ended before ${text}`)));
    child.stderr?.on('data', (chunk: Buffer) => {
      if (`${chunk}`.includes(text)) resolve();
    });
  });
}

/** Starts the agent and kills it as soon as it logs `text`. */
async function cutAt({ device }: World, text: string): Promise<void> {
  const child = device.launch();
  await logged(child, text);
  await endChild(child, 'SIGKILL');
}

const ACTIVATING = '"event":"phase","phase":"activating"';

describe('R20, check 20: a cut in every activation of one state', () => {
  real(
    title('rejected as a crash loop after three tries; a newer state is applied'),
    async () => {
      const made = await world('{ attempts: 3 }');
      const { plant, device } = made;
      await device.stop();
      write(made, 'v2');
      const { point, stateDigest } = await plant.publish(CHANNEL, '--no-nudge');
      const names = new Set(contentOf(device.stateDir));
      const hex = stateDigest.slice('sha256:'.length);
      const tries: number[] = [];
      for (let cut = 0; cut < 3; cut += 1) {
        await cutAt(made, ACTIVATING);
        const found = phaseAtKill(device.stateDir, hex, names);
        expect(found.phase).toBe('activating');
        tries.push(found.tries);
      }
      expect(tries).toEqual([1, 2, 3]);
      await device.start();
      const report = await device.reports(`${point} given up`, (each) => {
        return each.desired === point && each.phase === 'IDLE' && each.refused !== null;
      });
      expect(report.refused?.code).toBe('apply.crash-loop');
      expect(report.applied).toBe('1.1');
      expect(linesOf(made.journal).at(-1)).toBe('v1');

      const before = linesOf(made.journal).length;
      const again = await device.command(['apply']); // the same state offered again: refused
      expect({ code: again.code, says: again.err }).toEqual({
        code: 6,
        says: expect.stringContaining('apply.crash-loop'),
      });
      expect(linesOf(made.journal)).toHaveLength(before);

      write(made, 'v3');
      await applies(made, (await plant.publish(CHANNEL)).point);
      expect(linesOf(made.journal).at(-1)).toBe('v3');
    },
    60_000,
  );
});

describe('safe mode: an agent that crashes at every start', () => {
  /** Crashes as often as it takes while v2 is tried, with more tries than crashes. */
  async function crashed(): Promise<World & { readonly point: string }> {
    const made = await world('{ attempts: 20 }');
    await made.device.stop();
    write(made, 'v2');
    const { point } = await made.plant.publish(CHANNEL, '--no-nudge');
    for (let cut = 0; cut < CRASHES; cut += 1) await cutAt(made, ACTIVATING);
    await made.device.start();
    const report = await made.device.reports('safe mode', ({ phase }) => phase === 'SAFE_MODE');
    expect(report.applied).toBe('1.1');
    await eventually('v1 runs', () => linesOf(made.journal).at(-1) === 'v1');
    return { ...made, point };
  }

  real(
    title('runs the last proven state and tries nothing; a newer state ends it'),
    async () => {
      const made = await crashed();
      const { plant, device } = made;
      const before = linesOf(made.journal).length;
      const again = await device.command(['apply']);
      expect(again.code).not.toBe(0);
      expect(again.err).toContain('agent.safe-mode');
      expect(linesOf(made.journal)).toHaveLength(before);
      write(made, 'v3');
      const report = await applies(made, (await plant.publish(CHANNEL)).point);
      expect(report.phase).toBe('IDLE');
      expect(linesOf(made.journal).at(-1)).toBe('v3');
    },
    60_000,
  );

  real(
    title('the operator ends it: resume tries the state that waited'),
    async () => {
      const made = await crashed();
      const resumed = await made.device.command(['resume']);
      expect({ code: resumed.code, err: resumed.err }).toEqual({ code: 0, err: '' });
      await applies(made, made.point);
      expect(linesOf(made.journal).at(-1)).toBe('v2');
    },
    60_000,
  );

  real(
    title('clean stops in between are no crashes'),
    async () => {
      const made = await world('{ attempts: 3 }');
      await made.device.stop('SIGKILL');
      for (let start = 0; start < CRASHES + 1; start += 1) {
        await made.device.start();
        await made.device.stop('SIGTERM');
      }
      await made.device.start();
      const last = BigInt(CRASHES + 3);
      await made.device.reports('the last start', ({ order }) => order[0] === last);
      const phases = made.device.allReports().map(({ phase }) => phase);
      expect(phases).not.toContain('SAFE_MODE');
    },
    60_000,
  );
});
