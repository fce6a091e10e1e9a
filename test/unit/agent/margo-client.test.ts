/** Who a device is to a manager of the older dialects: made once, durable before it is used, asked for once. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forgetIdentity } from '#agent/identity.ts';
import { type MargoClientInput, margoClient } from '#agent/margo-client.ts';
import { ok, refuse } from '#errors/fault.ts';
import type { MargoOnboarding } from '#link/margo-onboarding.ts';
import type { LogField } from '#platform/log.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemMessageKeys } from '#platform/node/message-keys.ts';
import { sha256 } from '#state/digest.ts';
import { codeOf, value } from '../../support/store.ts';

const keys = systemMessageKeys();
const FLOOR = Date.UTC(2026, 10, 1);

let folder: string;
let logged: (readonly [string, Readonly<Record<string, LogField>> | undefined])[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-margo-client-'));
  logged = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const opened = (more: Partial<MargoClientInput> = {}) =>
  margoClient({
    ...{ files: systemFiles(), keys, stateDir: folder, url: 'https://wfm.example' },
    log: { write: (_level, event, fields) => void logged.push([event, fields]) },
    signing: { kind: 'signing', ca: join(folder, 'ca.pem'), files: null },
    ...{ deviceId: 'press-42', floorMs: () => FLOOR, ...more },
  });
const inFolder = (name: string): string => join(folder, 'identity/margo', name);

/** A manager that gives the same certificate the same id. */
function manager() {
  const asked: string[] = [];
  const onboarding: MargoOnboarding = {
    rootCa: async () => null,
    async onboard({ fingerprint }) {
      asked.push(fingerprint);
      return ok(`c-${fingerprint.slice(7, 15)}`);
    },
  };
  return { asked, onboarding };
}

describe('its certificate', () => {
  test('is made at first, for its owner’s eyes, and is the same after a restart', () => {
    const first = value(opened().signer());
    expect(statSync(inFolder('client.pem')).mode & 0o777).toBe(0o600);
    expect(value(opened().signer()).keyid).toBe(first.keyid);
    const shown = keys.verifier(first.certificate);
    expect(shown?.algorithms).toEqual(['ecdsa-p256-sha256']);
    expect(readFileSync(inFolder('client.crt'), 'utf8')).not.toContain('PRIVATE');
  });

  test('is the owner’s where there is one; without it nothing is made in its place', () => {
    const own = keys.make('own', 0);
    const files = { cert: join(folder, 'own.pem'), key: join(folder, 'own.key') };
    const signing = { kind: 'signing', ca: '', files } as const;
    expect(codeOf(opened({ signing }).signer())).toBe('margo.signing-key');
    writeFileSync(files.cert, own.certificate);
    writeFileSync(files.key, own.key);
    expect(value(opened({ signing }).signer()).keyid).toBe(value(keys.signer(own)).keyid);
    writeFileSync(files.key, keys.make('other', 0).key);
    expect(codeOf(opened({ signing }).signer())).toBe('margo.signing-key');
  });

  test('leaves with the identity of the device', () => {
    const before = value(opened().signer()).keyid;
    value(forgetIdentity(systemFiles(), folder));
    expect(value(opened().signer()).keyid).not.toBe(before);
  });
});

describe('its id', () => {
  test('is asked for once, and never again while it is known', async () => {
    const { asked, onboarding } = manager();
    const client = opened();
    const ids = await Promise.all([client.id(onboarding), client.id(onboarding)]);
    expect(new Set(ids.map(value)).size).toBe(1);
    expect(value(await opened().id(onboarding))).toBe(value(ids[0]));
    expect(asked.length).toBe(1);
    expect(logged.map(([event]) => event)).toEqual(['margo.onboarded']);
  });

  test('is durable before it is used: without a disk there is none', async () => {
    const { onboarding } = manager();
    const client = opened();
    value(client.signer());
    const files = systemFiles();
    const full = opened({
      files: {
        ...files,
        open(path, how) {
          const directory = files.open(path, how);
          if (!directory.ok) return directory;
          const write = () =>
            refuse('platform.no-space', { operation: 'write', path, errno: 'ENOSPC' });
          return ok({ ...directory.value, write });
        },
      },
    });
    expect(codeOf(await full.id(onboarding))).toBe('platform.no-space');
  });

  test('is asked for anew by another certificate, of another manager, and when its record is damaged', async () => {
    const { asked, onboarding } = manager();
    value(await opened().id(onboarding));
    value(await opened({ url: 'https://other.example' }).id(onboarding));
    expect(asked.length).toBe(2);
    value(await opened().id(onboarding));
    writeFileSync(inFolder('client.json'), '{"clientId":"../x"}');
    value(await opened().id(onboarding));
    expect(asked.length).toBe(4);
    rmSync(inFolder('client.pem'));
    value(await opened().id(onboarding));
    expect(new Set(asked).size).toBe(2);
  });

  test('a manager that refuses is asked again later', async () => {
    const { onboarding } = manager();
    const title = 'no';
    const refusing = {
      ...onboarding,
      onboard: async () => refuse('margo.client-refused', { certificate: 'x', title }),
    };
    const client = opened();
    expect(codeOf(await client.id(refusing))).toBe('margo.client-refused');
    expect((await client.id(onboarding)).ok).toBe(true);
  });
});

test('what a manager calls its root CA is told beside the one that counts, and changes nothing', async () => {
  const { onboarding } = manager();
  const said = Buffer.concat([Buffer.from([0x30, 0x82]), Buffer.from('another authority')]);
  const pem = (bytes: Buffer) =>
    `-----BEGIN CERTIFICATE-----\n${bytes.toString('base64')}\n-----END CERTIFICATE-----\n`;
  const tells = { ...onboarding, rootCa: async () => new Uint8Array(said) };
  writeFileSync(join(folder, 'ca.pem'), pem(Buffer.from('0\x82 the pinned one')));
  value(await opened().id(tells));
  writeFileSync(join(folder, 'ca.pem'), pem(said));
  value(await opened({ url: 'https://b.example' }).id(tells));
  expect(logged.filter(([event]) => event === 'margo.root-ca').map(([, fields]) => fields)).toEqual(
    [
      { says: sha256(new Uint8Array(said)), pinned: false },
      { says: sha256(new Uint8Array(said)), pinned: true },
    ],
  );
});
