/** The next root is signed, by several people and offline, and comes out: without a network. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openRoot } from '#trust/root-chain.ts';
import { readEnvelope } from '#wire/envelope.ts';
import { type Desk, openDesk } from '../../support/desk.ts';
import { openRootDesk, type Request, type RootDesk } from './root-desk.ts';

let made: RootDesk;
let desk: Desk;
const at = (path: string) => made.at(path);
const root = (...args: string[]) => made.root(...args);
const json = <T>(...args: string[]) => made.json<T>(...args);
const request = () => made.request();
const change = (...edits: string[][]) => made.change(...edits);
const bytesOf = (path: string) => made.bytesOf(path);
const signWith = (file: string, key: string, ...more: string[]) =>
  made.signWith(file, key, ...more);
const newKey = (name: string, ...more: string[]) => made.newKey(name, ...more);

beforeEach(async () => {
  made = await openRootDesk();
  desk = made.desk;
});
afterEach(() => desk.remove());

describe('a request holds still while people sign it', () => {
  test('the same draft again keeps it with its signatures; another draft does not replace it', async () => {
    await root('set-expiry', '2050-01-01');
    const first = await request();
    expect(await request()).toEqual(first);
    await signWith('plant/root/2.request.json', 'root-2');
    expect((await request()).signatures[0]).toMatchObject({ signed: ['root-2'] });
    await root('set-expiry', '2051-01-01');
    const refused = await root('request');
    expect([refused.code, refused.err.includes('publish.root-pending')]).toEqual([2, true]);
  });
  test('without signatures, it follows the draft', async () => {
    await root('set-expiry', '2050-01-01');
    const first = await request();
    await root('set-expiry', '2051-01-01');
    expect((await request()).digest).not.toBe(first.digest);
  });
  test('it is a DSSE envelope, whose bytes other tools sign', async () => {
    await root('set-expiry', '2050-01-01');
    await request();
    const envelope = readEnvelope(bytesOf('root/2.request.json'));
    expect(envelope.ok && envelope.value.signatures).toEqual([]);
  });
});

describe('signing offline', () => {
  const mail = () => join(desk.folder, 'mail.json');
  beforeEach(async () => {
    await root('set-threshold', 'root', '2');
    await newKey('root-3', '--root');
    await root('add-key', 'root-3', '--role', 'root');
    await root('remove-key', 'root-1');
    await request();
    cpSync(at('root/2.request.json'), mail());
  });

  test('needs the file and a key, no fleet folder; it shows what is signed, and asks', async () => {
    const key = join(desk.folder, 'root-2.pem');
    cpSync(at('keys/root/root-2.pem'), key);
    const there = openDesk();
    cpSync(key, join(there.folder, 'k.pem'));
    cpSync(mail(), join(there.folder, 'r.json'));
    const args = ['root', 'sign', 'r.json', '--key', 'k.pem'];
    const no = await there.run(args, ['no']);
    expect([no.code, no.err.includes('publish.root-signature')]).toEqual([2, true]);
    expect(no.err).toContain('- key root-1: ed25519');
    expect(readFileSync(join(there.folder, 'r.json'))).toEqual(readFileSync(mail()));
    const yes = await there.run(args, ['y']);
    expect([yes.code, yes.out.includes('root-2')]).toEqual([0, true]);
    there.remove();
  });
  test('shows what the payload says, whatever the summary beside it claims', async () => {
    const json = JSON.parse(readFileSync(mail(), 'utf8'));
    writeFileSync(mail(), JSON.stringify({ ...json, summary: ['nothing changes'] }));
    const asked = await desk.run(
      ['root', 'sign', mail(), '--key', 'plant/keys/root/root-2.pem'],
      ['n'],
    );
    expect(asked.err).toContain('root-3');
    expect(asked.err).not.toContain('nothing changes');
  });
  test('copies from several people come together; each key counts once', async () => {
    const copies = ['root-1', 'root-2', 'root-3'].map((key) => join(desk.folder, `${key}.json`));
    for (const [index, copy] of copies.entries()) {
      cpSync(mail(), copy);
      expect((await signWith(copy, `root-${index + 1}`)).code).toBe(0);
    }
    const [one = '', two = '', three = ''] = copies;
    expect(await json<Request>('add-signature', one, one)).toMatchObject({ complete: false });
    const done = await json<Request>('add-signature', two, three);
    expect(done.complete).toBe(true);
    expect(done.signatures).toEqual([
      { version: 1, threshold: 1, signed: ['root-1', 'root-2'], missing: [] },
      { version: 2, threshold: 2, signed: ['root-2', 'root-3'], missing: [] },
    ]);
  });
  test('R07: too few of the new root’s keys: not published, nothing written', async () => {
    await signWith('plant/root/2.request.json', 'root-2');
    const refused = await root('publish');
    expect([refused.code, refused.err.includes('trust.root-threshold')]).toEqual([3, true]);
    expect(existsSync(at('root/2.root.json'))).toBe(false);
  });
  test('R08: too few of the former root’s keys: not published', async () => {
    await signWith('plant/root/2.request.json', 'root-3');
    const refused = await root('publish');
    expect([refused.code, refused.err.includes('trust.root-threshold')]).toEqual([3, true]);
  });
  test('a key of neither root cannot sign', async () => {
    await newKey('stranger', '--root');
    const refused = await signWith(mail(), 'stranger');
    expect([refused.code, refused.err.includes('publish.root-not-a-signer')]).toEqual([2, true]);
    const missing = await signWith(mail(), 'nobody');
    expect([missing.code, missing.err.includes('publish.key-missing')]).toEqual([2, true]);
  });
  test('a request that follows another root than the signer holds is refused', async () => {
    const own = ['--against', 'plant/root/1.root.json'];
    expect((await signWith(mail(), 'root-2', ...own)).code).toBe(0);
    await desk.run(['init', 'other', '--no-passphrase']);
    const other = await signWith(mail(), 'root-2', '--against', 'other/root/1.root.json');
    expect([other.code, other.err.includes('publish.root-request')]).toEqual([2, true]);
  });
  test('a file without a good signature adds nothing', async () => {
    const unsigned = await root('add-signature', mail());
    expect([unsigned.code, unsigned.err.includes('publish.root-signature')]).toEqual([2, true]);
    writeFileSync(join(desk.folder, 'sig'), new Uint8Array(64));
    const zeros = await root('add-signature', 'sig');
    expect([zeros.code, zeros.err.includes('publish.root-signature')]).toEqual([2, true]);
  });
  for (const [what, damage] of [
    ['is no JSON', () => '{'],
    ['lacks the root before it', (text: string) => text.replace('"previous"', '"before"')],
    [
      'has a number where the root before it should be',
      (text: string) => text.replace(/"previous": \{/, '"previous": 99999999999999999999, "x": {'),
    ],
    [
      'has another payload type',
      (text: string) => text.replaceAll('holdfast.root.v1', 'holdfast.status.v1'),
    ],
    ['has a cut payload', (text: string) => text.replace(/"payload": "....../, '"payload": "')],
  ] as const) {
    test(`a request that ${what} is refused`, async () => {
      writeFileSync(mail(), damage(readFileSync(mail(), 'utf8')));
      const refused = await signWith(mail(), 'root-2');
      expect(refused.code === 2 || refused.code === 3).toBe(true);
      expect(refused.err).toMatch(/publish\.root-request|format\./);
    });
  }
});

describe('root publish', () => {
  test('writes the next root once, whole, and sweeps draft and request', async () => {
    await change(['set-expiry', '2050-01-01']);
    expect(readdirSync(at('root')).sort()).toEqual(['1.root.json', '2.root.json']);
    const bytes = readFileSync(at('root/2.root.json'));
    expect((await root('publish')).code).toBe(0);
    expect(readFileSync(at('root/2.root.json'))).toEqual(bytes);
  });
  test('a cut between the root and the sweep is swept by the next run', async () => {
    await root('set-expiry', '2050-01-01');
    await request();
    await signWith('plant/root/2.request.json', 'root-1');
    for (const name of ['2.request.json', '2.draft.yaml'])
      cpSync(at(`root/${name}`), at(`root/${name}.kept`));
    await root('publish');
    for (const name of ['2.request.json', '2.draft.yaml'])
      cpSync(at(`root/${name}.kept`), at(`root/${name}`));
    expect((await root('publish')).code).toBe(0);
    expect(existsSync(at('root/2.request.json'))).toBe(false);
  });
  test('a request from before another root came out is refused', async () => {
    await root('set-expiry', '2050-01-01');
    await request();
    const stale = readFileSync(at('root/2.request.json'));
    await signWith('plant/root/2.request.json', 'root-1');
    await root('publish');
    writeFileSync(at('root/3.request.json'), stale);
    const refused = await root('publish');
    expect([refused.code, refused.err.includes('publish.root-request')]).toEqual([2, true]);
  });
  test('an ended root signs nothing; a new one is still made', async () => {
    await change(['set-expiry', '2029-01-01']);
    const clock = { wallMs: () => Date.parse('2029-06-01') };
    const later = openDesk({}, (platform) => ({
      ...platform,
      clock: { ...platform.clock, ...clock },
    }));
    cpSync(at(''), join(later.folder, 'plant'), { recursive: true });
    const run = (...args: string[]) => later.run([...args, '-C', 'plant']);
    const refused = await run('sign', 'stable');
    expect([refused.code, refused.err.includes('publish.root-expired')]).toEqual([2, true]);
    expect((await run('root', 'set-expiry', '365d')).code).toBe(0);
    await run('root', 'request');
    const key = ['--key', 'plant/keys/root/root-1.pem', '-y'];
    await later.run(['root', 'sign', 'plant/root/3.request.json', ...key]);
    expect((await run('root', 'publish')).code).toBe(0);
    expect((await run('sign', 'stable')).code).toBe(0);
    later.remove();
  });
  test('every key lost but the one of the new root: --anchor makes a root for the devices’ own files', async () => {
    await newKey('saved', '--root');
    await root('remove-key', 'root-1');
    await root('add-key', 'saved', '--role', 'root');
    await root('remove-key', 'root-2');
    await request();
    await signWith('plant/root/2.request.json', 'saved');
    expect((await root('publish')).code).toBe(3);
    const anchored = await root('publish', '--anchor');
    expect([anchored.code, anchored.out.includes('by hand')]).toEqual([0, true]);
    expect(existsSync(at('root/2.anchor.txt'))).toBe(true);
    expect(openRoot(bytesOf('root/2.root.json'))).toMatchObject({ ok: true });
    expect((await desk.run(['sign', 'stable', '-C', 'plant'])).code).toBe(0);
    rmSync(at('root/2.anchor.txt'));
    expect((await desk.run(['sign', 'stable', '-C', 'plant'])).code).toBe(3);
  });
  test('a chain with a gap is no chain', async () => {
    await change(['set-expiry', '2050-01-01']);
    await change(['set-expiry', '2051-01-01']);
    rmSync(at('root/2.root.json'));
    const refused = await root('show');
    expect([refused.code, refused.err.includes('publish.root-chain')]).toEqual([2, true]);
  });
});

describe('a new signing key', () => {
  test('the same statement goes out signed anew, under its number', async () => {
    const first = await desk.json<{ point: string; stateDigest: string; manifestDigest: string }>([
      'sign',
      'stable',
      '-C',
      'plant',
    ]);
    await newKey('fresh');
    const yaml = readFileSync(at('fleet.yaml'), 'utf8');
    writeFileSync(at('fleet.yaml'), yaml.replace('signers: [stable]', 'signers: [fresh]'));
    await change(['add-key', 'fresh', '--role', 'channel.stable'], ['remove-key', 'stable']);
    const again = await desk.json<typeof first>(['sign', 'stable', '-C', 'plant']);
    expect(again).toMatchObject({ point: '1.1', stateDigest: first.stateDigest });
    expect(again.manifestDigest).not.toBe(first.manifestDigest);
    expect(readdirSync(at('signed/stable'))).toEqual(['1-1']);
    const verified = await desk.run(['verify', `oci:${at('signed/stable/1-1')}`, '-C', 'plant']);
    expect(verified.code).toBe(0);
  });
  test('of somebody else: the next number waits for its signature', async () => {
    await desk.run(['sign', 'stable', '-C', 'plant']);
    await desk.run(['init', 'elsewhere', '--no-passphrase']);
    await desk.run([
      'key',
      'add',
      'theirs',
      'elsewhere/keys/signing/stable.pub.pem',
      '-C',
      'plant',
    ]);
    const yaml = readFileSync(at('fleet.yaml'), 'utf8');
    writeFileSync(at('fleet.yaml'), yaml.replace('signers: [stable]', 'signers: [theirs]'));
    await change(['add-key', 'theirs', '--role', 'channel.stable'], ['remove-key', 'stable']);
    expect(readdirSync(at('signed/stable')).sort()).toEqual(['1-1', '1-2.waiting']);
  });
  test('a new epoch says the same again from 1 on', async () => {
    await desk.run(['sign', 'stable', '-C', 'plant']);
    await desk.run(['sign', 'stable', '--renew', '-C', 'plant']);
    await change(['bump-epoch', 'stable']);
    const signed = await desk.json<{ point: string; signed: string }>([
      'sign',
      'stable',
      '-C',
      'plant',
    ]);
    expect(signed).toMatchObject({ point: '2.1', signed: 'before' });
    expect(readdirSync(at('signed/stable')).sort()).toEqual(['1-1', '1-2', '2-1']);
  });
});
