/**
 * `npm run demo`, as a visitor sees it: it ends with 0 when all is well, with 1 when one byte of what
 * a device fetched is not as published, and leaves nothing running however it ends.
 */
import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';

const ROOT = join(import.meta.dir, '../..');
const DEMO_MS = 120_000;
const CHAPTERS = 8;

interface Demo {
  readonly output: () => string;
  readonly done: Promise<number>;
  readonly kill: (signal: NodeJS.Signals) => void;
}

function demo(args: readonly string[] = []): Demo {
  const child = Bun.spawn([process.execPath, join(ROOT, 'scripts/demo.ts'), ...args], {
    cwd: ROOT,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  let output = '';
  const read = async (from: ReadableStream<Uint8Array>) => {
    for await (const chunk of from) output += Buffer.from(chunk).toString();
  };
  const ended = Promise.all([child.exited, read(child.stdout), read(child.stderr)]);
  return {
    output: () => output,
    done: ended.then(([code]) => code),
    kill: (signal) => child.kill(signal),
  };
}

/** Command lines and programs of live processes that name the demo's folder. */
function left(folder: string): readonly string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      const program = readlinkSync(`/proc/${pid}/exe`);
      if (command.includes(folder) || program.startsWith(folder)) found.push(`${pid} ${command}`);
    } catch {
      // it ended meanwhile, or is the kernel's
    }
  }
  return found;
}

function folderOf(output: string): string {
  const [, folder = ''] = /^ +folder +(\S+)$/m.exec(output) ?? [];
  expect(folder).toContain('holdfast-demo-');
  return folder;
}

/** An HTTP proxy that changes the last byte of every blob that it passes on. */
async function flippingProxy() {
  let flipped = 0;
  const server = createServer((request, response) => {
    void (async () => {
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      );
      const method = request.method ?? 'GET';
      const answer = await fetch(request.url ?? '', { method, headers }).catch(() => null);
      if (answer === null) {
        // The hub has stopped and a device still asks.
        response.writeHead(502).end();
        return;
      }
      const body = Buffer.from(await answer.arrayBuffer());
      if (request.url?.includes('/blobs/') && body.length > 0) {
        body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
        flipped += 1;
      }
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(request.method === 'HEAD' ? undefined : body);
    })();
  });
  await new Promise<void>((up) => server.listen(0, '127.0.0.1', up));
  const address = server.address();
  const port = address && typeof address === 'object' ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    flipped: () => flipped,
    close: () => server.closeAllConnections(),
  };
}

describe('the demo', () => {
  test(
    'shows every chapter, with ticks of all three devices, and leaves nothing behind',
    async () => {
      const shown = demo();
      expect({ code: await shown.done, output: shown.output() }).toMatchObject({ code: 0 });
      const output = shown.output();
      expect(output.match(/^\d {2}\S/gm)).toHaveLength(CHAPTERS);
      for (const device of ['press-7', 'press-8', 'oven-2']) {
        expect(output.match(new RegExp(`^ {3}${device} +✓`, 'gm'))?.length).toBeGreaterThan(5);
      }
      expect(output).toContain('no content fetched');
      const folder = folderOf(output);
      expect(left(folder)).toEqual([]);
      expect(readdirSync(tmpdir())).not.toContain(folder.split('/').at(-1) ?? '');
    },
    DEMO_MS,
  );

  test(
    'ends with 1 when the registry changes one byte of a blob, and says what the device said',
    async () => {
      const proxy = await flippingProxy();
      const shown = demo(['--registry-proxy', proxy.url]);
      expect(await shown.done).toBe(1);
      proxy.close();
      expect(proxy.flipped()).toBeGreaterThan(0);
      expect(shown.output()).toContain('not so after');
      expect(shown.output()).toContain('source.digest-mismatch');
      expect(left(folderOf(shown.output()))).toEqual([]);
    },
    DEMO_MS,
  );

  test(
    'Ctrl-C in the middle of it ends everything that it started',
    async () => {
      const shown = demo();
      await eventually('a row', () => /^ {3}oven-2 +✓/m.test(shown.output()), 60_000);
      shown.kill('SIGINT');
      expect(await shown.done).toBe(130);
      expect(shown.output()).toContain('Nothing is left running');
      expect(left(folderOf(shown.output()))).toEqual([]);
    },
    DEMO_MS,
  );
});
