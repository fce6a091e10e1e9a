/** Statements that wait for keys elsewhere: kept, shown, signed by other tools, finished, never twice. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { createHash, createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PAYLOAD } from '#state/media-types.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { openRoot } from '#trust/root-chain.ts';
import { readEnvelope, writeEnvelope } from '#wire/envelope.ts';
import { writeRoot } from '#wire/root.ts';
import { type Desk, openDesk } from '../../support/desk.ts';
import { minisigBy, newP256Key, SK, sshsigBy } from '../trust/foreign.ts';
import { newKey, rootKey, type TestKey } from '../trust/world.ts';

interface View {
  point: string;
  signed: string;
  got?: number;
  threshold?: number;
  folder?: string;
}

let desk: Desk;
beforeEach(() => {
  desk = openDesk();
});
afterEach(() => desk.remove());

const at = (path: string) => join(desk.folder, path);
const plant = (path: string) => at(`plant/${path}`);
const spkiPem = ({ spki }: TestKey) =>
  `-----BEGIN PUBLIC KEY-----\n${Buffer.from(spki).toString('base64')}\n-----END PUBLIC KEY-----\n`;
const minisignPub = ({ spki }: TestKey, comment = 'minisign public key 01') =>
  `untrusted comment: ${comment}\n${Buffer.concat([Buffer.from('Ed'), Buffer.alloc(8, 1), spki.slice(-32)]).toString('base64')}\n`;

/** A fleet with one channel, whose key is only known by this file. */
async function fleetSignedBy(publicKey: string): Promise<void> {
  writeFileSync(at('ops.pub'), publicKey);
  const made = await desk.run([
    ...['init', 'plant', '--no-passphrase', '--channel', 'stable'],
    ...['--signer', 'stable=ops.pub'],
  ]);
  if (made.code !== 0) throw new Error(made.err);
}

/** `holdfast sign`, then `holdfast pae`: what another tool signs. */
async function toSign(): Promise<Uint8Array> {
  const view = await desk.json<View>(['sign', '-C', 'plant']);
  rmSync(at('pae.bin'), { force: true });
  const ran = await desk.run(['pae', view.folder ?? '', '--out', 'pae.bin']);
  if (ran.code !== 0) throw new Error(ran.err);
  return new Uint8Array(readFileSync(at('pae.bin')));
}

const attach = (sig: Uint8Array | string, ...more: string[]) => {
  writeFileSync(at('sig'), sig);
  return desk.run(['sign', '-C', 'plant', '--attach', 'sig', '-o', 'json', ...more]);
};
const pure = (key: TestKey, message: Uint8Array) => new Uint8Array(sign(null, message, key.secret));
const speed = (value: number) =>
  writeFileSync(plant('channels/stable/files/hello.conf'), `speed=${value}\n`);

describe('a key elsewhere signs by', () => {
  const key = newKey();
  const p256 = newP256Key();
  const hash = (message: Uint8Array) => createHash('blake2b512').update(message).digest();
  for (const [what, publicKey, signed] of [
    ['openssl, Ed25519', spkiPem(key), (m: Uint8Array) => pure(key, m)],
    ['openssl, P-256', spkiPem(p256), (m: Uint8Array) => sign('sha256', m, p256.secret)],
    [
      'cosign: base64 of DER',
      spkiPem(p256),
      (m: Uint8Array) => sign('sha256', m, p256.secret).toString('base64'),
    ],
    ['SSHSIG', spkiPem(key), (message: Uint8Array) => sshsigBy(key, { message })],
    ['SSHSIG, FIDO', spkiPem(key), (message: Uint8Array) => sshsigBy(key, { message, type: SK })],
    ['minisign', minisignPub(key), (m: Uint8Array) => minisigBy(key, { over: hash(m) })],
    [
      'minisign’s old form',
      minisignPub(key, 'made with -l'),
      (over: Uint8Array) => minisigBy(key, { algorithm: 'Ed', over }),
    ],
  ] as readonly (readonly [string, string, (message: Uint8Array) => Uint8Array | string])[]) {
    test(`${what}: the statement is signed, publishes and verifies`, async () => {
      await fleetSignedBy(publicKey);
      const done = await attach(signed(await toSign()));
      expect(done).toMatchObject({ code: 0, err: '' });
      expect(JSON.parse(done.out)).toMatchObject({ point: '1.1', signed: 'now' });
      expect(readdirSync(plant('signed/stable'))).toEqual(['1-1']);
      const bundle = `oci:${at('usb')}`;
      expect((await desk.run(['publish', '-C', 'plant', '--to', bundle])).code).toBe(0);
      const verified = await desk.run(['verify', bundle, '-C', 'plant', '-o', 'name']);
      expect(verified.out).toBe('stable/1.1 verified\n');
    });
  }
  test('a DSSE signer: the envelope that it wrote', async () => {
    await fleetSignedBy(spkiPem(key));
    const message = await toSign();
    const unsigned = waitingEnvelope();
    const signatures = [{ keyid: 'theirs', sig: pure(key, message) }];
    const done = await attach(writeEnvelope({ ...unsigned, signatures }));
    expect(JSON.parse(done.out)).toMatchObject({ signed: 'now' });
  });
});

