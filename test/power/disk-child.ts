/**
 * A disk as a process of its own, so that whoever waits for the disk does not wait for himself; it lives
 * through any number of power cuts. argv: image, log (or `-`). Lines on standard input: `serve SOCKET`
 * gives it power; `mark TEXT` puts a line into the log; `cut SEED WRITES` takes the power away at that
 * many writes from now (0: at once), `cut` alone does not wait any longer; `save FILE` writes what the
 * disk holds while it has no power. Each is answered by one line, `cut` when the power has gone. The log
 * is what replay.ts makes images from.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { seededRandom } from '../support/seeded-random.ts';
import { makeDisk } from './disk.ts';
import { flushEntry, markEntry, writeEntry } from './disk-log.ts';
import { type NbdServer, serveNbd } from './nbd.ts';

/** One time with power. */
interface Life {
  server: NbdServer | null;
  writes: number;
  flushes: number;
  armed: { readonly at: number; readonly seed: number } | null;
}

const [image = '', log = '-'] = process.argv.slice(2);
const disk = makeDisk(readFileSync(image));
const dark: Life = { server: null, writes: 0, flushes: 0, armed: null };
let life = dark;

const put = (entry: Buffer): void => {
  if (log !== '-') appendFileSync(log, entry);
};

async function serve(socket: string): Promise<void> {
  const own: Life = { server: null, writes: 0, flushes: 0, armed: null };
  life = own;
  own.server = await serveNbd(socket, {
    size: disk.size,
    read: disk.read,
    // Of a life that is over nothing reaches the disk; nobody gets an answer either.
    write(at, bytes, durable) {
      if (life !== own) return;
      own.writes += 1;
      if (own.armed && own.writes > own.armed.at) return powerOff();
      disk.write(at, bytes, durable);
      if (log !== '-') put(writeEntry(at, bytes, durable));
    },
    flush() {
      if (life !== own) return;
      if (own.armed && own.writes >= own.armed.at) return powerOff();
      own.flushes += 1;
      disk.flush();
      put(flushEntry());
    },
  });
}

/** Whoever waits for an answer does not get one. */
function powerOff(): void {
  const { server, armed, writes, flushes } = life;
  life = dark;
  server?.cut();
  const { waiting } = disk;
  disk.restart(seededRandom(armed?.seed ?? 0).unit);
  console.log(JSON.stringify({ writes, flushes, waiting }));
}

async function obey(line: string): Promise<void> {
  const [word = '', ...rest] = line.split(' ');
  if (word === 'serve') {
    await serve(rest.join(' '));
    console.log('serves');
  } else if (word === 'mark') {
    put(markEntry(rest.join(' ')));
    console.log('marked');
  } else if (word === 'save') {
    writeFileSync(rest.join(' '), disk.durable);
    console.log('saved');
  } else if (word === 'cut' && life !== dark) {
    const [seed, writes = '0'] = rest;
    if (seed !== undefined) life.armed = { at: life.writes + Number(writes), seed: Number(seed) };
    if (writes === '0') powerOff();
  }
}

for await (const line of createInterface({ input: process.stdin })) await obey(line);
process.exit(0);
