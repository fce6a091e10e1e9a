/**
 * Enrolment as people do it, with the compiled executable on both sides: by a token and by approval,
 * against somebody in between, through kills at every moment, and at 1970.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { makeCa, makeLeaf, SERVER } from '../support/certificates.ts';
import { endChild, run } from '../support/command.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import { holdfast } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { program } from '../support/parts.ts';
import { missing } from '../support/plant.ts';
import { cabinet, folderOf, type SecureHub, secureHub } from '../support/secure-hub.ts';

const lacking = missing ?? ['openssl', 'curl'].find((name) => program(name) === null) ?? null;
const real = lacking === null ? test : test.skip;
const title = (what: string) => (lacking === null ? what : `${what} (${lacking})`);
const dead = lacking === null && faketime ? test : test.skip;

const folder = mkdtempSync(join(tmpdir(), 'holdfast-enroll-'));
const fleet = join(folder, 'plant');
const rootFile = join(fleet, 'root/1.root.json');
const hubs: SecureHub[] = [];
let hub: SecureHub;

async function newHub(name: string, ...flags: readonly string[]): Promise<SecureHub> {
  const made = await secureHub(folder, flags, name);
  hubs.push(made);
  return made;
}

const offered = ['--root', rootFile, '--repository', 'plant/state', '--channel', 'stable'];

beforeAll(async () => {
  if (lacking !== null) return;
  const init = ['init', fleet, '--no-passphrase', '--no-examples', '--channel', 'stable'];
  const made = await run([holdfast, ...init]);
  if (made.code !== 0) throw new Error(made.err);
  hub = await newHub('hub', ...offered);
});
afterAll(async () => {
  await Promise.all(hubs.map((one) => one.stop('SIGKILL')));
  rmSync(folder, { recursive: true, force: true });
});

const rootDigest = () => createHash('sha256').update(readFileSync(rootFile)).digest('hex');

describe('by a token', () => {
  real(title('one command: credential, root, agent.yaml; again it changes nothing'), async () => {
    const device = cabinet(folder, 'press-1');
    const file = join(folder, 'press-1.token');
    writeFileSync(file, `${await hub.token('press-*')}\n`);
    const done = await device.enroll(['--token-file', file]);
    expect(`${done.err}${done.code}`).toBe('0');
    for (const name of ['credential.pem', 'ca.pem', 'enrolment.json']) {
      expect([name, statSync(join(device.hubFolder, name)).mode & 0o777]).toEqual([name, 0o600]);
    }
    expect(readFileSync(join(folder, 'press-1/root.json'))).toEqual(readFileSync(rootFile));
    expect(readFileSync(join(device.hubFolder, 'enrolment.json'), 'utf8')).not.toContain('hfe1.');
    const before = device.credential();
    const again = await device.enroll([]);
    expect([again.code, device.credential()]).toEqual([0, before]);
    const agent = await run([holdfast, 'agent', '--once', '-c', device.config]);
    // Nothing is published yet, but the registry answered.
    expect(agent.err).not.toContain('link.');
  });

  real(
    title('N21: used, expired, for another device, or no token at all: nothing is given'),
    async () => {
      const used = await hub.token('press-2');
      expect((await cabinet(folder, 'press-2').enroll(['--token', used])).code).toBe(0);
      const late = await hub.token('*', '--life', '1ms');
      const cases = [
        [used, 'enroll.refused'],
        [late, 'enroll.refused'],
        [await hub.token('pump-*'), 'enroll.refused'],
        [`${used.slice(0, -4)}AAAA`, 'enroll.'],
        ['hello', 'enroll.token'],
      ] as const;
      for (const [token, code] of cases) {
        const device = cabinet(folder, 'press-3');
        const ended = await device.enroll(['--token', token]);
        expect([ended.code, ended.err.includes(code)]).toEqual([3, true]);
        expect([device.credential(), folderOf(join(folder, 'press-3'))]).toEqual([
          null,
          expect.not.arrayContaining(['agent.yaml']),
        ]);
      }
    },
  );

  real(title('a token credential: a secret of its own, for registry and broker'), async () => {
    const device = cabinet(folder, 'press-4');
    const token = await hub.token('press-4');
    const done = await device.enroll(['--token', token, '--credential', 'token']);
    expect(`${done.err}${done.code}`).toBe('0');
    expect(readFileSync(device.config, 'utf8')).toContain('passwordFile');
    const account = `press-4:${readFileSync(join(device.hubFolder, 'secret'), 'utf8').trim()}`;
    const { out } = await run(['curl', '-s', '--cacert', hub.ca, '-u', account, `${hub.url}/v2/`]);
    expect(out).toBe('{}');
  });

  real(
    title('N25: a root that is there stays; one that nobody vouches for is not taken'),
    async () => {
      const other = join(folder, 'foreign');
      await run([holdfast, 'init', other, '--no-passphrase', '--no-examples', '--channel', 'x']);
      const there = cabinet(folder, 'press-5');
      writeFileSync(
        join(folder, 'press-5/root.json'),
        readFileSync(join(other, 'root/1.root.json')),
      );
      expect((await there.enroll(['--token', await hub.token('press-5')])).code).toBe(0);
      expect(readFileSync(join(folder, 'press-5/root.json'))).toEqual(
        readFileSync(join(other, 'root/1.root.json')),
      );
      const differs = cabinet(folder, 'press-6');
      const args = ['--token', await hub.token('press-6'), '--root-digest', 'ab'.repeat(32)];
      const ended = await differs.enroll(args);
      expect([ended.code, ended.err.includes('enroll.root-differs')]).toEqual([3, true]);
      expect(folderOf(join(folder, 'press-6'))).not.toContain('root.json');
    },
  );
});

describe('by approval', () => {
  let secret: string | null = null;
  /** what the fleet page says of a device that has reported nothing */
  const onPage = async (device: string): Promise<string> => {
    secret ??= (await hub.operator('operator', 'page')).trim().split(/\s+/).at(-1) ?? '';
    const headers = { authorization: `Basic ${btoa(`page:${secret}`)}` };
    const tls = { ca: readFileSync(hub.ca, 'utf8') };
    const asked = await fetch(`${hub.url}/v1/fleet?q=${device}`, { headers, tls });
    const { rows } = (await asked.json()) as { rows: readonly { note: string }[] };
    return rows.map(({ note }) => note).join();
  };

  real(
    title('it waits, through kills of device and hub, until the operator approves'),
    async () => {
      const device = cabinet(folder, 'mill-1');
      const args = ['--hub', hub.url, '--hub-fingerprint', hub.authority()];
      const now = await device.enroll([...args, '--timeout', '0s']);
      expect([now.code, now.err.includes('enroll.pending')]).toEqual([1, true]);
      const shown = / {2}((?:[0-9a-f]{4} ){5}[0-9a-f]{4})\n/.exec(now.err)?.[1] ?? '';
      expect(await hub.operator('list')).toContain(shown);
      const waiting = device.launch(args);
      await eventually('it asked', async () => folderOf(device.hubFolder).includes('request.key'));
      await endChild(waiting, 'SIGKILL');
      await hub.stop('SIGKILL');
      // The folder of a hub that does not run is worked on directly.
      await hub.operator('approve', shown);
      await hub.start();
      const done = await device.enroll([...args, '--root-digest', rootDigest()]);
      expect(`${done.err}${done.code}`).toBe('0');
      expect(done.out).toContain(shown);
    },
  );

  real(
    title('without a root digest the credential is there, the root waits to be vouched for'),
    async () => {
      const device = cabinet(folder, 'mill-2');
      const args = ['--hub', hub.url, '--hub-fingerprint', hub.authority()];
      await device.enroll([...args, '--timeout', '0s']);
      expect(await onPage('mill-2')).toContain('asks to be let in');
      await hub.operator('approve', 'mill-2');
      await eventually('the page says so', async () =>
        (await onPage('mill-2')).includes('not fetched its credential'),
      );
      const ended = await device.enroll(args);
      expect([ended.code, ended.err.includes('enroll.root-unconfirmed')]).toEqual([3, true]);
      const done = await device.enroll(['--root-digest', rootDigest()]);
      expect(`${done.err}${done.code}`).toBe('0');
    },
  );

  real(title('denied is told (enroll.denied)'), async () => {
    const device = cabinet(folder, 'mill-3');
    const args = ['--hub', hub.url, '--hub-fingerprint', hub.authority(), '--timeout', '0s'];
    await device.enroll(args);
    await hub.operator('deny', 'mill-3');
    const ended = await device.enroll(args);
    expect([ended.code, ended.err.includes('enroll.denied')]).toEqual([3, true]);
  });
});

