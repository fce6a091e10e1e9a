/** The other process of the store's crash tests. argv: mode, state directory, more. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { openStore } from '#store/open.ts';
import { channelRow, dumpStore, fillStore, storePlatform, value } from '../support/store.ts';

const [mode, state = '', extra = ''] = process.argv.slice(2);

function say(line: string): void {
  writeFileSync(1, `${line}\n`);
}

/** Commits rising sequences for ever; each number is said once it is durable. */
function commits(): void {
  const { store, recovered } = value(openStore(storePlatform, state));
  const rows = value(store.channels());
  let sequence = Number(rows[0]?.floor?.sequence ?? 10n);
  say(`${recovered} ${sequence}`);
  for (;;) {
    sequence += 1;
    value(
      store.transaction((tx) => {
        tx.putChannel(channelRow(sequence));
        tx.putDevice({
          boot: BigInt(sequence),
          machine: 'm'.repeat(sequence % 3_000),
          crashes: 0,
          paused: null,
          timeFloorMs: 0,
        });
      }),
    );
    say(`${sequence}`);
  }
}

/** Holds the lock until it is killed. */
function holds(): void {
  const opened = openStore(storePlatform, state);
  say(opened.ok ? 'held' : opened.fault.code);
  if (opened.ok && extra === 'stay') setInterval(() => undefined, 60_000);
}

/** Opens it once and says what came of it. */
function opens(): void {
  const opened = value(openStore(storePlatform, state));
  say(`${opened.recovered} ${dumpStore(opened.store)}`);
  opened.store.close();
}

/** One flipped bit after the other, from a list of bit numbers; a death would end the answers. */
function flips(): void {
  const image = readFileSync(`${extra}/data.mdb`);
  const expected = readFileSync(`${extra}/dump`, 'utf8');
  const bits: number[] = JSON.parse(readFileSync(`${extra}/bits`, 'utf8'));
  for (const bit of bits) {
    rmSync(state, { recursive: true, force: true });
    mkdirSync(`${state}/store`, { recursive: true, mode: 0o700 });
    copyFileSync(`${extra}/data.mdb`, `${state}/store/data.mdb`);
    const flipped = Buffer.from(image);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    writeFileSync(`${state}/store/data.mdb`, flipped);
    const opened = value(openStore(storePlatform, state));
    const same = dumpStore(opened.store) === expected;
    // A store that opened is written to as well: its free list was judged too.
    if (opened.recovered === 'opened') fillStore(opened.store, 5);
    opened.store.close();
    say(`${bit} ${opened.recovered} ${same ? 'same' : 'different'}`);
  }
}

/** Fills the disk row by row, then shows that it goes on. */
function fills(): void {
  const { store } = value(openStore(storePlatform, state));
  let sequence = 10;
  for (;;) {
    const next = store.transaction((tx) =>
      tx.putChannel(channelRow(sequence + 1, `c${'x'.repeat(90)}${sequence + 1}`)),
    );
    if (!next.ok) {
      say(`${next.fault.code} ${sequence} ${value(store.channels()).length}`);
      break;
    }
    sequence += 1;
  }
  rmSync(extra, { force: true });
  const after = store.transaction((tx) => tx.putChannel(channelRow(sequence + 1)));
  say(`${after.ok ? 'ok' : after.fault.code} ${value(store.channels()).length}`);
  store.close();
}

const modes: Record<string, () => void> = { commits, holds, opens, flips, fills };
modes[mode ?? '']?.();
