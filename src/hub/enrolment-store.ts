/**
 * The records of enrolment, in memory and on disk: `enrolment/devices/KEYID.json`,
 * `enrolment/tokens/ID.json`, `enrolment/operators/NAME.json`. A change is on disk before it is in
 * memory. Bounded in number. A record that cannot be read stops the hub at its start: a revocation
 * that is silently gone would let somebody in.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { replaceFile } from '#platform/replace-file.ts';
import {
  type CredentialRecord,
  type DeviceRecord,
  type OperatorRecord,
  RECORD_MAX,
  readDeviceRecord,
  readOperatorRecord,
  readTokenRecord,
  type TokenRecord,
  writeRecord,
} from './enrolment-records.ts';

export interface EnrolmentStore {
  readonly devices: Records<DeviceRecord>;
  readonly tokens: Records<TokenRecord>;
  readonly operators: Records<OperatorRecord>;
  /** Called after each change of a device's record. */
  onChange(call: () => void): void;
  /** the device that was let in under this name; null: nobody */
  deviceNamed(id: string): DeviceRecord | null;
  /** whose credential it is, whatever has become of it */
  holderOf(fingerprint: string): Held | null;
  close(): void;
}

export interface Held {
  readonly device: DeviceRecord;
  readonly credential: CredentialRecord;
}

export interface Records<T> {
  get(name: string): T | null;
  all(): Iterable<T>;
  readonly size: number;
  put(record: T): Result<undefined>;
  drop(name: string): Result<undefined>;
}

const DIRECTORY_MODE = 0o700;
const DEVICES_MAX = 20_000;
const TOKENS_MAX = 20_000;
const OPERATORS_MAX = 256;

export function openEnrolmentStore(files: Files, folder: string): Result<EnrolmentStore> {
  const opened = files.open(`${folder}/enrolment`, { create: DIRECTORY_MODE, follow: true });
  if (!opened.ok) return opened;
  const directory = opened.value;
  const store = storeIn(directory);
  if (!store.ok) directory.close();
  return store;
}

function storeIn(directory: Directory): Result<EnrolmentStore> {
  const names = new Map<string, string>();
  const holders = new Map<string, string>();
  const listeners: (() => void)[] = [];
  const devices = recordsIn<DeviceRecord>(directory, {
    folder: 'devices',
    max: DEVICES_MAX,
    read: readDeviceRecord,
    nameOf: ({ keyid }) => keyid,
    changed(before, after) {
      for (const { fingerprint } of before?.credentials ?? []) holders.delete(fingerprint);
      for (const { fingerprint } of after?.credentials ?? []) {
        holders.set(fingerprint, after?.keyid ?? '');
      }
      if (before && names.get(before.id) === before.keyid) names.delete(before.id);
      if (after && isLetIn(after)) names.set(after.id, after.keyid);
      for (const tell of listeners) tell();
    },
  });
  if (!devices.ok) return devices;
  const tokens = recordsIn<TokenRecord>(directory, {
    folder: 'tokens',
    max: TOKENS_MAX,
    read: readTokenRecord,
    nameOf: ({ id }) => id,
  });
  if (!tokens.ok) return tokens;
  const operators = recordsIn<OperatorRecord>(directory, {
    folder: 'operators',
    max: OPERATORS_MAX,
    read: readOperatorRecord,
    nameOf: ({ name }) => name,
  });
  if (!operators.ok) return operators;
  return ok({
    devices: devices.value,
    tokens: tokens.value,
    operators: operators.value,
    onChange: (call) => void listeners.push(call),
    deviceNamed: (id) => devices.value.get(names.get(id) ?? ''),
    holderOf(fingerprint) {
      const device = devices.value.get(holders.get(fingerprint) ?? '');
      const credential = device?.credentials.find((one) => one.fingerprint === fingerprint);
      return device && credential ? { device, credential } : null;
    },
    close: () => directory.close(),
  });
}

function isLetIn({ state }: DeviceRecord): boolean {
  return state === 'approved' || state === 'enrolled';
}

interface Kind<T> {
  readonly folder: string;
  readonly max: number;
  readonly read: (bytes: Uint8Array, file: string) => Result<T>;
  readonly nameOf: (record: T) => string;
  readonly changed?: (before: T | null, after: T | null) => void;
}

function recordsIn<T extends DeviceRecord | TokenRecord | OperatorRecord>(
  directory: Directory,
  kind: Kind<T>,
): Result<Records<T>> {
  const held = new Map<string, T>();
  const loaded = inFolder(directory, kind.folder, (folder) => load(folder, kind, held));
  if (!loaded.ok) return loaded;
  for (const record of held.values()) kind.changed?.(null, record);
  return ok({
    get: (name) => held.get(name) ?? null,
    all: () => held.values(),
    get size() {
      return held.size;
    },
    put(record) {
      const name = kind.nameOf(record);
      const before = held.get(name) ?? null;
      if (before === null && held.size >= kind.max) {
        return refuse('hub.enrolment-full', { what: kind.folder, max: kind.max });
      }
      const written = inFolder(directory, kind.folder, (folder) =>
        replaceFile(folder, `${name}.json`, writeRecord(record)),
      );
      if (!written.ok) return written;
      held.set(name, record);
      kind.changed?.(before, record);
      return ok();
    },
    drop(name) {
      const before = held.get(name) ?? null;
      if (before === null) return ok();
      const removed = inFolder(directory, kind.folder, (folder) => {
        const unlinked = folder.unlink(`${name}.json`);
        return unlinked.ok ? folder.sync() : unlinked;
      });
      if (!removed.ok) return removed;
      held.delete(name);
      kind.changed?.(before, null);
      return ok();
    },
  });
}

function load<T>(folder: Directory, kind: Kind<T>, held: Map<string, T>): Result<undefined> {
  const names = folder.list();
  if (!names.ok) return names;
  for (const file of names.value) {
    // What a cut left beside the file it was to replace.
    if (!file.endsWith('.json')) continue;
    const path = `${folder.path}/${file}`;
    const bytes = folder.read(file, RECORD_MAX);
    if (!bytes.ok) return bytes;
    const record = kind.read(bytes.value, path);
    if (!record.ok) return record;
    if (`${kind.nameOf(record.value)}.json` !== file) {
      return refuse('hub.record-damaged', { file: path });
    }
    held.set(kind.nameOf(record.value), record.value);
  }
  return ok();
}

function inFolder<T>(
  directory: Directory,
  name: string,
  work: (folder: Directory) => Result<T>,
): Result<T> {
  const folder = directory.directory(name, { create: DIRECTORY_MODE });
  if (!folder.ok) return folder;
  try {
    return work(folder.value);
  } finally {
    folder.value.close();
  }
}
