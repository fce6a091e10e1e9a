/**
 * The channels of a fleet folder by name. `device.*` in fleet.yaml stands for as many as there are
 * devices with values: those that have a folder here, of documents or of what was signed.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { isDeviceId } from '#state/names.ts';
import { deviceOfChannel } from '#state/values.ts';
import { EVERY_DEVICE, type Fleet } from './fleet.ts';

export function channelNames(files: Files, fleet: Fleet): Result<readonly string[]> {
  const named = ordinaryNames(fleet);
  if (!fleet.config.channels.has(EVERY_DEVICE)) return ok(named);
  const all = new Set(named);
  for (const folder of ['signed', 'channels']) {
    const found = namesIn(files, `${fleet.directory}/${folder}`);
    if (!found.ok) return found;
    for (const name of found.value) if (isDeviceId(deviceOfChannel(name) ?? '')) all.add(name);
  }
  return ok([...all]);
}

/** Those that fleet.yaml names one by one. */
export function ordinaryNames({ config }: Pick<Fleet, 'config'>): readonly string[] {
  return [...config.channels.keys()].filter((name) => name !== EVERY_DEVICE);
}

function namesIn(files: Files, path: string): Result<readonly string[]> {
  const folder = files.open(path, { follow: true });
  if (!folder.ok) return folder.fault.code === 'platform.missing' ? ok([]) : folder;
  const names = folder.value.list();
  folder.value.close();
  return names.ok ? ok([...names.value].sort()) : names;
}
