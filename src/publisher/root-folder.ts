/**
 * root/ of a fleet folder: the chain of signed roots, one file for each version, and beside it the
 * next one in the making: a draft that people edit, then a request that collects signatures.
 *
 * Invariants: the chain is verified each time it is read, from version 1 on, without a gap; a file
 * N.root.json is written whole, under a working name first, and never again. N.anchor.txt beside one
 * says that devices got it by hand (too few of the former root keys were left to sign it).
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import type { Root } from '#state/root.ts';
import { nextRoot, openRoot } from '#trust/root-chain.ts';
import { readEnvelope } from '#wire/envelope.ts';

/** One version of the root, with the bytes that every artifact carries. */
export interface RootLink {
  readonly root: Root;
  readonly envelope: Envelope;
  /** the file, which is the artifact's layer */
  readonly bytes: Uint8Array;
  /** of the file */
  readonly digest: Digest;
}

export type RootChain = readonly [RootLink, ...RootLink[]];

const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;
const WORKING = '.writing.json';
/** a root each week for 20 years; the manifest has layers for twice as many */
export const VERSIONS_MAX = 1_024;

export function rootFolder(directory: string): string {
  return `${directory}/root`;
}

export function rootFile(version: bigint): string {
  return `${version}.root.json`;
}

/** FORMATS leaves these two to the developer. */
export function draftFile(version: bigint): string {
  return `${version}.draft.yaml`;
}

export function requestFile(version: bigint): string {
  return `${version}.request.json`;
}

function anchorFile(version: bigint): string {
  return `${version}.anchor.txt`;
}

/** Check 7, as a device that starts with version 1 walks it. */
export function readChain(files: Files, directory: string): Result<RootChain> {
  const folder = files.open(rootFolder(directory), { follow: true });
  if (!folder.ok) return noFleet(directory);
  try {
    return chainIn(folder.value, directory);
  } finally {
    folder.value.close();
  }
}

function chainIn(folder: Directory, directory: string): Result<RootChain> {
  const names = folder.list();
  if (!names.ok) return names;
  const all = new Set(names.value);
  const newest = newestVersion(names.value);
  if (newest === null) return noFleet(directory);
  if (newest > VERSIONS_MAX) return broken(rootFile(BigInt(newest)), 'no fleet has so many');
  const links: RootLink[] = [];
  for (let version = 1n; version <= BigInt(newest); version += 1n) {
    const file = rootFile(version);
    if (!all.has(file)) return broken(file, `it is missing below ${rootFile(BigInt(newest))}`);
    const bytes = folder.read(file, LIMITS.rootBytes);
    if (!bytes.ok) return bytes;
    const anchored = all.has(anchorFile(version));
    const link = linkAfter(links.at(-1)?.root ?? null, bytes.value, anchored);
    if (!link.ok) return { ok: false, fault: { ...link.fault, where: `root/${file}` } };
    if (link.value.root.version !== version) {
      return broken(file, `it holds version ${link.value.root.version}`);
    }
    links.push(link.value);
  }
  const [first, ...rest] = links;
  return first ? ok([first, ...rest]) : noFleet(directory);
}

function newestVersion(names: readonly string[]): number | null {
  const versions = names.flatMap((name) => /^([1-9]\d{0,8})\.root\.json$/.exec(name)?.[1] ?? []);
  return versions.length === 0 ? null : Math.max(...versions.map(Number));
}

/** @param anchored  by its own root keys alone: what devices were given by hand */
export function linkAfter(
  held: Root | null,
  bytes: Uint8Array,
  anchored = false,
): Result<RootLink> {
  const envelope = readEnvelope(bytes);
  if (!envelope.ok) return envelope;
  const root = held === null || anchored ? openRoot(bytes) : nextRoot(held, bytes);
  if (!root.ok) return root;
  if (held !== null && root.value.fleet !== held.fleet) {
    return refuse('trust.wrong-fleet', { offered: root.value.fleet, own: held.fleet });
  }
  return ok({ root: root.value, envelope: envelope.value, bytes, digest: sha256(bytes) });
}