describe('somebody in between', () => {
  real(
    title('N20: another hub at the token’s address learns nothing (enroll.hub-untrusted)'),
    async () => {
      const device = cabinet(folder, 'pump-1');
      const other = await newHub('liar', ...offered);
      const token = await hub.token('pump-1');
      const ended = await device.enroll(['--token', token, '--hub', other.url]);
      expect([ended.code, ended.err.includes('enroll.hub-untrusted')]).toEqual([3, true]);
      expect(await other.operator('list', '-o', 'json')).not.toContain('pump-1');
    },
  );

  real(
    title('N20: who shows the hub’s own authority behind a certificate of his own is refused'),
    async () => {
      const ca = makeCa(folder, 'liar-ca');
      const leaf = makeLeaf(folder, 'liar-leaf', ca, SERVER);
      const chain = readFileSync(leaf.cert, 'utf8') + readFileSync(hub.ca, 'utf8');
      let heard = '';
      const liar = createServer({ cert: chain, key: readFileSync(leaf.key) }, (socket) => {
        socket.on('data', (bytes) => {
          heard += bytes;
        });
        socket.on('error', () => undefined);
      });
      await new Promise<void>((ready) => liar.listen(0, '127.0.0.1', ready));
      const { port } = liar.address() as { port: number };
      const device = cabinet(folder, 'pump-2');
      const token = await hub.token('pump-2');
      const ended = await device.enroll(['--token', token, '--hub', `https://127.0.0.1:${port}`]);
      expect([ended.code, ended.err.includes('link.tls-untrusted')]).toEqual([4, true]);
      expect(heard).toBe('');
      liar.close();
    },
  );

  real(title('a hub that nothing vouches for is not asked (enroll.hub-unknown)'), async () => {
    const device = cabinet(folder, 'pump-3');
    const ended = await device.enroll(['--hub', hub.url, '--timeout', '0s']);
    expect([ended.code, ended.err.includes('enroll.hub-unknown')]).toEqual([3, true]);
    expect(await hub.operator('list', '-o', 'json')).not.toContain('pump-3');
  });
});