describe('while it waits', () => {
  const key = newKey();
  beforeEach(() => fleetSignedBy(spkiPem(key)));

  test('sign says so, publish refuses: publish.signatures-missing', async () => {
    const view = await desk.json<View>(['sign', '-C', 'plant']);
    expect(view).toMatchObject({ point: '1.1', signed: 'waiting', got: 0, threshold: 1 });
    expect(view.folder).toBe(plant('signed/stable/1-1.waiting'));
    const sent = await desk.run(['publish', '-C', 'plant', '--to', `oci:${at('usb')}`]);
    expect([sent.code, sent.err.includes('publish.signatures-missing')]).toEqual([2, true]);
    expect(existsSync(at('usb'))).toBe(false);
    expect((await desk.json<View>(['sign', '-C', 'plant'])).point).toBe('1.1');
  });
  test('other content gets the next number: the first may be signed already', async () => {
    const first = await toSign();
    speed(2);
    const second = await toSign();
    expect(Buffer.from(second).equals(Buffer.from(first))).toBe(false);
    const refused = await attach(pure(key, first));
    expect(refused.err).toContain('publish.signature-refused');
    expect(JSON.parse((await attach(pure(key, second))).out)).toMatchObject({ point: '1.2' });
  });
  test('an attached statement is the counter like any other', async () => {
    await attach(pure(key, await toSign()));
    expect((await desk.json<View>(['sign', '-C', 'plant'])).signed).toBe('before');
    speed(3);
    expect((await desk.json<View>(['sign', '-C', 'plant'])).point).toBe('1.2');
  });
  test('what a cut left behind once it was signed does not count', async () => {
    await toSign();
    const waiting = plant('signed/stable/1-1.waiting');
    const copy = at('copy');
    await Bun.$`cp -r ${waiting} ${copy}`.quiet();
    await attach(pure(key, new Uint8Array(readFileSync(at('pae.bin')))));
    await Bun.$`cp -r ${copy} ${waiting}`.quiet();
    expect((await desk.json<View>(['sign', '-C', 'plant'])).signed).toBe('before');
  });
  test('a waiting folder of another number is refused: publish.bundle', async () => {
    await toSign();
    await Bun.$`mv ${plant('signed/stable/1-1.waiting')} ${plant('signed/stable/1-7.waiting')}`.quiet();
    expect((await desk.run(['sign', '-C', 'plant'])).err).toContain('publish.bundle');
  });
  test('collected signatures over another payload are refused: publish.bundle', async () => {
    await toSign();
    const forged = { ...waitingEnvelope(), payload: new Uint8Array([8, 1]) };
    writeFileSync(plant('signed/stable/1-1.waiting/envelope.json'), writeEnvelope(forged));
    expect((await desk.run(['sign', '-C', 'plant'])).err).toContain('publish.bundle');
  });
  test('pae says what is signed, and prints to a pipe what it writes to a file', async () => {
    const bytes = await toSign();
    const ran = await desk.run(['pae', plant('signed/stable/1-1.waiting')]);
    expect(Buffer.from(ran.out, 'latin1').equals(Buffer.from(bytes))).toBe(true);
    expect(ran.err).toContain('stable 1.1');
    expect(ran.err).toContain('holdfast.state.v1');
    expect(ran.err).toContain('hello-files, hello-process');
    const payload = waitingEnvelope().payload;
    writeFileSync(at('state.payload'), payload);
    const bare = await desk.run(['pae', 'state.payload']);
    expect(bare.out).toBe(ran.out);
    expect((await desk.run(['pae', 'plant/root/1.root.json'])).err).toContain('holdfast.root.v1');
    expect((await desk.run(['pae', 'state.payload', '--out', 'pae.bin'])).err).toContain(
      'platform.exists',
    );
  });
  for (const [what, file, code] of [
    ['a payload that is none', 'hello', 'format.protobuf'],
    [
      'an envelope of another type',
      '{"payloadType":"x/y","payload":"AA==","signatures":[]}',
      'trust.payload-type',
    ],
  ] as const) {
    test(`pae of ${what}: ${code}`, async () => {
      writeFileSync(at('other'), file);
      const ran = await desk.run(['pae', 'other']);
      expect([ran.code, ran.out, ran.err.includes(code)]).toEqual([3, '', true]);
    });
  }
});

