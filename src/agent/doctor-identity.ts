/**
 * Doctor's look at who this device is: fingerprints to compare at the desk (`holdfast seal
 * --device-key`), and whether its private keys are its agent's alone. Nothing of a key is shown.
 */
import type { Directory } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { readSealingPem, SEALING_FILE_BYTES, sealingSpki } from '#trust/sealing-key.ts';
import type { AgentConfig } from './config.ts';
import { type Finding, good, note, weak, wrong } from './finding.ts';
import { DEVICE_KEY_FILE } from './identity.ts';
import { SEALING_KEY_FILE } from './sealing.ts';

const ABOUT = 'identity';
const OTHERS = 0o077;

export function identityFindings(
  { files, keyFiles }: Pick<Platform, 'files' | 'keyFiles'>,
  { stateDir }: Pick<AgentConfig, 'stateDir'>,
): readonly Finding[] {
  const path = `${stateDir}/identity`;
  const folder = files.open(path, { follow: true });
  if (!folder.ok) {
    const none = folder.fault.code === 'platform.missing';
    return [none ? note(ABOUT, 'none yet: the agent makes it at its first start') : closed(path)];
  }
  const findings = [
    ...keyFindings(folder.value, path, DEVICE_KEY_FILE, (bytes) => {
      const signer = keyFiles.load(Buffer.from(bytes).toString('latin1'), null);
      return signer.ok
        ? fingerprint('device key', signer.value.publicKey)
        : wrong(ABOUT, signer.fault);
    }),
    ...keyFindings(folder.value, path, SEALING_KEY_FILE, (bytes) => {
      const key = readSealingPem(bytes, `${path}/${SEALING_KEY_FILE}`);
      return key.ok
        ? fingerprint('sealing key', sealingSpki(key.value.publicKey))
        : wrong(ABOUT, key.fault, 'warning');
    }),
  ];
  folder.value.close();
  return findings;
}

function keyFindings(
  folder: Directory,
  path: string,
  name: string,
  shown: (bytes: Uint8Array) => Finding,
): readonly Finding[] {
  const entry = folder.stat(name);
  if (!entry.ok || !entry.value) return [note(ABOUT, `${name}: made at the next start`)];
  const bytes = folder.read(name, SEALING_FILE_BYTES);
  const open =
    (entry.value.mode & OTHERS) === 0
      ? []
      : [weak('secrets', `${path}/${name} can be read by others`, `chmod 600 ${path}/${name}`)];
  return [...open, bytes.ok ? shown(bytes.value) : closed(`${path}/${name}`)];
}

function fingerprint(what: string, spki: Uint8Array): Finding {
  return good(ABOUT, `${what} sha256:${keyidOf(spki)}`);
}

function closed(path: string): Finding {
  return note(
    ABOUT,
    `${path} is not for this user`,
    'Run doctor as the agent’s user to see its keys.',
  );
}
