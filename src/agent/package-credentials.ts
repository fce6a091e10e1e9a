/**
 * What a registry of images and packages is told of who asks: files of the owner, as everywhere, or values
 * of this device, which a sealed one keeps from everybody else. Read anew for each change, so a value that
 * was rotated counts from then on; in memory while the change lasts, written nowhere, and never the
 * engine's (decision 0033).
 */
import type { Secrets } from '#apply/secrets.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { RegistryCredentials } from '#link/endpoint.ts';
import type { KnownValues } from '#state/values.ts';
import type { PackageAuth } from './packages-config.ts';

export interface DeviceCredentials {
  /** those in force of this device's own channel */
  values(): KnownValues;
  readonly secrets: Secrets;
}

/** @returns `package.credential` where a value is not on this device, or does not open */
export function credentialsOf(
  auth: PackageAuth,
  { registry, device }: { readonly registry: string; readonly device: DeviceCredentials },
): Result<RegistryCredentials | null> {
  if (auth === null || !('passwordValue' in auth)) return ok(auth);
  const username = textOfValue(auth.usernameValue, registry, device);
  if (!username.ok) return username;
  const password = textOfValue(auth.passwordValue, registry, device);
  if (!password.ok) return password;
  return ok({ username: username.value, password: password.value });
}

function textOfValue(
  name: string,
  registry: string,
  { values, secrets }: DeviceCredentials,
): Result<string> {
  const { byName, channel, absent } = values();
  const known = byName.get(name);
  if (!known) {
    const reason = absent ?? `${channel} has no such value`;
    return refuse('package.credential', { registry, name, reason });
  }
  if (known.kind === 'plain') return ok(known.text);
  const opened = secrets.open(known);
  if (opened.ok) return opened;
  return refuse('package.credential', { registry, name, reason: opened.fault.message });
}