describe('cut anywhere', () => {
  real(
    title('kill -9 of the device at every moment: the next run ends with one credential'),
    async () => {
      for (let round = 0; round < 8; round += 1) {
        const device = cabinet(folder, `cut-${round}`);
        const token = await hub.token(device.id);
        const child = device.launch(['--token', token]);
        const gone = new Promise((resolve) => child.once('exit', resolve));
        // The moment is what is tried: from before the key is made to after the last file.
        await Promise.race([Bun.sleep(round * 40), gone]);
        await endChild(child, 'SIGKILL');
        // Also where the first run had come to its end, and the token is spent.
        const ended = await device.enroll(['--token', token]);
        expect(`${ended.err}${ended.code}`).toBe('0');
        expect(device.credential()).toContain('BEGIN CERTIFICATE');
      }
    },
    120_000,
  );

  real(
    title('kill -9 of the hub while devices ask: nobody is let in twice or forgotten'),
    async () => {
      const own = await newHub('cut-hub', ...offered);
      for (let round = 0; round < 4; round += 1) {
        const device = cabinet(folder, `hubcut-${round}`);
        const token = await own.token(device.id);
        const asking = device.enroll(['--token', token]);
        await Bun.sleep(40 + round * 60);
        await own.stop('SIGKILL');
        await asking;
        await own.start();
        const ended = await device.enroll(['--token', token]);
        expect(`${ended.err}${ended.code}`).toBe('0');
        const other = await cabinet(folder, `thief-${round}`).enroll(['--token', token]);
        expect(other.code).toBe(3);
      }
    },
    120_000,
  );
});

dead(
  faketime ? title('a device at 1970 enrols') : 'a device at 1970 enrols (no faketime)',
  async () => {
    const device = cabinet(folder, 'old-1');
    const done = await device.enroll(['--token', await hub.token('old-1')], { wrap: AT_1970 });
    expect(`${done.err}${done.code}`).toBe('0');
  },
);
