/** The sealing key of a device: made once, kept, renewed with the machine, replaced when damaged. */
import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openIdentity } from '#agent/identity.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemKeyFiles } from '#platform/node/key-files.ts';
import { systemRandom } from '#platform/node/random.ts';
import { readSealingPublicPem } from '#trust/sealing-key.ts';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function device() {
  const stateDir = mkdtempSync(join(tmpdir(), 'holdfast-sealing-'));
  folders.push(stateDir);
  const at = (name: string) => join(stateDir, 'identity', name);
  const start = (boundTo: string | null = null) => {
    const identity = openIdentity({
      files: systemFiles(),
      keyFiles: systemKeyFiles(),
      random: systemRandom(),
      stateDir,
      configuredId: 'press-7',
      boundTo,
    });
    if (!identity.ok) throw new Error(identity.fault.message);
    return identity.value;
  };
  return { at, start, list: () => readdirSync(join(stateDir, 'identity')).sort() };
}

describe('the sealing key of a device', () => {
  test('is made with the identity, for its agent alone, and stays', () => {
    const { at, start, list } = device();
    const first = start();
    expect(first.sealingMade).toBe(true);
    expect(list()).toEqual(['device.key', 'sealing.key', 'sealing.pub.pem']);
    expect(statSync(at('sealing.key')).mode & 0o777).toBe(0o600);
    const shown = readSealingPublicPem(readFileSync(at('sealing.pub.pem')), 'sealing.pub.pem');
    expect(shown).toEqual({ ok: true, value: first.sealing.publicKey });
    const second = start();
    expect(second.sealingMade).toBe(false);
    expect(second.sealing).toEqual(first.sealing);
  });

  test('is made for an identity from before there was one, which stays', () => {
    const { at, start } = device();
    const first = start();
    rmSync(at('sealing.key'));
    rmSync(at('sealing.pub.pem'));
    const second = start();
    expect(second.signer.publicKey).toEqual(first.signer.publicKey);
    expect([second.made, second.sealingMade]).toEqual([null, true]);
    expect(second.sealing.publicKey).not.toEqual(first.sealing.publicKey);
  });

  test('is another on another machine', () => {
    const { start } = device();
    const first = start();
    const moved = start('another machine');
    expect(moved.made).toBe(first.machine === '' ? null : 'other-machine');
    const same = Buffer.from(moved.sealing.publicKey).equals(first.sealing.publicKey);
    expect(same).toBe(first.machine === '');
  });

  test('that cannot be read is set aside; the device starts with a new one', () => {
    const { at, start, list } = device();
    start();
    writeFileSync(at('sealing.key'), 'torn');
    const next = start();
    expect(next.sealingMade).toBe(true);
    expect(list()).toContain('sealing.key.bad');
    expect(readFileSync(at('sealing.pub.pem'), 'utf8')).not.toBe('');
    expect(start().sealing).toEqual(next.sealing);
  });
});