describe('a signature that does not count is not kept', () => {
  const key = newKey();
  const other = newKey();
  beforeEach(() => fleetSignedBy(spkiPem(key)));
  const cases: readonly (readonly [string, (m: Uint8Array) => Uint8Array | string, string])[] = [
    ['by another key', (m) => pure(other, m), 'none of 1 keys (ed25519)'],
    ['over other bytes', (m) => pure(key, m.slice(1)), 'none of 1 keys (ed25519)'],
    [
      'for git',
      (message) => sshsigBy(key, { message, namespace: 'git' }),
      'SSHSIG has the namespace "git", not holdfast.state.v1',
    ],
    [
      'for a root',
      (message) => sshsigBy(key, { message, namespace: 'holdfast.root.v1' }),
      'holdfast.root.v1',
    ],
    [
      'SSHSIG with sha1',
      (message) => sshsigBy(key, { message, hash: 'sha1' }),
      'neither sha512 nor sha256',
    ],
    ['untouched', (message) => sshsigBy(key, { message, type: SK, flags: 0 }), 'nobody touched'],
    [
      'S16: prehashed by minisign, for a key recorded as pure',
      (m) => minisigBy(key, { over: createHash('blake2b512').update(m).digest() }),
      'sign with `minisign -l`',
    ],
    [
      'S19: minisign’s old form, its trusted comment altered',
      (over) => minisigBy(key, { algorithm: 'Ed', over, signedComment: 'another' }),
      'its trusted comment was not signed with it',
    ],
  ];
  for (const [what, signed, reason] of cases) {
    test(`${what}: publish.signature-refused`, async () => {
      const ran = await attach(signed(await toSign()));
      expect(ran.code).toBe(2);
      expect(ran.err).toContain('publish.signature-refused');
      expect(ran.err).toContain(reason);
      expect(readdirSync(plant('signed/stable'))).toEqual(['1-1.waiting']);
      expect(existsSync(plant('signed/stable/1-1.waiting/envelope.json'))).toBe(false);
    });
  }
  test('no signature at all: format.signature', async () => {
    await toSign();
    expect(await attach('hello')).toMatchObject({ code: 3 });
    expect((await attach('hello')).err).toContain('format.signature');
  });
  test('nothing waits: publish.nothing-waiting', async () => {
    expect((await attach('hello')).err).toContain('publish.nothing-waiting');
  });
  test('--key names who must have signed', async () => {
    const message = await toSign();
    writeFileSync(at('other.pub'), spkiPem(other));
    const wrong = await attach(pure(key, message), '--key', 'other.pub');
    expect(wrong.err).toContain('publish.key-not-in-role');
    expect((await attach(pure(key, message), '--key', 'ops.pub')).code).toBe(0);
  });
});

test('two keys: the one here signs at once, the other is attached by its name', async () => {
  await desk.run(['init', 'plant', '--no-passphrase', '--channel', 'stable']);
  const ops = newKey();
  writeFileSync(at('ops.pub'), spkiPem(ops));
  const added = await desk.json<{ scheme: string; from: string }>([
    ...['key', 'add', 'ops', 'ops.pub', '-C', 'plant'],
  ]);
  expect(added).toMatchObject({ scheme: 'ed25519', from: 'SPKI', elsewhere: true });
  needsBoth(ops);
  const waits = await desk.json<View>(['sign', '-C', 'plant']);
  expect(waits).toMatchObject({ signed: 'waiting', got: 1, threshold: 2 });
  const message = await toSign();
  expect((await attach(pure(ops, message), '--key', 'ops')).code).toBe(0);
  expect(readdirSync(plant('signed/stable'))).toEqual(['1-1']);
});

test('--detached opens no private key; signatures come one by one', async () => {
  await desk.run(['init', 'plant', '--no-passphrase', '--channel', 'stable']);
  const ops = newKey();
  writeFileSync(at('ops.pub'), spkiPem(ops));
  await desk.run(['key', 'add', 'ops', 'ops.pub', '-C', 'plant']);
  needsBoth(ops);
  const stable = createPrivateKey(readFileSync(plant('keys/signing/stable.pem')));
  rmSync(plant('keys/signing/stable.pem'));
  const args = ['sign', '-C', 'plant', '--detached'];
  expect(await desk.json<View>(args)).toMatchObject({ signed: 'waiting', got: 0, threshold: 2 });
  await desk.run(['pae', 'plant/signed/stable/1-1.waiting', '--out', 'pae.bin']);
  const message = new Uint8Array(readFileSync(at('pae.bin')));
  const first = await attach(pure(ops, message));
  expect(JSON.parse(first.out)).toMatchObject({ signed: 'waiting', got: 1, threshold: 2 });
  const again = await attach(pure(ops, message));
  expect(JSON.parse(again.out)).toMatchObject({ signed: 'waiting', got: 1 });
  expect(waitingEnvelope('envelope.json').signatures).toHaveLength(1);
  const done = await attach(new Uint8Array(sign(null, message, stable)));
  expect(JSON.parse(done.out)).toMatchObject({ signed: 'now', point: '1.1' });
});

