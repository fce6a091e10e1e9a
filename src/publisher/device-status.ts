/**
 * The signed status of a device, at the desk: from a file or the broker, both of which may lie. It
 * counts where the device's own key has signed it, and which key that is stands in
 * `devices/ID.pub.pem` of the fleet folder since somebody compared it with the device.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { Status } from '#state/status.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { readSignedStatus, type SignedStatus } from '#trust/signed-status.ts';
import type { Fleet } from './fleet.ts';

const FOLDER = 'devices';
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;
const FILE_BYTES = 4_096;
/** `keyid` or the SHA-256 of it as doctor shows it */
const FINGERPRINT = /^(?:sha256:)?([0-9a-f]{64})$/;

type StatusPlatform = Pick<Platform, 'files' | 'keyFiles'>;

/** @param message  a protobuf Envelope, as the broker holds it */
export function readDeviceStatus(
  message: Uint8Array,
  fleet: Fleet,
  device: string,
): Result<SignedStatus> {
  return readSignedStatus(message, { fleet: fleet.root.fleet, device });
}

/**
 * Compares the key with the one that stands here, or that the operator names now; one that is named
 * and right is kept for the next time.
 * @param named  of `--device-key`; null: the one that was named before
 */
export function pinDevice(
  platform: StatusPlatform,
  fleet: Fleet,
  { status, keyid }: SignedStatus,
  named: string | null,
): Result<undefined> {
  const device = status.deviceId;
  const found = `sha256:${keyid}`;
  const kept = keptKey(platform, fleet, device);
  if (!kept.ok) return kept;
  const asked = named === null ? null : FINGERPRINT.exec(named)?.[1];
  if (asked === undefined) {
    const reason = 'not the 64 hex digits that `holdfast doctor` shows';
    return refuse('publish.option', { option: '--device-key', reason });
  }
  const pinned = kept.value ?? asked;
  if (pinned === null) return refuse('values.device-unpinned', { device, found });
  const wrong = [pinned, asked ?? pinned].find((one) => one !== keyid);
  if (wrong !== undefined) {
    return refuse('values.device-key', { device, found, pinned: `sha256:${wrong}` });
  }
  return kept.value === null ? keepKey(platform, fleet, status) : ok();
}

/** keyid; null: none yet */
function keptKey(
  { files, keyFiles }: StatusPlatform,
  { directory }: Fleet,
  device: string,
): Result<string | null> {
  const file = files.readFile(`${directory}/${FOLDER}/${device}.pub.pem`, FILE_BYTES);
  if (!file.ok) return file.fault.code === 'platform.missing' ? ok(null) : file;
  const der = keyFiles.publicDer(Buffer.from(file.value).toString('latin1'));
  return der.ok ? ok(keyidOf(der.value)) : der;
}

function keepKey(
  { files, keyFiles }: StatusPlatform,
  { directory }: Fleet,
  { deviceId, deviceKey }: Status,
): Result<undefined> {
  const folder = files.open(`${directory}/${FOLDER}`, { follow: true, create: FOLDER_MODE });
  if (!folder.ok) return folder;
  const pem = Buffer.from(keyFiles.publicPem(deviceKey));
  const wrote = folder.value.write(`${deviceId}.pub.pem`, pem, FILE_MODE);
  const synced = wrote.ok ? folder.value.sync() : wrote;
  folder.value.close();
  return synced.ok ? ok() : synced;
}
