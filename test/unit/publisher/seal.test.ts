/** `seal`: for which key, from whom it is known, and what ends up in the fleet folder. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Signer } from '#platform/signer.ts';
import { signStatus } from '#report/sign.ts';
import { LIMITS } from '#state/limits.ts';
import type { Status } from '#state/status.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { openValue } from '#trust/sealed-value.ts';
import { sealingKeyOf, sealingPublicPem, sealingSpki } from '#trust/sealing-key.ts';
import { writeStatus } from '#wire/status.ts';
import { readValues } from '#wire/values.ts';
import { type Desk, openDesk } from '../../support/desk.ts';

const KEY = sealingKeyOf(new Uint8Array(32).fill(7));
const SECRET = 'correct horse battery staple';
const DOCUMENT = 'plant/channels/device.press-7/values.yaml';

let desk: Desk;
let fleet: string;
let device: Signer;

const at = (path: string) => join(desk.folder, path);
const pin = () => ['--device-key', `sha256:${keyidOf(device.publicKey)}`];

beforeEach(async () => {
  desk = openDesk();
  const channels = ['--channel', 'stable', 'device.*'];
  const made = await desk.json<{ fleet: string }>([
    ...['init', 'plant', '--demo', '--no-passphrase', '--no-examples', ...channels],
  ]);
  fleet = made.fleet;
  device = newSigner();
});

afterEach(() => desk.remove());

function newSigner(): Signer {
  const { keyFiles } = desk.platform;
  const signer = keyFiles.load(keyFiles.generate(null).privatePem, null);
  if (!signer.ok) throw new Error(signer.fault.message);
  return signer.value;
}

async function status(change: Partial<Status> = {}, signer = device): Promise<Buffer> {
  const payload = writeStatus({
    ...{ fleet, deviceId: 'press-7', boot: 1n, report: 1n, previousReport: null, at: 1 },
    ...{
      timeGrade: 'estimated',
      attestedAt: 0,
      agentVersion: '0.1.0',
      labels: {},
      channels: [],
      events: [],
    },
    ...{ eventsDropped: 0n, rootVersion: 1n, auditHead: null },
    deviceKey: device.publicKey,
    sealingKey: sealingSpki(KEY.publicKey),
    ...change,
  });
  const signed = await signStatus(signer, payload);
  if (!signed.ok) throw new Error(signed.fault.message);
  return Buffer.from(signed.value.message);
}

async function seal(bytes: Buffer, more: readonly string[] = [], text = `${SECRET}\n`) {
  writeFileSync(at('status'), bytes);
  const names = ['--device', 'press-7', '--name', 'db-password'];
  return desk.run(['seal', ...names, '--status', 'status', '-C', 'plant', ...more], [text]);
}

function opened(name = 'db-password'): string {
  const where = { id: 'values', file: DOCUMENT };
  const document = readValues(readFileSync(at(DOCUMENT)), where);
  const value = document.ok ? document.value.values.get(name) : null;
  if (value?.kind !== 'sealed') throw new Error('not sealed');
  const place = { fleet, device: 'press-7', channel: 'device.press-7', name };
  const text = openValue(value.box, place, KEY);
  return text.ok ? text.value : text.fault.code;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
}

describe('seal', () => {
  test('makes a document that only the device reads, without the last line break', async () => {
    const ran = await seal(await status(), pin());
    expect(ran.err).toBe('');
    expect(opened()).toBe(SECRET);
    expect(readFileSync(at(DOCUMENT), 'utf8')).not.toContain('horse');
    expect(ran.out + ran.err).not.toContain('horse');
  });

  test('keeps the line break where it is told to', async () => {
    await seal(await status(), [...pin(), '--keep-newline']);
    expect(opened()).toBe(`${SECRET}\n`);
  });

  test('replaces one value and leaves the others', async () => {
    await seal(await status(), pin());
    await seal(await status(), ['--name', 'pin'], '1234');
    await seal(await status(), [], 'another');
    expect([opened(), opened('pin')]).toEqual(['another', '1234']);
  });

  test('trusts no device key that nobody has compared: values.device-unpinned', async () => {
    const ran = await seal(await status());
    expect(ran.err).toContain('values.device-unpinned');
    expect(ran.err).toContain(keyidOf(device.publicKey));
    expect(existsSync(at(DOCUMENT))).toBe(false);
  });

  test('remembers the key that was compared, and no other speaks for the device', async () => {
    await seal(await status(), pin());
    expect((await seal(await status())).code).toBe(0);
    const thief = newSigner();
    const forged = await status({ deviceKey: thief.publicKey }, thief);
    expect((await seal(forged)).err).toContain('values.device-key');
    const named = ['--device-key', keyidOf(thief.publicKey)];
    expect((await seal(forged, named)).err).toContain('values.device-key');
  });

  test('a fingerprint that is not this one refuses: values.device-key', async () => {
    const other = ['--device-key', `sha256:${'0'.repeat(64)}`];
    expect((await seal(await status(), other)).err).toContain('values.device-key');
    expect((await seal(await status(), ['--device-key', 'x'])).err).toContain('publish.option');
    expect(existsSync(at('plant/devices/press-7.pub.pem'))).toBe(false);
  });

  for (const [what, change] of [
    ['of another fleet', { fleet: '0'.repeat(32) }],
    ['of another device', { deviceId: 'press-8' }],
    ['without a sealing key', { sealingKey: new Uint8Array() }],
    ['with a sealing key that keeps no secret', { sealingKey: sealingSpki(new Uint8Array(32)) }],
  ] as const) {
    test(`a status ${what} is refused: values.status`, async () => {
      const ran = await seal(await status(change), pin());
      expect([ran.code, ran.err]).toEqual([3, expect.stringContaining('values.status')]);
      expect(existsSync(at(DOCUMENT))).toBe(false);
    });
  }

  test('a status that another key has signed is refused: values.status', async () => {
    expect((await seal(await status({}, newSigner()), pin())).err).toContain('values.status');
  });

  test('takes the sealing key from a file that was brought by hand', async () => {
    writeFileSync(at('sealing.pub.pem'), sealingPublicPem(KEY.publicKey));
    const names = ['--device', 'press-7', '--name', 'db-password', '--key', 'sealing.pub.pem'];
    expect((await desk.run(['seal', ...names, '-C', 'plant'], [SECRET])).code).toBe(0);
    expect(opened()).toBe(SECRET);
    writeFileSync(at('sealing.pub.pem'), 'no key');
    const bad = await desk.run(['seal', ...names, '-C', 'plant'], [SECRET]);
    expect(bad.err).toContain('values.sealing-key');
  });

  for (const [what, text] of [
    ['nothing', '\n'],
    ['a NUL', 'a\0'],
    ['too much', 'x'.repeat(LIMITS.valueBytes + 1)],
  ] as const) {
    test(`of ${what} is refused: values.secret`, async () => {
      expect((await seal(await status(), pin(), text)).err).toContain('values.secret');
    });
  }

  for (const [what, more] of [
    ['another device', ['--channel', 'device.press-8']],
    ['no name', ['--name', 'a b']],
    ['no document', ['--document', '../x']],
  ] as const) {
    test(`for ${what} is refused: publish.option`, async () => {
      expect((await seal(await status(), [...pin(), ...more])).err).toContain('publish.option');
    });
  }

  test('leaves a document alone that it cannot read', async () => {
    write(DOCUMENT, 'kind: Values\n');
    expect((await seal(await status(), pin())).err).toContain('config.invalid');
    expect(readFileSync(at(DOCUMENT), 'utf8')).toBe('kind: Values\n');
  });
});

describe('the channel of one device', () => {
  const sign = (channel: string) => desk.run(['sign', channel, '-C', 'plant']);
  const values = (id: string, name = 'serial') =>
    `apiVersion: holdfast/v1\nkind: Values\nid: ${id}\nvalues: { ${name}: { value: "47" } }\n`;
  const DEPLOYMENT =
    'apiVersion: holdfast/v1\nkind: Deployment\nid: line\nspec: { deploymentProfile: { type: files, components: [ { name: a, properties: { blob: a, target: /opt/a } } ] } }\n';

  test('is signed for that device alone, by the signer of device.*', async () => {
    write('plant/channels/device.press-7/values.yaml', values('values'));
    expect((await sign('device.press-7')).err).toBe('');
    const shown = await desk.json<{ channel: string; point: string; audience: unknown }[]>([
      ...['inspect', 'oci:plant/signed/device.press-7/1-1', '-C', 'plant'],
    ]);
    const [state] = [shown].flat();
    expect(state).toMatchObject({
      channel: 'device.press-7',
      point: '1.1',
      audience: { kind: 'devices', ids: ['press-7'] },
    });
    const bundle = 'oci:plant/signed/device.press-7/1-1';
    const verified = await desk.run(['verify', bundle, '-o', 'name', '-C', 'plant']);
    expect(verified.out).toBe('device.press-7/1.1 verified\n');
  });

  test('has its own numbers: another value for one device renumbers nobody else', async () => {
    for (const id of ['press-7', 'press-8']) {
      write(`plant/channels/device.${id}/values.yaml`, values('values'));
      await sign(`device.${id}`);
    }
    write('plant/channels/device.press-7/values.yaml', values('values', 'other'));
    expect((await desk.run(['sign', 'device.press-7', '-C', 'plant', '--allow-removal'])).err).toBe(
      '',
    );
    expect(existsSync(at('plant/signed/device.press-7/1-2'))).toBe(true);
    expect(existsSync(at('plant/signed/device.press-8/1-2'))).toBe(false);
  });

  test('carries no deployment: values.only', async () => {
    write('plant/channels/device.press-7/line.yaml', DEPLOYMENT);
    write('plant/channels/device.press-7/a', 'x');
    expect((await sign('device.press-7')).err).toContain('values.only');
  });

  test('is the only kind that carries values: values.elsewhere', async () => {
    write('plant/channels/stable/values.yaml', values('values'));
    expect((await sign('stable')).err).toContain('values.elsewhere');
  });

  test('names each value once: values.duplicate', async () => {
    write('plant/channels/device.press-7/a.yaml', values('a'));
    write('plant/channels/device.press-7/b.yaml', values('b'));
    expect((await sign('device.press-7')).err).toContain('values.duplicate');
  });

  test('has room for so many values: values.too-many', async () => {
    for (const id of ['a', 'b']) {
      const many = Array.from({ length: 100 }, (_, i) => `  ${id}${i}: { value: x }\n`).join('');
      const head = `apiVersion: holdfast/v1\nkind: Values\nid: ${id}\nvalues:\n`;
      write(`plant/channels/device.press-7/${id}.yaml`, head + many);
    }
    expect((await sign('device.press-7')).err).toContain('values.too-many');
  });

  test('is no channel by the name of the pattern', async () => {
    expect((await sign('device.*')).err).toContain('publish.channel-unknown');
  });

  test('is not the one that is meant when none is named', async () => {
    rmSync(at('plant/channels'), { recursive: true, force: true });
    write('plant/channels/stable/line.yaml', DEPLOYMENT);
    write('plant/channels/stable/a', 'x');
    expect((await desk.run(['sign', '-C', 'plant'])).err).toBe('');
    expect(existsSync(at('plant/signed/stable/1-1'))).toBe(true);
  });
});
