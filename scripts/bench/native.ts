/** Runs native.c (built by bench-programs.ts) and reads what it says. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './desk.ts';
import { type Parts, type Servers, type Started, until } from './parts.ts';

export interface NativeChange {
  readonly sequence: number;
  readonly wokenMs: number;
  readonly endedMs: number;
  readonly httpMs: number;
  readonly cryptoMs: number;
  readonly fileMs: number;
  readonly commitMs: number;
}

export interface Native {
  readonly pid: number;
  /** a nudge sent to this + `/same` or `/designed` */
  readonly topic: string;
  changes(): readonly NativeChange[];
}

export async function startNative(
  parts: Parts,
  { broker, registry }: Servers,
  program: string | null,
  key: string,
): Promise<Native | null> {
  if (program === null) return null;
  const topic = 'bench/native';
  const folder = join(parts.device, 'native');
  mkdirSync(folder);
  const to = [String(broker), String(registry), REPOSITORY, folder, topic, key];
  const started: Started = parts.start([program, ...to], 'native');
  await until('native subscribes', () => {
    if (started.ended()) throw new Error(started.said());
    return started.said().includes('ready\n');
  });
  return { pid: started.pid, topic, changes: () => changesIn(started.said()) };
}

function changesIn(text: string): readonly NativeChange[] {
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.flatMap((line) => {
    const numbers = line.split(' ').map(Number);
    if (numbers.length !== 7) return [];
    const [sequence = 0, wokenMs = 0, endedMs = 0, httpMs = 0, cryptoMs = 0, ...disk] = numbers;
    const [fileMs = 0, commitMs = 0] = disk;
    return [{ sequence, wokenMs, endedMs, httpMs, cryptoMs, fileMs, commitMs }];
  });
}
