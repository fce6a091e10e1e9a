/**
 * The processes that judge the images of a recording (judge-child.ts), a few beside each other. The next
 * image goes to whoever is free; a judge that dies over one is a finding, and another takes its place.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endChild, output, run } from '../support/command.ts';
import type { Judged } from './judge-child.ts';

export interface Judge {
  /** null: it died over this one, or over the one before while it let go of it */
  look(index: number): Promise<Judged | null>;
  /** The same, and it stays mounted there until `unmount`. */
  mount(index: number, at: string): Promise<Judged | null>;
  unmount(): Promise<void>;
  end(): Promise<void>;
}

/** @param file  the case; @param folder  of its own, in memory */
export function makeJudge(file: string, folder: string): Judge {
  const begin = () => {
    mkdirSync(folder, { recursive: true });
    const program = new URL('judge-child.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [program, file, folder], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.on('error', () => undefined); // it has died; the answer that is missing tells
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  };
  let running: ReturnType<typeof begin> | null = null;
  let held: string | null = null;
  const ask = async (line: string): Promise<Judged | null> => {
    running ??= begin();
    running.child.stdin.write(`${line}\n`);
    const { value, done } = await running.lines.next();
    if (!done) return JSON.parse(String(value)) as Judged;
    await cleared(folder, running.child, held);
    running = null;
    return null;
  };
  return {
    look: (index) => ask(`look ${index}`),
    async mount(index, at) {
      held = at;
      return await ask(`mount ${index} ${at}`);
    },
    async unmount() {
      await ask('unmount');
      held = null;
    },
    async end() {
      if (!running) return;
      const gone = new Promise((resolve) => running?.child.once('exit', resolve));
      running.child.stdin.end();
      await gone;
      await cleared(folder, running.child, held);
      running = null;
    },
  };
}

/** What a judge that died has left mounted. */
async function cleared(folder: string, child: ChildProcess, held: string | null): Promise<void> {
  await endChild(child, 'SIGKILL');
  for (const at of [join(folder, 'mount'), ...(held ? [held] : [])])
    await run(['umount', '-l', at]);
  const loops = await output(['losetup', '-n', '-O', 'NAME', '-j', join(folder, 'image')]);
  for (const loop of loops.split('\n').filter(Boolean)) await run(['losetup', '-d', loop.trim()]);
  rmSync(folder, { recursive: true, force: true });
}
