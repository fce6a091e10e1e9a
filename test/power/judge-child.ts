/**
 * Judges images of one recording in a process of its own: walks along them, puts each that is asked for
 * onto its stand, looks. A process that dies over one has found something; the next one takes over behind
 * it. argv: a JSON file (`Case`), the folder of its stand. Lines on standard input: `look INDEX`;
 * `mount INDEX PATH`, which leaves it mounted there until `unmount`. Indexes only rise. Each is answered
 * by one line of JSON (`Judged`).
 */
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LanePlace } from '../crash/lane-states.ts';
import { readLog } from './disk-log.ts';
import { imagesOf, type Moment, type Outside } from './images.ts';
import { looked } from './look.ts';
import { makeStand } from './mounting.ts';

/** What every judge of a recording is given. */
export interface Case {
  readonly base: string;
  readonly log: string;
  readonly images: number;
  readonly seed: number;
  readonly place: LanePlace;
}

export interface Judged {
  /** there is no such image: the log is at its end */
  readonly end: boolean;
  /** writes and flushes before the cut */
  readonly at: number;
  readonly outside: Outside | null;
  readonly isMended: boolean;
  readonly faults: readonly string[];
}

const NOTHING: Judged = { end: true, at: 0, outside: null, isMended: false, faults: [] };

async function main(file: string, folder: string): Promise<void> {
  const { base, log, place, ...asked }: Case = JSON.parse(readFileSync(file, 'utf8'));
  const recorded = { base: readFileSync(base), entries: readLog(readFileSync(log)) };
  const moments = imagesOf(recorded, asked);
  const stand = await makeStand(join(folder, 'image'), recorded.base.length);
  const judged = async (moment: Moment, mount: string): Promise<Judged> => {
    const { at, outside } = moment;
    const how = await stand.mount(moment, mount);
    const isMended = how === 'mended';
    const faults =
      how === 'no file system' ? ['it cannot be mounted'] : looked(outside, place, mount);
    return { end: false, at, outside, isMended, faults };
  };
  const answer = async (line: string): Promise<Judged> => {
    const [word = '', index = '', mount = join(folder, 'mount')] = line.split(' ');
    if (word === 'unmount') {
      await stand.unmount();
      return NOTHING;
    }
    const moment = reach(moments, Number(index));
    if (moment === null) return NOTHING;
    const found = await judged(moment, mount);
    if (word === 'look') await stand.unmount();
    return found;
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const found = await answer(line);
    writeSync(1, `${JSON.stringify(found)}\n`);
  }
  await stand.remove();
}

function reach(moments: Generator<Moment>, index: number): Moment | null {
  for (;;) {
    const { value, done } = moments.next();
    if (done) return null;
    if (value.index === index) return value;
  }
}

const [file = '', folder = ''] = process.argv.slice(2);
await main(file, folder);
process.exit(0);
