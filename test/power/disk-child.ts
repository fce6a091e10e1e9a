/**
 * A disk as a process of its own, so that whoever waits for the disk does not wait for himself.
 * argv: socket, image, log (or `-`). Lines on standard input: `mark TEXT` puts a line into the log;
 * `cut SEED FILE WRITES` takes the power away at that many writes from now (0: at once) and writes
 * what the disk then holds; `cut` alone does not wait any longer. Each is answered by one line. The log is what replay.ts makes images from.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { seededRandom } from '../support/seeded-random.ts';
import { makeDisk } from './disk.ts';
import { flushEntry, markEntry, writeEntry } from './disk-log.ts';
import { serveNbd } from './nbd.ts';

const [socket = '', image = '', log = '-'] = process.argv.slice(2);
const disk = makeDisk(readFileSync(image));
const count = { writes: 0, flushes: 0 };

interface Armed {
  readonly at: number;
  readonly seed: number;
  readonly file: string;
}
const power: { armed: Armed | null } = { armed: null };
const put = (entry: Buffer): void => {
  if (log !== '-') appendFileSync(log, entry);
};

const server = await serveNbd(socket, {
  size: disk.size,
  read: disk.read,
  write(at, bytes, durable) {
    count.writes += 1;
    if (power.armed && count.writes > power.armed.at) return powerOff();
    disk.write(at, bytes, durable);
    if (log !== '-') put(writeEntry(at, bytes, durable));
  },
  flush() {
    if (power.armed && count.writes >= power.armed.at) return powerOff();
    count.flushes += 1;
    disk.flush();
    put(flushEntry());
  },
});
console.log('serves');

for await (const line of createInterface({ input: process.stdin })) {
  const [word = '', ...rest] = line.split(' ');
  if (word === 'mark') {
    put(markEntry(rest.join(' ')));
    console.log('marked');
  } else if (word === 'cut') {
    const before = power.armed;
    const [seed = '0', file = '', writes = '0'] = rest;
    const at = count.writes + Number(writes);
    power.armed = before ? { ...before, at } : { at, seed: Number(seed), file };
    if (writes === '0') powerOff();
  }
}
process.exit(0);

/** Whoever waits for an answer does not get one. */
function powerOff(): never {
  const waiting = disk.waiting;
  server.cut();
  const { seed = 0, file = '' } = power.armed ?? {};
  writeFileSync(file, disk.cut(seededRandom(seed).unit));
  console.log(JSON.stringify({ ...count, waiting }));
  process.exit(0);
}