/** @returns whether it was written: false when these very bytes are there already */
export function keepRoot(
  files: Files,
  directory: string,
  link: RootLink,
  { anchored }: { readonly anchored: boolean } = { anchored: false },
): Result<boolean> {
  const { version } = link.root;
  return inRootFolder(files, directory, (folder) => {
    const there = folder.stat(rootFile(version));
    if (!there.ok) return there;
    if (there.value) return sameBytes(folder, rootFile(version), link.bytes);
    if (anchored) {
      const note = `Version ${version} was not signed by the keys of version ${version - 1n}: put ${rootFile(version)} onto each device by hand.\n`;
      const marked = replace(folder, anchorFile(version), new TextEncoder().encode(note));
      if (!marked.ok) return marked;
    }
    const wrote = replace(folder, rootFile(version), link.bytes);
    return wrote.ok ? ok(true) : wrote;
  });
}

function sameBytes(folder: Directory, name: string, bytes: Uint8Array): Result<boolean> {
  const held = folder.read(name, LIMITS.rootBytes);
  if (!held.ok) return held;
  return Buffer.compare(held.value, bytes) === 0
    ? ok(false)
    : broken(name, 'it is there already, with other bytes');
}

/** Null: there is none. */
export function readMaking(
  files: Files,
  directory: string,
  name: string,
): Result<Uint8Array | null> {
  const bytes = files.readFile(`${rootFolder(directory)}/${name}`, LIMITS.envelopeBytes);
  if (bytes.ok) return bytes;
  return bytes.fault.code === 'platform.missing' ? ok(null) : bytes;
}

/** Whole or not at all, durable when it returns. */
export function writeMaking(
  files: Files,
  directory: string,
  name: string,
  bytes: Uint8Array,
): Result<undefined> {
  return inRootFolder(files, directory, (folder) => replace(folder, name, bytes));
}

/** Nothing there: ok. */
export function removeMaking(
  files: Files,
  directory: string,
  names: readonly string[],
): Result<undefined> {
  return inRootFolder(files, directory, (folder) => {
    for (const name of names) {
      const there = folder.stat(name);
      if (!there.ok) return there;
      if (!there.value) continue;
      const removed = folder.unlink(name);
      if (!removed.ok) return removed;
    }
    const synced = folder.sync();
    return synced.ok ? ok() : synced;
  });
}

/** A file anywhere, replaced as a whole: a copy of a request that came by mail. */
export function replaceFile(
  files: Files,
  place: { readonly directory: string; readonly name: string },
  bytes: Uint8Array,
): Result<undefined> {
  const folder = files.open(place.directory, { follow: true });
  if (!folder.ok) return folder;
  try {
    return replace(folder.value, place.name, bytes);
  } finally {
    folder.value.close();
  }
}

function replace(folder: Directory, name: string, bytes: Uint8Array): Result<undefined> {
  const swept = folder.removeTree(WORKING); // what a cut left behind never had a name
  if (!swept.ok) return swept;
  const wrote = folder.write(WORKING, bytes, FILE_MODE);
  if (!wrote.ok) return wrote;
  const renamed = folder.rename(WORKING, name);
  const synced = renamed.ok ? folder.sync() : renamed;
  return synced.ok ? ok() : synced;
}

function inRootFolder<T>(
  files: Files,
  directory: string,
  work: (folder: Directory) => Result<T>,
): Result<T> {
  const folder = files.open(rootFolder(directory), { follow: true, create: FOLDER_MODE });
  if (!folder.ok) return folder;
  try {
    return work(folder.value);
  } finally {
    folder.value.close();
  }
}

function broken(file: string, reason: string): Refused {
  return refuse('publish.root-chain', { file: `root/${file}`, reason });
}

function noFleet(directory: string): Refused {
  return refuse('publish.not-a-fleet', { directory, missing: `root/${rootFile(1n)}` });
}
