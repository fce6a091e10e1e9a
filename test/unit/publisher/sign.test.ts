/** The fleet folder without a network: init, sign, the counter, bundles, what a folder may not do. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { openRoot } from '#trust/root-chain.ts';
import { type Desk, openDesk } from '../../support/desk.ts';
import { program } from '../../support/parts.ts';

interface View {
  point: string;
  stateDigest: string;
  manifestDigest: string;
  signed: string;
}

let desk: Desk;
beforeEach(() => {
  desk = openDesk();
});
afterEach(() => desk.remove());

const at = (path: string) => join(desk.folder, 'plant', path);
const init = (...more: string[]) => desk.run(['init', 'plant', '--no-passphrase', ...more]);
const sign = (channel = 'stable', ...more: string[]) =>
  desk.json<View>(['sign', channel, '-C', 'plant', ...more]);
const speed = (value: number, channel = 'stable') =>
  writeFileSync(at(`channels/${channel}/files/hello.conf`), `speed=${value}\n`);

describe('init', () => {
  test('makes a fleet whose examples publish as they are', async () => {
    const made = await init();
    expect(made).toMatchObject({ code: 0, err: '' });
    expect(made.out).toContain('keys/root/root-1.pem');
    const root = openRoot(new Uint8Array(readFileSync(at('root/1.root.json'))));
    if (!root.ok) throw new Error(root.fault.message);
    expect(root.value).toMatchObject({ version: 1n, demo: false });
    expect(root.value.roles.map(({ name, threshold }) => [name, threshold])).toEqual([
      ['root', 1],
      ['channel.canary', 1],
      ['channel.stable', 1],
    ]);
    expect((await sign('stable')).signed).toBe('now');
    expect((await sign('canary')).signed).toBe('now');
  });
  test('keeps private keys to their owner and out of git', async () => {
    await init();
    for (const key of ['root/root-1', 'signing/stable', 'signing/canary']) {
      expect(statSync(at(`keys/${key}.pem`)).mode & 0o777).toBe(0o600);
    }
    if (!program('git')) return;
    execFileSync('git', ['init', '-q', at('')]);
    const listed = execFileSync('git', ['-C', at(''), 'status', '--short', '-uall'], {
      encoding: 'utf8',
    });
    expect(listed).toContain('keys/root/root-1.pub.pem');
    expect(listed).not.toMatch(/keys\/\w+\/[\w-]+\.pem/);
  });
  test('writes over nothing', async () => {
    await init();
    expect((await init()).err).toContain('publish.folder-exists');
  });
  test('marks a demo fleet', async () => {
    expect((await init('--demo')).out).toContain('demo');
    const root = openRoot(new Uint8Array(readFileSync(at('root/1.root.json'))));
    expect(root.ok && root.value.demo).toBe(true);
    expect((await sign()).signed).toBe('now');
  });
  test('three root keys sign, two will have to', async () => {
    await init('--root-keys', '3');
    const root = openRoot(new Uint8Array(readFileSync(at('root/1.root.json'))));
    expect(root.ok && root.value.roles[0]).toMatchObject({ name: 'root', threshold: 2 });
  });
  for (const wrong of [
    ['--channel', 'No'],
    ['--root-keys', '0'],
    ['--root-threshold', '2'],
  ]) {
    test(`refuses ${wrong.join(' ')}`, async () => {
      expect(await init(...wrong)).toMatchObject({ code: 2 });
      expect(existsSync(at('fleet.yaml'))).toBe(false);
    });
  }
});

describe('passphrases', () => {
  test('are asked for twice, and open the keys again', async () => {
    const answers = ['root pass', 'root pass', 'sign pass', 'sign pass'];
    expect((await desk.run(['init', 'plant'], answers)).code).toBe(0);
    expect(readFileSync(at('keys/signing/stable.pem'), 'utf8')).toContain('ENCRYPTED PRIVATE KEY');
    const args = ['sign', 'stable', '-C', 'plant'];
    expect((await desk.run(args, ['wrong'])).err).toContain('config.key');
    expect((await desk.run(args)).err).toContain('publish.passphrase');
    expect((await desk.run(args, ['sign pass'])).code).toBe(0);
  });
  test('that differ make no key', async () => {
    const made = await desk.run(['init', 'plant'], ['a', 'b']);
    expect(made.err).toContain('publish.passphrase');
    expect(existsSync(at('fleet.yaml'))).toBe(false);
  });
  test('come from a file where there is no terminal', async () => {
    const file = join(desk.folder, 'passphrase');
    writeFileSync(file, 'from a file\n');
    const other = openDesk({ HOLDFAST_PASSPHRASE_FILE: file });
    const plant = join(other.folder, 'plant');
    expect((await other.run(['init', plant])).code).toBe(0);
    expect((await other.run(['sign', 'stable', '-C', plant])).code).toBe(0);
    const key = execFileSync(
      'openssl',
      ['pkey', '-in', join(plant, 'keys/signing/stable.pem'), '-passin', `file:${file}`],
      { encoding: 'utf8' },
    );
    expect(key).toContain('BEGIN PRIVATE KEY');
    other.remove();
  });
});

describe('the signed folders are the counter', () => {
  test('unchanged content is signed once; changed content gets the next number', async () => {
    await init();
    const first = await sign();
    expect(first).toMatchObject({ point: '1.1', signed: 'now' });
    expect(await sign()).toEqual({ ...first, signed: 'before' });
    speed(2);
    expect(await sign()).toMatchObject({ point: '1.2', signed: 'now' });
    speed(1);
    expect(await sign()).toMatchObject({ point: '1.3', signed: 'now' });
    expect(await sign('stable', '--renew')).toMatchObject({ point: '1.4', signed: 'now' });
  });
  test('what a cut left half written is swept, its number was never used', async () => {
    await init();
    await sign();
    cpSync(at('signed/stable/1-1'), at('signed/stable/.writing'), { recursive: true });
    speed(2);
    expect((await sign()).point).toBe('1.2');
    expect(readdirSync(at('signed/stable')).sort()).toEqual(['1-1', '1-2']);
  });
  test('a number that another publisher took is never sent again', async () => {
    await init();
    await sign();
    writeFileSync(at('signed/stable/1-1.taken'), '');
    expect(await sign()).toMatchObject({ point: '1.2', signed: 'now' });
  });
  test('channels count apart', async () => {
    await init();
    await sign('stable');
    speed(2);
    await sign('stable');
    expect((await sign('canary')).point).toBe('1.1');
  });
  test('an edited layout is not taken for what was signed', async () => {
    await init();
    const { stateDigest } = await sign();
    const blobs = at('signed/stable/1-1/blobs/sha256');
    for (const name of readdirSync(blobs)) {
      const text = readFileSync(join(blobs, name), 'latin1');
      if (text.includes('payloadType'))
        writeFileSync(join(blobs, name), text.replace('"sig":"', '"sig":"A'));
    }
    // the envelope stands in the manifest as well, so what is signed is still known; verify sees the blob
    expect((await sign()).stateDigest).toBe(stateDigest);
    const manifest = JSON.parse(readFileSync(at('signed/stable/1-1/index.json'), 'utf8')) as {
      manifests: { digest: string }[];
    };
    const file = join(blobs, manifest.manifests[0]?.digest.slice(7) ?? '');
    writeFileSync(file, `${readFileSync(file, 'utf8')} `);
    const ran = await desk.run(['sign', 'stable', '-C', 'plant']);
    expect(ran.code).not.toBe(0);
  });
});

describe('removals', () => {
  const drop = () => rmSync(at('channels/stable/hello-process.yaml'));
  test('are named, asked for, and not covered by -y', async () => {
    await init();
    await sign();
    drop();
    const asked = await desk.run(['sign', 'stable', '-C', 'plant'], ['n']);
    expect(asked).toMatchObject({ code: 2 });
    expect(asked.err).toContain('- hello-process');
    expect(asked.err).toContain('publish.not-confirmed');
    expect((await desk.run(['publish', 'stable', '-y', '-C', 'plant', '--to', 'oci:b'])).code).toBe(
      2,
    );
    expect(readdirSync(at('signed/stable'))).toEqual(['1-1']);
  });
  test('that are confirmed let the guard of lagging devices pass', async () => {
    await init();
    await sign();
    drop();
    expect((await desk.run(['sign', 'stable', '-C', 'plant'], ['yes'])).code).toBe(0);
    const shown = await desk.json<{ allowRemoval: string }[]>([
      'inspect',
      `oci:${at('signed/stable/1-2')}`,
      '-C',
      'plant',
    ]);
    expect(shown[0]?.allowRemoval).toBe('2');
    speed(9);
    await sign();
    const later = await desk.json<{ allowRemoval: string }[]>([
      'inspect',
      `oci:${at('signed/stable/1-3')}`,
      '-C',
      'plant',
    ]);
    expect(later[0]?.allowRemoval).toBe('2');
  });
});

describe('keys and root must fit together', () => {
  test('a signer that the root does not name is refused before its passphrase is asked', async () => {
    await init();
    await desk.run(['key', 'create', 'new', '--no-passphrase', '-C', 'plant']);
    const yaml = readFileSync(at('fleet.yaml'), 'utf8').replaceAll(
      'signers: [stable]',
      'signers: [new]',
    );
    writeFileSync(at('fleet.yaml'), yaml);
    expect((await desk.run(['sign', 'stable', '-C', 'plant'])).err).toContain(
      'publish.key-not-in-role',
    );
  });
  test('a private key of another pair is found before anything is kept', async () => {
    await init();
    cpSync(at('keys/signing/canary.pem'), at('keys/signing/stable.pem'));
    const ran = await desk.run(['sign', 'stable', '-C', 'plant']);
    expect([ran.code, ran.err.includes('trust.threshold')]).toEqual([3, true]);
    expect(existsSync(at('signed/stable'))).toBe(false);
  });
  test('a missing private key is named', async () => {
    await init();
    rmSync(at('keys/signing/stable.pem'));
    expect((await desk.run(['sign', 'stable', '-C', 'plant'])).err).toContain(
      'keys/signing/stable.pem',
    );
  });
  test('an edited root is no root', async () => {
    await init();
    const file = at('root/1.root.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"sig":"', '"sig":"AAAA'));
    expect((await desk.run(['sign', 'stable', '-C', 'plant'])).code).toBe(3);
  });
  test('key list shows what the root makes of each key', async () => {
    await init();
    await desk.run(['key', 'create', 'spare', '--no-passphrase', '-C', 'plant']);
    const keys = await desk.json<{ name: string; roles: string[] }[]>([
      'key',
      'list',
      '-C',
      'plant',
    ]);
    expect(keys.map(({ name, roles }) => [name, ...roles])).toEqual([
      ['root-1', 'root'],
      ['canary', 'channel.canary'],
      ['spare'],
      ['stable', 'channel.stable'],
    ]);
    expect(
      (await desk.run(['key', 'create', 'spare', '--no-passphrase', '-C', 'plant'])).err,
    ).toContain('platform.exists');
  });
});

describe('fleet.yaml is read strictly', () => {
  for (const [what, from, to] of [
    ['an unknown key', 'kind: Fleet', 'kind: Fleet\nextra: 1'],
    ['a channel without signers', 'signers: [stable]', 'signers: []'],
    ['an empty audience', 'audience: everyone', 'audience: { devices: [] }'],
  ] as const) {
    test(`${what}: config.invalid, with its line`, async () => {
      await init();
      writeFileSync(at('fleet.yaml'), readFileSync(at('fleet.yaml'), 'utf8').replace(from, to));
      const ran = await desk.run(['sign', 'stable', '-C', 'plant']);
      expect(ran.code).toBe(2);
      expect(ran.err).toMatch(/config\.invalid: .*fleet\.yaml:\d+:\d+:/);
    });
  }
  test('a folder that is no fleet says so', async () => {
    expect((await desk.run(['sign', '-C', '.'])).err).toContain('publish.not-a-fleet');
  });
});

describe('bundles', () => {
  test('as a layout and as an archive hold the same state, and verify says so', async () => {
    await init();
    const signed = await sign();
    for (const to of [`oci:${desk.folder}/usb`, `oci-archive:${desk.folder}/usb.tar`]) {
      const wrote = await desk.json<View>(['publish', 'stable', '-C', 'plant', '--to', to]);
      expect(wrote.manifestDigest).toBe(signed.manifestDigest);
      const ran = await desk.run(['verify', to, '-C', 'plant', '-o', 'name']);
      expect(ran).toMatchObject({ code: 0, out: 'stable/1.1 verified\n' });
    }
  });
  test('of another fleet are refused with the check that failed', async () => {
    await init();
    await desk.run(['publish', 'stable', '-C', 'plant', '--to', `oci:${desk.folder}/usb`]);
    await desk.run(['init', 'other', '--no-passphrase']);
    const ran = await desk.run(['verify', `oci:${desk.folder}/usb`, '-C', 'other']);
    expect(ran.code).toBe(3);
    expect(ran.out).toMatch(/10 +threshold +failed/);
  });
  test('of another channel are refused when the channel is named', async () => {
    await init();
    await desk.run(['publish', 'canary', '-C', 'plant', '--to', `oci:${desk.folder}/usb`]);
    const args = ['verify', `oci:${desk.folder}/usb`, '-C', 'plant', '--channel'];
    expect((await desk.run([...args, 'canary'])).code).toBe(0);
    expect((await desk.run([...args, 'stable'])).code).toBe(3);
  });
  test('with one changed byte in a blob are refused', async () => {
    await init();
    await desk.run(['publish', 'stable', '-C', 'plant', '--to', `oci:${desk.folder}/usb`]);
    const blobs = join(desk.folder, 'usb/blobs/sha256');
    const conf = readdirSync(blobs).find((name) =>
      readFileSync(join(blobs, name), 'latin1').startsWith('greeting'),
    );
    writeFileSync(join(blobs, conf ?? ''), 'greeting=bye!!\nspeed=1\n');
    const ran = await desk.run(['verify', `oci:${desk.folder}/usb`, '-C', 'plant']);
    expect([ran.code, ran.out.includes('source.digest-mismatch')]).toEqual([3, true]);
  });
  test('that are cut are refused', async () => {
    await init();
    const file = join(desk.folder, 'usb.tar');
    await desk.run(['publish', 'stable', '-C', 'plant', '--to', `oci-archive:${file}`]);
    const whole = readFileSync(file);
    for (const part of [0, 100, 700, whole.length - 1500]) {
      writeFileSync(file, whole.subarray(0, part));
      expect((await desk.run(['verify', `oci-archive:${file}`, '-C', 'plant'])).code).not.toBe(0);
    }
  });
});

test('diff --offline names what changed and ends with 1', async () => {
  await init();
  await sign();
  const args = ['diff', 'stable', '--offline', '-C', 'plant'];
  expect((await desk.run(args)).code).toBe(0);
  speed(3);
  rmSync(at('channels/stable/hello-process.yaml'));
  const ran = await desk.json(args, 1);
  expect(ran).toMatchObject({
    base: '1.1',
    added: [],
    changed: [{ id: 'hello-files', what: ['files/hello.conf'] }],
    removed: ['hello-process'],
    bytesToPush: null,
    same: false,
  });
});
