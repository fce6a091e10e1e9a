/**
 * The other processes of the store images. `work STATE SEED COMMITS`: opens the store and commits what
 * an agent commits, and says each commit once it is durable; it ends without closing. `check`: judges
 * the images named on standard input, one JSON line each; a line before and one after every image say
 * where it was when it died.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { NewAuditEntry } from '#state/audit.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { contentStore } from '#store/content.ts';
import { openStore } from '#store/open.ts';
import type { Store, StoreWriter } from '#store/store.ts';
import { seededRandom } from '../support/seeded-random.ts';
import {
  channelRow,
  dumpStore,
  FLEET,
  generation,
  point,
  storePlatform,
  value,
} from '../support/store.ts';

const [mode, state = '', seed = '0', commits = '0'] = process.argv.slice(2);

/** Everything that is readable, in one word. */
function sum(store: Store): string {
  const journal = JSON.stringify(store.auditHead(), (_key, item) =>
    typeof item === 'bigint' ? `${item}n` : item,
  );
  return sha256(Buffer.from(`${dumpStore(store)}${journal}`)).slice(7, 39);
}

function work(): void {
  const random = seededRandom(Number(seed)).unit;
  const { store } = value(openStore(storePlatform, state));
  const content = value(contentStore(storePlatform.files, state));
  const say = (): void => void writeSync(1, `ack ${sum(store)}\n`);
  say();
  for (let number = 1; number <= Number(commits); number += 1) {
    const blob = Buffer.alloc(1 + Math.floor(random() * 12_000), number);
    const digest = sha256(blob);
    const kind = Math.floor(random() * 6);
    // As an acceptance: what the row counts on is durable before the row is.
    if (kind === 0) {
      value(content.putBlob(digest, blob));
      value(content.sync());
    }
    value(
      store.transaction((tx) => {
        write(tx, { number, kind, random, digest });
      }),
    );
    say();
  }
}

interface Turn {
  readonly number: number;
  readonly kind: number;
  readonly digest: Digest;
  random(): number;
}

/** One commit like those of an agent: small rows, long ones, many, and some that go again. */
function write(tx: StoreWriter, { number, kind, digest, random }: Turn): void {
  const at = number;
  if (kind === 0) {
    const row = channelRow(number + 4);
    tx.putChannel({ ...row, floor: { ...point(number + 4), stateDigest: digest } });
    tx.putState(FLEET, row.channel, { stateDigest: digest, generations: [generation('d')] });
    tx.addAudit(auditEntry(number));
  } else if (kind === 1) {
    const machine = 'm'.repeat(Math.floor(random() * 9_000));
    tx.putDevice({ boot: BigInt(number), machine, crashes: 0, paused: null, timeFloorMs: 0 });
  } else if (kind === 2) {
    tx.putRoot(FLEET, Buffer.alloc(Math.floor(random() * 30_000), number));
  } else if (kind === 3) {
    for (let more = Math.floor(random() * 40); more >= 0; more -= 1)
      tx.addEvent({ at, code: 'a.b', channel: 'c', deployment: '', message: `${more}` });
  } else if (kind === 4) {
    tx.removeEvents(BigInt(number * 8));
    tx.putRejected(FLEET, 'stable', {
      point: point(number),
      code: 'store.io',
      message: 'm'.repeat(Math.floor(random() * 300)),
      deployment: 'd',
    });
  } else {
    tx.addHistory({
      ...{ at, channel: 'c', outcome: 'applied', point: point(number), via: 'bundle' },
      ...{ code: null, message: '', tookMs: 5 },
    });
    tx.addAudit(auditEntry(number));
  }
}

function auditEntry(number: number): NewAuditEntry {
  return {
    ...{ boot: 1n, monotonicMs: number, at: number, grade: 'estimated', kind: 'applied' },
    ...{ actor: 'agent', channel: 'stable', point: point(number), via: 'registry', code: '' },
    ...{ message: '', details: null },
  };
}

interface Verdict {
  readonly recovered: string;
  readonly sum: string;
  /** what is wrong whatever was acknowledged */
  readonly faults: readonly string[];
}

/** Opened, read, what the floor counts on read as well, written, opened again. */
function judge(folder: string): Verdict {
  const faults: string[] = [];
  const first = value(openStore(storePlatform, folder));
  const found = sum(first.store);
  const content = value(contentStore(storePlatform.files, folder));
  for (const { floor, channel } of value(first.store.channels())) {
    const blob = floor && content.readBlob(floor.stateDigest, 64 * 1024);
    if (blob && !blob.ok) faults.push(`${channel} counts on a blob: ${blob.fault.code}`);
  }
  content.close();
  const machine = 'after';
  value(
    first.store.transaction((tx) => {
      tx.putDevice({ boot: 1n, machine, crashes: 0, paused: null, timeFloorMs: 0 });
      for (let at = 0; at < 20; at += 1)
        tx.addEvent({ at, code: 'a.b', channel: 'c', deployment: '', message: 'after' });
    }),
  );
  const written = sum(first.store);
  first.store.close();
  const again = value(openStore(storePlatform, folder));
  if (again.recovered !== 'opened') faults.push(`written to, it was ${again.recovered}`);
  if (sum(again.store) !== written) faults.push('written to, it has lost it');
  again.store.close();
  return { recovered: first.recovered, sum: found, faults };
}

async function check(): Promise<void> {
  for await (const folder of createInterface({ input: process.stdin })) {
    writeSync(1, `begin ${folder}\n`);
    let verdict: Verdict;
    try {
      verdict = judge(`${folder}/state`);
    } catch (error) {
      verdict = { recovered: 'failed', sum: '', faults: [String(error).slice(0, 300)] };
    }
    writeSync(1, `end ${folder} ${JSON.stringify(verdict)}\n`);
  }
}

if (mode === 'work') {
  work();
  process.kill(process.pid, 'SIGKILL');
} else await check();
