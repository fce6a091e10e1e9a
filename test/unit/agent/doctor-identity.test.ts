/** What doctor says of the keys of a device: fingerprints, and who else could read them. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identityFindings } from '#agent/doctor-identity.ts';
import { type Identity, openIdentity } from '#agent/identity.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemKeyFiles } from '#platform/node/key-files.ts';
import { systemRandom } from '#platform/node/random.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { sealingPem, sealingSpki } from '#trust/sealing-key.ts';

const platform = { files: systemFiles(), keyFiles: systemKeyFiles() };
let stateDir: string;

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'holdfast-doctor-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const at = (name: string) => join(stateDir, 'identity', name);
const said = () =>
  identityFindings(platform, { stateDir }).map(({ severity, message }) => `${severity} ${message}`);

function started(): Identity {
  const given = { stateDir, configuredId: 'press-7', boundTo: null, random: systemRandom() };
  const identity = openIdentity({ ...platform, ...given });
  if (!identity.ok) throw new Error(identity.fault.message);
  return identity.value;
}

test('before the first start there is nothing to say', () => {
  expect(said()).toEqual(['note none yet: the agent makes it at its first start']);
});

test('the fingerprints of both keys are shown, and nothing else of them', () => {
  const { signer, sealing } = started();
  expect(said()).toEqual([
    `ok device key sha256:${keyidOf(signer.publicKey)}`,
    `ok sealing key sha256:${keyidOf(sealingSpki(sealing.publicKey))}`,
  ]);
  const secret = sealingPem(sealing).split('\n')[1] ?? '';
  expect(said().join()).not.toContain(secret);
});

test('a sealing key that others can read is a warning', () => {
  started();
  chmodSync(at('sealing.key'), 0o640);
  expect(said()).toContain(`warning ${at('sealing.key')} can be read by others`);
});

test('a sealing key that is none is told with its code', () => {
  started();
  writeFileSync(at('sealing.key'), 'torn');
  const codes = identityFindings(platform, { stateDir }).map(({ code }) => code);
  expect(codes).toContain('values.sealing-key');
});
