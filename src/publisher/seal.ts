/**
 * `seal`: a value for one device into its values document, so that from here on nobody but the
 * device can read it: not the folder, nor git, registry, broker or the card it comes on.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { openBroker } from '#link/mqtt-broker.ts';
import { versions } from '#link/mqtt-version.ts';
import { checkTopicRoot, defaultTopicRoot, topicOf } from '#link/topics.ts';
import type { Platform } from '#platform/platform.ts';
import { LIMITS } from '#state/limits.ts';
import { isId } from '#state/names.ts';
import { deviceOfChannel, isValueName } from '#state/values.ts';
import { sealValue } from '#trust/sealed-value.ts';
import {
  readSealingPublicPem,
  SEALING_FILE_BYTES,
  SEALING_KEY_BYTES,
  sealingFromSpki,
} from '#trust/sealing-key.ts';
import { readValues, withSealed } from '#wire/values.ts';
import { pinDevice, readDeviceStatus } from './device-status.ts';
import type { Fleet } from './fleet.ts';

const KEEPALIVE_S = 30;
/** ms: a retained message comes with the subscription */
const WAIT_MS = 10_000;
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

export interface SealOptions {
  readonly device: string;
  readonly channel: string;
  readonly name: string;
  /** id of the values document, ID.yaml */
  readonly document: string;
  readonly text: string;
  readonly from: KeySource;
}

/** Where the sealing key of the device comes from. */
export type KeySource =
  /** sealing.pub.pem of the device, brought by hand */
  | { readonly kind: 'key'; readonly file: string }
  /** its status as a file; `pin`: its device key, as the operator compared it */
  | { readonly kind: 'status'; readonly file: string; readonly pin: string | null }
  | { readonly kind: 'broker'; readonly pin: string | null };

export interface Sealed {
  readonly file: string;
  readonly name: string;
}

export async function seal(
  platform: Platform,
  fleet: Fleet,
  options: SealOptions,
): Promise<Result<Sealed>> {
  const checked = checkNames(options);
  if (!checked.ok) return checked;
  const key = await sealingKey(platform, fleet, options);
  if (!key.ok) return key;
  const { device, channel, name, text, document } = options;
  const place = { fleet: fleet.root.fleet, device, channel, name };
  const ephemeral = platform.random.bytes(SEALING_KEY_BYTES);
  const box = sealValue(text, place, key.value, ephemeral);
  if (!box.ok) return box;
  return keep(platform, `${fleet.directory}/channels/${channel}`, document, {
    name,
    box: box.value,
  });
}

function checkNames({ device, channel, name, document }: SealOptions): Result<undefined> {
  const no = (option: string, reason: string) => refuse('publish.option', { option, reason });
  if (deviceOfChannel(channel) !== device) {
    return no('--channel', `${channel} is not the channel of ${device}: device.${device}`);
  }
  if (!isId(channel)) return no('--device', `${JSON.stringify(device)} is no device id`);
  if (!isId(document)) return no('--document', `${JSON.stringify(document)} is no document id`);
  if (isValueName(name)) return ok();
  return no('--name', 'use letters, digits, "_", "." and "-", not starting with a digit');
}

async function sealingKey(
  platform: Platform,
  fleet: Fleet,
  { device, from }: SealOptions,
): Promise<Result<Uint8Array>> {
  if (from.kind === 'key') {
    const file = platform.files.readFile(from.file, SEALING_FILE_BYTES);
    return file.ok ? readSealingPublicPem(file.value, from.file) : file;
  }
  const message =
    from.kind === 'status'
      ? platform.files.readFile(from.file, LIMITS.mqttMessageBytes)
      : await statusFromBroker(platform, fleet, device);
  if (!message.ok) return message;
  const read = readDeviceStatus(message.value, fleet, device);
  if (!read.ok) return read;
  const pinned = pinDevice(platform, fleet, read.value, from.pin);
  if (!pinned.ok) return pinned;
  const key = sealingFromSpki(read.value.status.sealingKey);
  const reason = 'its agent told no sealing key that can be used';
  return key ? ok(key) : refuse('values.status', { device, reason });
}

/** The retained status, as its topic has it now. */
async function statusFromBroker(
  platform: Platform,
  fleet: Fleet,
  device: string,
): Promise<Result<Uint8Array>> {
  const broker = fleet.config.mqtt;
  if (!broker) return refuse('publish.no-broker', {});
  const root = checkTopicRoot(broker.topicRoot ?? defaultTopicRoot(fleet.root.fleet));
  if (!root.ok) return root;
  const topic = topicOf(root.value, { kind: 'status', device });
  if (!topic.ok) return topic;
  const came = Promise.withResolvers<Result<Uint8Array>>();
  const connection = await openBroker(platform, broker, fleet.time, {
    clientId: `holdfast-seal-${Buffer.from(platform.random.bytes(8)).toString('hex')}`,
    version: versions(broker.protocol).current(),
    keepaliveSeconds: KEEPALIVE_S,
    sessionExpirySeconds: 0,
    onMessage: (_, payload) => came.resolve(ok(payload)),
    onClosed: (why) => (why.ok ? undefined : came.resolve(why)),
  });
  if (!connection.ok) return connection;
  const reason = 'the broker has none: has the device ever reported?';
  const cancel = platform.clock.after(WAIT_MS, () =>
    came.resolve(refuse('values.status', { device, reason })),
  );
  const subscribed = await connection.value.subscribe([topic.value]);
  const status = subscribed.ok ? await came.promise : subscribed;
  cancel();
  await connection.value.end();
  return status;
}

/** Written beside and renamed: a cut leaves the document that was there. */
function keep(
  { files }: Pick<Platform, 'files'>,
  path: string,
  id: string,
  value: { readonly name: string; readonly box: Uint8Array },
): Result<Sealed> {
  const file = `${path}/${id}.yaml`;
  const folder = files.open(path, { follow: true, create: FOLDER_MODE });
  if (!folder.ok) return folder;
  try {
    const before = folder.value.read(`${id}.yaml`, LIMITS.documentBytes);
    if (!before.ok && before.fault.code !== 'platform.missing') return before;
    const known = before.ok ? readValues(before.value, { id, file }) : null;
    if (known && !known.ok) return known;
    const after = withSealed(before.ok ? before.value : null, id, value);
    const read = readValues(after, { id, file });
    if (!read.ok) return read;
    if (after.length > LIMITS.documentBytes) {
      return refuse('publish.too-large', {
        what: file,
        size: after.length,
        most: LIMITS.documentBytes,
      });
    }
    const temporary = `.${id}.yaml.new`;
    const removed = folder.value.removeTree(temporary);
    if (!removed.ok) return removed;
    const wrote = folder.value.write(temporary, after, FILE_MODE);
    if (!wrote.ok) return wrote;
    const renamed = folder.value.rename(temporary, `${id}.yaml`);
    const synced = renamed.ok ? folder.value.sync() : renamed;
    return synced.ok ? ok({ file, name: value.name }) : synced;
  } finally {
    folder.value.close();
  }
}
