/** The credential that this device holds, as status and doctor show it: read once, and after each change. */
import type { Platform } from '#platform/platform.ts';
import { enrolledPaths, type HeldCredential, readCredential } from './enrolled.ts';

export interface CredentialView {
  /** null: this device is not enrolled, or its files cannot be read */
  current(): HeldCredential | null;
  reload(): void;
}

export function credentialView(
  platform: Pick<Platform, 'files' | 'certificates'>,
  stateDir: string,
): CredentialView {
  let held = heldIn(platform, stateDir);
  return {
    current: () => held,
    reload() {
      held = heldIn(platform, stateDir);
    },
  };
}

/** Makes nothing: a device that was never enrolled has no such folder. */
function heldIn(
  platform: Pick<Platform, 'files' | 'certificates'>,
  stateDir: string,
): HeldCredential | null {
  const directory = platform.files.open(enrolledPaths(stateDir).folder, { follow: true });
  if (!directory.ok) return null;
  const read = readCredential(platform, directory.value);
  directory.value.close();
  return read.ok ? read.value : null;
}