describe('key add', () => {
  const key = newKey();
  beforeEach(async () => {
    await desk.run(['init', 'plant', '--no-passphrase']);
  });
  const add = (...more: string[]) =>
    desk.run(['key', 'add', 'ops', 'ops.pub', '-C', 'plant', ...more]);

  test('lists the key with its scheme and that its private half is elsewhere', async () => {
    writeFileSync(at('ops.pub'), minisignPub(key));
    expect((await add()).out).toContain(`${keyidOf(key.spki)} ed25519-blake2b512 (minisign)`);
    const listed = await desk.run(['key', 'list', '-C', 'plant']);
    expect(listed.out).toMatch(/ops +signing +[0-9a-f]{16} +ed25519-blake2b512 +elsewhere/);
    expect(listed.out).toMatch(/stable +signing +[0-9a-f]{16} +ed25519 +made here/);
  });
  test('--scheme overrules the guess, not the kind of key', async () => {
    writeFileSync(at('ops.pub'), minisignPub(key));
    expect((await add('--scheme', 'ecdsa-p256-sha256')).err).toContain('format.public-key');
    expect((await add('--scheme', 'ed25519')).out).toContain(' ed25519 (minisign)');
    expect((await add('--scheme', 'rsa')).code).toBe(2);
  });
  test('writes over no key', async () => {
    writeFileSync(at('ops.pub'), spkiPem(key));
    expect((await add()).code).toBe(0);
    expect((await add()).err).toContain('platform.exists');
  });
  test('P13: takes no private key', async () => {
    const pem = key.secret.export({ format: 'pem', type: 'pkcs8' });
    writeFileSync(at('ops.pub'), pem);
    const ran = await add();
    expect(ran.err).toContain('format.public-key');
    expect(ran.err).toContain('private key');
    expect(existsSync(plant('keys/signing/ops.pub.pem'))).toBe(false);
  });
  test('a damaged note of the scheme is found: config.key', async () => {
    writeFileSync(at('ops.pub'), spkiPem(key));
    await add();
    writeFileSync(plant('keys/signing/ops.added'), 'both\n');
    expect((await desk.run(['key', 'list', '-C', 'plant'])).err).toContain('config.key');
  });
});

test('init --signer names a channel that there is', async () => {
  writeFileSync(at('ops.pub'), spkiPem(newKey()));
  const ran = await desk.run(['init', 'plant', '--no-passphrase', '--signer', 'beta=ops.pub']);
  expect([ran.code, ran.err.includes('--signer')]).toEqual([2, true]);
});

function waitingEnvelope(file?: string) {
  const folder = plant('signed/stable/1-1.waiting');
  const texts = file
    ? [readFileSync(join(folder, file))]
    : readdirSync(join(folder, 'blobs/sha256')).map((name) =>
        readFileSync(join(folder, 'blobs/sha256', name)),
      );
  for (const bytes of texts) {
    const envelope = readEnvelope(new Uint8Array(bytes));
    if (envelope.ok) return envelope.value;
  }
  throw new Error('no envelope there');
}

/** Rewrites the root of a fresh fleet: `stable` needs the key made here and `ops`. */
function needsBoth(ops: TestKey): void {
  const yaml = plant('fleet.yaml');
  writeFileSync(
    yaml,
    readFileSync(yaml, 'utf8').replace('signers: [stable]', 'signers: [stable, ops]'),
  );
  const secret: KeyObject = createPrivateKey(readFileSync(plant('keys/root/root-1.pem')));
  rewriteRoot(secret, ops);
}

function rewriteRoot(secret: KeyObject, ops: TestKey): void {
  const file = plant('root/1.root.json');
  const opened = openRoot(new Uint8Array(readFileSync(file)));
  if (!opened.ok) throw new Error(opened.fault.message);
  const root = opened.value;
  const roles = root.roles.map((role) =>
    role.name === 'channel.stable'
      ? { ...role, threshold: 2, keyids: [...role.keyids, ops.keyid] }
      : role,
  );
  const payload = writeRoot({ ...root, keys: [...root.keys, rootKey(ops)], roles });
  const sig = new Uint8Array(sign(null, pae(PAYLOAD.root, payload), secret));
  const signatures = [{ keyid: '', sig }];
  writeFileSync(file, writeEnvelope({ payloadType: PAYLOAD.root, payload, signatures }));
}
