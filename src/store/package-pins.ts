/**
 * What the tags of packages and images meant when this device first took them: `stateDir/packages/`,
 * a small file for each, named by the hash of what it is about. A pin is never written over, and is
 * durable before what it names is used. A damaged one is an error, not a reason to ask again: whoever
 * can spoil a file must not thereby move a tag.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { type Digest, hexOf, parseDigest, sha256 } from '#state/digest.ts';

export interface PackagePins {
  /** Null: never asked. `store.checksum` */
  known(name: string): Result<Digest | null>;
  /** Durable when it returns. */
  remember(name: string, digest: Digest): Result<void>;
}

const FOLDER = 'packages';
/** A fleet has hundreds of revisions, not a million. */
const PINS_MAX = 16_384;
const PIN_BYTES = 4_096;

export function packagePins(files: Files, stateDir: string): PackagePins {
  return {
    known: (name) => inFolder(files, stateDir, (folder) => read(folder, name)),
    remember: (name, digest) =>
      inFolder(files, stateDir, (folder) => {
        const before = read(folder, name);
        if (!before.ok || before.value !== null) return before.ok ? ok(undefined) : before;
        return write(folder, name, digest);
      }),
  };
}

function textOf(name: string, digest: Digest): string {
  const body = `${digest} ${name}\n`;
  return `${hexOf(sha256(Buffer.from(body)))}\n${body}`;
}

function read(folder: Directory, name: string): Result<Digest | null> {
  const file = fileOf(name);
  const bytes = folder.read(file, PIN_BYTES);
  if (!bytes.ok) return bytes.fault.code === 'platform.missing' ? ok(null) : bytes;
  const text = Buffer.from(bytes.value).toString('utf8');
  const digest = parseDigest(text.split('\n')[1]?.split(' ')[0] ?? '');
  const whole = digest !== null && text === textOf(name, digest);
  return whole ? ok(digest) : refuse('store.checksum', { key: `${FOLDER}/${file}` });
}

function write(folder: Directory, name: string, digest: Digest): Result<void> {
  const file = fileOf(name);
  const names = folder.list({ max: PINS_MAX + 1 });
  if (!names.ok) return names;
  if (names.value.length > PINS_MAX) {
    const size = names.value.length;
    return refuse('platform.too-large', { path: folder.path, size, cap: PINS_MAX });
  }
  const cleared = folder.removeTree(`${file}.new`);
  if (!cleared.ok) return cleared;
  const written = folder.write(`${file}.new`, Buffer.from(textOf(name, digest)), 0o600);
  if (!written.ok) return written;
  const named = folder.rename(`${file}.new`, file);
  return named.ok ? folder.sync() : named;
}

function fileOf(name: string): string {
  return hexOf(sha256(Buffer.from(name)));
}

function inFolder<T>(
  files: Files,
  stateDir: string,
  work: (folder: Directory) => Result<T>,
): Result<T> {
  const state = files.open(stateDir, { follow: true });
  if (!state.ok) return state;
  const folder = state.value.directory(FOLDER, { create: 0o700 });
  const synced = folder.ok ? state.value.sync() : folder;
  state.value.close();
  if (!folder.ok) return folder;
  const done = synced.ok ? work(folder.value) : synced;
  folder.value.close();
  return done;
}
