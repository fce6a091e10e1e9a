/**
 * A plant whose root has a role `time`, its time authority as a process, and devices whose clocks are
 * wrong: what the tests of time over real parts share.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { endChild } from './command.ts';
import { faketime } from './dead-clock.ts';
import { type Device, holdfast } from './device.ts';
import { eventually } from './eventually.ts';
import { filesSpec, missing, type Plant } from './plant.ts';

/** Why these tests cannot run here; null: they can. */
export const lacks: string | null = missing ?? (faketime ? null : 'no faketime');
export const HOUR = 3_600_000;

export interface Authority {
  readonly url: string;
  stop(): Promise<void>;
}

/** `holdfast time serve` in the plant's folder. */
export async function serve(plant: Plant, flags: readonly string[] = []): Promise<Authority> {
  const args = ['time', 'serve', '--fleet', plant.fleetFolder, '--port', '0', ...flags];
  const child: ChildProcess = spawn(holdfast, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text) => {
      out += text;
    });
  const url = await eventually('the authority serves', async () => {
    if (child.exitCode !== null) throw new Error(out);
    return /^time +(https?:\/\/\S+)$/m.exec(out)?.[1];
  });
  return { url: url ?? '', stop: () => endChild(child, 'SIGTERM') };
}

export async function publish(
  plant: Plant,
  text: string,
  ...flags: readonly string[]
): Promise<string> {
  plant.write('canary', 'speed.conf', `${text}\n`);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of the document
  const target = join(plant.folder, '${id}', 'opt', 'speed.conf');
  const parameters = { id: { valueFrom: { device: 'id' } } };
  const conf = { blob: 'speed.conf', target };
  plant.deploy('canary', 'conf', { ...(filesSpec({ conf }) as object), parameters });
  return (await plant.publish('canary', ...flags)).point;
}

export const gradeOf = async (device: Device) => (await device.status()).device.timeGrade;
export const factOf = async (device: Device, name: string) =>
  (await device.explain()).facts.find((fact) => fact.name === name)?.value ?? '';
export const freshnessOf = async (device: Device) => (await device.status()).channels[0]?.freshness;

export async function attested(device: Device): Promise<void> {
  await eventually(
    `${device.id} knows the time`,
    async () => (await gradeOf(device)) === 'attested',
  );
}
