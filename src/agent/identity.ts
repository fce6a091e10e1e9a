/**
 * Who this device is: an Ed25519 key made at first start, in a 0600 file that never leaves the
 * device, and bound to the machine it was made on. A golden image that was started once carries
 * the key of its first machine; on any other machine a new one is made (DESIGN section 6).
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Random } from '#platform/random.ts';
import type { KeyFiles, Signer } from '#platform/signer.ts';
import { hexOf, sha256 } from '#state/digest.ts';
import type { SealingKey } from '#trust/sealing-key.ts';
import { openSealing } from './sealing.ts';

export const DEVICE_KEY_FILE = 'device.key';
const KEY_BYTES = 16 * 1024;
/** hex digits of the key's digest in a derived device id */
const DERIVED_DIGITS = 16;

export interface Identity {
  readonly deviceId: string;
  readonly signer: Signer;
  /** what values of this device are sealed for (sealing.ts) */
  readonly sealing: SealingKey;
  /** the sealing key was made now */
  readonly sealingMade: boolean;
  /** SHA-256 of what names this machine; empty when nothing does */
  readonly machine: string;
  /** made now: at first start, or because the machine is another one */
  readonly made: 'first-start' | 'other-machine' | null;
}

export interface IdentityInput {
  readonly files: Files;
  readonly keyFiles: KeyFiles;
  readonly random: Random;
  readonly stateDir: string;
  readonly configuredId: string | null;
  /** the machine that the store remembers, or null at first start */
  readonly boundTo: string | null;
}

export function openIdentity(input: IdentityInput): Result<Identity> {
  const { files, keyFiles } = input;
  const directory = files.open(`${input.stateDir}/identity`, { create: 0o700, follow: true });
  if (!directory.ok) return directory;
  const machine = machineOf(files);
  try {
    const found = directory.value.stat(DEVICE_KEY_FILE);
    if (!found.ok) return found;
    const moved =
      input.boundTo !== null && input.boundTo !== '' && machine !== '' && input.boundTo !== machine;
    let made: Identity['made'] = null;
    if (!found.value || moved) {
      made = found.value ? 'other-machine' : 'first-start';
      // What a hub or a Margo manager gave to another key is not this device's (agent/enrolled.ts).
      for (const name of ['hub', 'margo']) {
        const foreign = directory.value.removeTree(name);
        if (!foreign.ok) return foreign;
      }
      const { privatePem } = keyFiles.generate(null);
      const temporary = `${DEVICE_KEY_FILE}.new`;
      const removed = directory.value.removeTree(temporary);
      if (!removed.ok) return removed;
      const written = directory.value.write(temporary, Buffer.from(privatePem), 0o600);
      if (!written.ok) return written;
      const renamed = directory.value.rename(temporary, DEVICE_KEY_FILE);
      if (!renamed.ok) return renamed;
      const synced = directory.value.sync();
      if (!synced.ok) return synced;
    }
    const pem = directory.value.read(DEVICE_KEY_FILE, KEY_BYTES);
    if (!pem.ok) return pem;
    const signer = keyFiles.load(Buffer.from(pem.value).toString('latin1'), null);
    if (!signer.ok) return signer;
    const deviceId = input.configuredId ?? derivedId(signer.value);
    const sealing = openSealing(directory.value, input.random, made === 'other-machine');
    if (!sealing.ok) return sealing;
    const { key, made: sealingMade } = sealing.value;
    return ok({ deviceId, signer: signer.value, sealing: key, sealingMade, machine, made });
  } finally {
    directory.value.close();
  }
}

/** Removes what makes this device itself; for `prepare-image`. */
export function forgetIdentity(files: Files, stateDir: string): Result<void> {
  const directory = files.open(stateDir, { follow: true });
  if (!directory.ok) return directory;
  try {
    const removed = directory.value.removeTree('identity');
    return removed.ok ? directory.value.sync() : removed;
  } finally {
    directory.value.close();
  }
}

function derivedId(signer: Signer): string {
  return `d-${hexOf(sha256(signer.publicKey)).slice(0, DERIVED_DIGITS)}`;
}

/** /etc/machine-id, and the board's serial number where there is one. */
function machineOf(files: Files): string {
  const parts = [
    '/etc/machine-id',
    '/sys/class/dmi/id/board_serial',
    '/proc/device-tree/serial-number',
  ]
    .map((path) => files.readFile(path, 4096))
    .flatMap((read) => (read.ok ? [Buffer.from(read.value).toString('latin1').trim()] : []))
    .filter((text) => text !== '');
  return parts.length === 0 ? '' : hexOf(sha256(Buffer.from(parts.join('\n'))));
}
