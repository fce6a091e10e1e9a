/**
 * The store against damage, kill -9, a full disk and a second agent: every case in processes of
 * its own, since what is tested for is a process that dies.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { openStore } from '#store/open.ts';
import { dumpStore, fillStore, scratch, storePlatform, value } from '../support/store.ts';
import { headerDamages } from '../support/store-images.ts';

const CHILD = new URL('store-child.ts', import.meta.url).pathname;
const place = scratch('store-crash');
afterAll(() => place.remove());

const seed = `${place.path}/seed`;
let image: Buffer;
let dump: string;

beforeAll(() => {
  const { store } = value(openStore(storePlatform, `${place.path}/made`));
  fillStore(store, 12);
  for (let round = 0; round < 20; round += 1) {
    value(
      store.transaction((tx) =>
        tx.addEvent({ at: round, code: 'a.b', channel: 'c', deployment: '', message: 'm' }),
      ),
    );
  }
  dump = dumpStore(store);
  store.close();
  image = readFileSync(`${place.path}/made/store/data.mdb`);
  mkdirSync(seed);
  writeFileSync(`${seed}/data.mdb`, image);
  writeFileSync(`${seed}/dump`, dump);
});

function child(mode: string, state: string, ...extra: string[]) {
  return Bun.spawn([process.execPath, CHILD, mode, state, ...extra], {
    stdout: 'pipe',
    stderr: 'pipe',
  });
}

/** Runs it to its end. */
async function run(mode: string, state: string, ...extra: string[]) {
  const running = child(mode, state, ...extra);
  const [output, errors, code] = await Promise.all([
    new Response(running.stdout).text(),
    new Response(running.stderr).text(),
    running.exited,
  ]);
  return { lines: output.split('\n').filter(Boolean), errors, code, signal: running.signalCode };
}

describe('L06: a damaged header never kills the process', () => {
  for (const { name, damage, sound } of headerDamages) {
    test(`${name}: ${sound ? 'opened' : 'quarantined'}`, async () => {
      const state = `${place.path}/header`;
      rmSync(state, { recursive: true, force: true });
      mkdirSync(`${state}/store`, { recursive: true, mode: 0o700 });
      writeFileSync(`${state}/store/data.mdb`, damage(Buffer.from(image)));
      const { lines, code, signal, errors } = await run('opens', state);
      expect({ code, signal, errors }).toEqual({ code: 0, signal: null, errors: '' });
      if (sound) expect(lines[0]).toBe(`opened ${dump}`);
      else expect(lines[0]).toStartWith('quarantined ');
    });
  }
});

describe('L07: a flipped bit is found, or hits nothing that is used', () => {
  test('1,500 bits spread over the file', async () => {
    const count = 1_500;
    const step = Math.floor((image.length * 8) / count);
    const bits = Array.from({ length: count }, (_, at) => at * step + ((at * 37) % step));
    writeFileSync(`${seed}/bits`, JSON.stringify(bits));
    const { lines, code, signal, errors } = await run('flips', `${place.path}/flips`, seed);
    expect({ code, signal, errors }).toEqual({ code: 0, signal: null, errors: '' });
    expect(lines).toHaveLength(count);
    const different = lines.filter((line) => line.endsWith('opened different'));
    // guard.ts: N taken for N - 2 is a commit that was cut; bit 1 of the newer meta's number.
    const lost = [0, 4_096].map((page) => `${(page + 24 + 128) * 8 + 1} opened different`);
    expect(different.filter((line) => !lost.includes(line))).toEqual([]);
    expect(lines.filter((line) => line.includes('quarantined')).length).toBeGreaterThan(count / 10);
  }, 120_000);
});

describe('L12: kill -9 at any moment', () => {
  test('loses nothing that was acknowledged', async () => {
    const state = `${place.path}/killed`;
    let acknowledged = 10;
    for (let round = 0; round < 12; round += 1) {
      const running = child('commits', state);
      const reader = running.stdout.getReader();
      let output = '';
      const wanted = 3 + ((round * 7) % 11);
      for (;;) {
        const { value: bytes, done } = await reader.read();
        if (done) break;
        output += Buffer.from(bytes).toString();
        if (output.split('\n').length > wanted) running.kill(9);
      }
      await running.exited;
      const lines = output.split('\n').slice(0, -1);
      const [recovered, found] = (lines[0] ?? '').split(' ');
      expect(recovered).toBe(round === 0 ? 'created' : 'opened');
      expect(Number(found)).toBeGreaterThanOrEqual(acknowledged);
      // One commit may be durable that nobody heard of.
      expect(Number(found)).toBeLessThanOrEqual(acknowledged + 1);
      acknowledged = Number(lines.at(-1)?.split(' ').at(-1));
    }
  }, 60_000);
});

