/** What a person at the device is told: by `explain`, by `doctor`, and whether that is enough. */

import { type Ended, run } from '../command.ts';
import type { Device } from '../device.ts';
import { holdfast } from '../device.ts';
import type { Fault, OpenWorld } from './world.ts';

export interface Judged {
  readonly name: string;
  /** the line of each that names the cause, else its first one */
  readonly explain: string;
  readonly doctor: string;
  readonly cause: boolean;
  readonly cure: boolean;
  /** all of what was said, for whoever has to make it better */
  readonly said: string;
}

/** A fault counts as named only when both commands name its cause and its cure. */
export async function judge({ world, tidy }: OpenWorld, fault: Fault): Promise<Judged> {
  try {
    const device = await fault.plant(world);
    const wrap = fault.wrap ?? [];
    const explain = await ask(device, 'explain', wrap);
    const doctor = await ask(device, 'doctor', wrap);
    const both = [explain, doctor].map(({ out, err }) => `${out}${err}`);
    return {
      name: fault.name,
      explain: lineOf(both[0] ?? '', fault.cause),
      doctor: lineOf(both[1] ?? '', fault.cause),
      cause: both.every((text) => fault.cause.test(text)),
      cure: both.every((text) => fault.cure.test(text)),
      said: both.join('\n'),
    };
  } finally {
    await tidy();
  }
}

function ask(
  device: Device,
  command: 'explain' | 'doctor',
  wrap: readonly string[],
): Promise<Ended> {
  const where = command === 'explain' ? ['--run-dir', device.runDir] : [];
  return run([...wrap, holdfast, command, '--config', device.configFile, ...where]);
}

function lineOf(text: string, cause: RegExp): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const line = lines.find((one) => cause.test(one)) ?? lines[0] ?? '';
  // From the code on, where there is one: the words before it are the same for many.
  const at = line.search(/\b[a-z]+\.[a-z][a-z-]+: /);
  return line.slice(Math.max(0, at)).trim().replace(/\s+/g, ' ');
}