describe('one agent a state directory, in other processes', () => {
  const unshare = Bun.spawnSync(['unshare', '--pid', '--fork', '--mount-proc', '--net', 'true']);

  async function holder(state: string) {
    const running = child('holds', state, 'stay');
    const { value: bytes } = await running.stdout.getReader().read();
    expect(Buffer.from(bytes ?? []).toString()).toBe('held\n');
    return running;
  }

  test('a second process is store.locked; kill -9 of the first leaves nothing stale', async () => {
    const state = `${place.path}/two`;
    const first = await holder(state);
    expect((await run('holds', state)).lines).toEqual(['store.locked']);
    first.kill(9);
    await first.exited;
    expect((await run('holds', state)).lines).toEqual(['held']);
  });

  test.skipIf(!unshare.success)(
    'another container is store.locked (unshare --pid --net; needs privileges)',
    async () => {
      const state = `${place.path}/containers`;
      const first = await holder(state);
      const isolated = () => {
        const command = ['unshare', '--pid', '--fork', '--mount-proc', '--net'];
        const other = Bun.spawnSync([...command, process.execPath, CHILD, 'holds', state]);
        return other.stdout.toString();
      };
      expect(isolated()).toBe('store.locked\n');
      first.kill(9);
      await first.exited;
      expect(isolated()).toBe('held\n');
    },
  );
});

describe('B09: a full disk', () => {
  const mount = `${place.path}/full`;
  mkdirSync(mount, { mode: 0o700 });
  const mounted = Bun.spawnSync([
    'mount',
    '-t',
    'tmpfs',
    '-o',
    'size=2m,mode=0700',
    'tmpfs',
    mount,
  ]);
  afterAll(() => {
    if (mounted.success) Bun.spawnSync(['umount', mount]);
  });

  test.skipIf(!mounted.success)(
    'is store.no-space, the store stays whole, and goes on once there is room (needs mount)',
    async () => {
      writeFileSync(`${mount}/ballast`, Buffer.alloc(900_000));
      const { lines, code, signal } = await run('fills', mount, `${mount}/ballast`);
      expect({ code, signal }).toEqual({ code: 0, signal: null });
      const [refusal, sequence, rows] = (lines[0] ?? '').split(' ');
      expect(refusal).toBe('store.no-space');
      expect(Number(rows)).toBe(Number(sequence) - 10);
      expect(lines[1]).toBe(`ok ${Number(rows) + 1}`);
      const again = await run('opens', mount);
      expect(again.lines[0]).toStartWith('opened ');
    },
    60_000,
  );
});

describe('B15: EIO', () => {
  const strace = Bun.spawnSync(['strace', '-V']);
  for (const inject of [
    'fdatasync:error=EIO:when=4',
    'pwrite64:error=EIO:when=9',
    'pwrite64:error=EIO:when=10',
  ]) {
    test.skipIf(!strace.success)(
      `${inject}: what was acknowledged is held (needs strace)`,
      async () => {
        const state = `${place.path}/eio`;
        rmSync(state, { recursive: true, force: true });
        const command = ['strace', '-f', '-o', '/dev/null', '-e', `inject=${inject}`];
        const running = Bun.spawn([...command, process.execPath, CHILD, 'commits', state], {
          stdout: 'pipe',
          stderr: 'ignore',
        });
        // `commits` ends at the first fault that it meets.
        const reader = running.stdout.getReader();
        let output = '';
        for (;;) {
          const { value: bytes, done } = await reader.read();
          if (done || output.split('\n').length > 200) break;
          output += Buffer.from(bytes).toString();
        }
        running.kill(9);
        await running.exited;
        const last = output.split('\n').at(-2)?.split(' ').at(-1);
        const { store, recovered } = value(openStore(storePlatform, state));
        const held = value(store.channels())[0]?.floor?.sequence ?? 10n;
        store.close();
        expect(recovered).toBe('opened');
        expect(Number(held)).toBeGreaterThanOrEqual(Number(last ?? 10));
      },
      60_000,
    );
  }
});
