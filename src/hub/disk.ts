/**
 * The registry's folder. Content is kept once, by digest; what a repository may show is a set of
 * small files in a directory of its own:
 *
 *   blobs/HEX                       content of blobs and manifests
 *   uploads/ID                      uploads under way; thrown away at start
 *   repositories/NAME/blob.HEX      the repository has this blob
 *   repositories/NAME/manifest.HEX  … this manifest; the file holds its media type
 *   repositories/NAME/tag.TAG       the file holds a digest
 *   repositories/NAME/referrer.SUBJECT.HEX   manifest HEX names SUBJECT
 *
 * A file is fsynced before it gets its name and the directory before a client is told: what was
 * acknowledged is there after a power cut. A link is made after what it leads to.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, FileReader, Files, FileWriter } from '#platform/files.ts';
import { type Digest, hexOf, parseDigest, sha256 } from '#state/digest.ts';
import { directoryOf } from './names.ts';

export interface Disk {
  upload(id: string): Result<FileWriter>;
  dropUpload(id: string): void;
  /** A finished, synced upload becomes content of a repository. */
  adopt(id: string, repository: string, digest: Digest): Result<void>;
  hasBlob(repository: string, digest: Digest): boolean;
  openBlob(digest: Digest): Result<FileReader>;
  /** The other repository has it: now this one has it too. */
  mount(repository: string, digest: Digest): Result<void>;
  dropBlob(repository: string, digest: Digest): Result<boolean>;
  putManifest(repository: string, manifest: StoredManifest): Result<void>;
  /** Null when the repository does not have it. Digest checked. */
  manifest(repository: string, digest: Digest): Result<Manifest | null>;
  dropManifest(repository: string, digest: Digest): Result<boolean>;
  tag(repository: string, tag: string): Result<Digest | null>;
  dropTag(repository: string, tag: string): Result<boolean>;
  /** Null: no such repository. In the order of their bytes. */
  tags(repository: string): Result<readonly string[] | null>;
  referrers(repository: string, subject: Digest): Result<readonly Digest[]>;
  close(): void;
}

export interface Manifest {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

export interface StoredManifest extends Manifest {
  readonly digest: Digest;
  readonly tag: string | null;
  readonly subject: Digest | null;
}

/** bytes of a manifest; the specification asks for 4 MiB at least */
export const MANIFEST_MAX = 4 * 1024 * 1024;
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const SMALL_MAX = 1_024;
const ADOPTED = new Uint8Array();

export function openDisk(files: Files, folder: string): Result<Disk> {
  const root = files.open(folder, { create: DIRECTORY_MODE, follow: true });
  if (!root.ok) return root;
  const cleared = root.value.removeTree('uploads');
  if (!cleared.ok) return cleared;
  const opened: Directory[] = [root.value];
  for (const name of ['blobs', 'uploads', 'repositories']) {
    const directory = root.value.directory(name, { create: DIRECTORY_MODE });
    if (!directory.ok) return directory;
    opened.push(directory.value);
  }
  const [, blobs = root.value, uploads = root.value, repositories = root.value] = opened;
  const places = { blobs, uploads, repositories };
  return ok({
    ...contentOf(places),
    ...manifestsOf(places),
    ...tagsOf(places),
    close() {
      for (const directory of opened) directory.close();
    },
  });
}

interface Places {
  readonly blobs: Directory;
  readonly uploads: Directory;
  readonly repositories: Directory;
}

type Content = Pick<
  Disk,
  'upload' | 'dropUpload' | 'adopt' | 'hasBlob' | 'openBlob' | 'mount' | 'dropBlob'
>;

function contentOf(places: Places): Content {
  const { blobs, uploads } = places;
  const link = (repository: string, digest: Digest): Result<void> =>
    within(places, repository, true, (directory) =>
      put(directory, `blob.${hexOf(digest)}`, ADOPTED),
    );
  return {
    upload: (id) => uploads.create(id, FILE_MODE),
    dropUpload: (id) => void uploads.unlink(id),
    adopt(id, repository, digest) {
      const renamed = uploads.rename(id, hexOf(digest), blobs);
      if (!renamed.ok) return renamed;
      const synced = blobs.sync();
      return synced.ok ? link(repository, digest) : synced;
    },
    hasBlob(repository, digest) {
      const found = within(places, repository, false, (directory) =>
        directory.stat(`blob.${hexOf(digest)}`),
      );
      return found.ok && found.value?.kind === 'file';
    },
    openBlob: (digest) => blobs.openFile(hexOf(digest)),
    mount: link,
    dropBlob(repository, digest) {
      const name = `blob.${hexOf(digest)}`;
      const dropped = within(places, repository, false, (directory) => drop(directory, [name]));
      if (dropped.ok && dropped.value) dropUnused(places, digest);
      return missingIsFalse(dropped);
    },
  };
}

type Manifests = Pick<Disk, 'putManifest' | 'manifest' | 'dropManifest' | 'referrers'>;

function manifestsOf(places: Places): Manifests {
  const { blobs } = places;
  return {
    putManifest(repository, { digest, bytes, mediaType, tag, subject }) {
      const hex = hexOf(digest);
      const content = put(blobs, hex, bytes);
      if (!content.ok) return content;
      return within(places, repository, true, (directory) => {
        const linked = put(directory, `manifest.${hex}`, Buffer.from(mediaType));
        if (!linked.ok) return linked;
        const referred = subject
          ? put(directory, `referrer.${hexOf(subject)}.${hex}`, ADOPTED)
          : linked;
        if (!referred.ok || tag === null) return referred;
        return put(directory, `tag.${tag}`, Buffer.from(digest));
      });
    },
    manifest(repository, digest) {
      const mediaType = within(places, repository, false, (directory) =>
        directory.read(`manifest.${hexOf(digest)}`, SMALL_MAX),
      );
      if (!mediaType.ok) return missingIsNull(mediaType);
      const bytes = blobs.read(hexOf(digest), MANIFEST_MAX);
      if (!bytes.ok) return bytes;
      const found = sha256(bytes.value);
      if (found !== digest) return refuse('hub.damaged', { digest, found });
      return ok({ mediaType: Buffer.from(mediaType.value).toString(), bytes: bytes.value });
    },
    dropManifest(repository, digest) {
      const hex = hexOf(digest);
      const dropped = within(places, repository, false, (directory) => {
        const names = directory.list();
        if (!names.ok) return names;
        const tags = names.value.filter(
          (name) => name.startsWith('tag.') && textOf(directory, name) === digest,
        );
        const referrer = names.value.filter(
          (name) => name.startsWith('referrer.') && name.endsWith(`.${hex}`),
        );
        return drop(directory, [`manifest.${hex}`, ...tags, ...referrer]);
      });
      if (dropped.ok && dropped.value) dropUnused(places, digest);
      return missingIsFalse(dropped);
    },
    referrers(repository, subject) {
      const prefix = `referrer.${hexOf(subject)}.`;
      const names = within(places, repository, false, (directory) => directory.list());
      if (!names.ok) return names.fault.code === 'platform.missing' ? ok([]) : names;
      const found = names.value
        .filter((name) => name.startsWith(prefix))
        .map((name) => parseDigest(`sha256:${name.slice(prefix.length)}`));
      return ok(found.filter((digest) => digest !== null));
    },
  };
}

type Tags = Pick<Disk, 'tag' | 'dropTag' | 'tags'>;

function tagsOf(places: Places): Tags {
  return {
    tag(repository, tag) {
      const text = within(places, repository, false, (directory) =>
        directory.read(`tag.${tag}`, SMALL_MAX),
      );
      if (!text.ok) return missingIsNull(text);
      return ok(parseDigest(Buffer.from(text.value).toString()));
    },
    dropTag: (repository, tag) =>
      missingIsFalse(
        within(places, repository, false, (directory) => drop(directory, [`tag.${tag}`])),
      ),
    tags(repository) {
      const names = within(places, repository, false, (directory) => directory.list());
      if (!names.ok) return missingIsNull(names);
      const tags = names.value.filter((name) => name.startsWith('tag.'));
      return ok(tags.map((name) => name.slice('tag.'.length)).sort());
    },
  };
}

/** Opens the directory of a repository for one call. */
function within<T>(
  { repositories }: Places,
  repository: string,
  create: boolean,
  call: (directory: Directory) => Result<T>,
): Result<T> {
  const name = directoryOf(repository);
  const entry = repositories.stat(name);
  if (!entry.ok) return entry;
  const isNew = create && entry.value === null;
  const directory = repositories.directory(name, create ? { create: DIRECTORY_MODE } : {});
  if (!directory.ok) return directory;
  const called = call(directory.value);
  const synced = create && called.ok ? directory.value.sync() : ok();
  directory.value.close();
  if (!synced.ok) return synced;
  const named = isNew ? repositories.sync() : ok();
  return named.ok ? called : named;
}

/** Written beside, fsynced, renamed over. Content that is there already is left alone. */
function put(directory: Directory, name: string, bytes: Uint8Array): Result<void> {
  const entry = directory.stat(name);
  if (!entry.ok) return entry;
  const same = entry.value?.kind === 'file' && entry.value.size === bytes.length;
  if (same && !name.startsWith('tag.') && sameBytes(directory, name, bytes)) return ok();
  const temporary = `new.${name}`;
  const cleared = directory.removeTree(temporary);
  const written = cleared.ok ? directory.write(temporary, bytes, FILE_MODE) : cleared;
  return written.ok ? directory.rename(temporary, name) : written;
}

function sameBytes(directory: Directory, name: string, bytes: Uint8Array): boolean {
  const there = directory.read(name, bytes.length);
  return there.ok && Buffer.compare(there.value, bytes) === 0;
}

/** @returns whether the first of them was there */
function drop(directory: Directory, names: readonly string[]): Result<boolean> {
  for (const [index, name] of names.entries()) {
    const dropped = directory.unlink(name);
    if (dropped.ok) continue;
    if (dropped.fault.code !== 'platform.missing') return dropped;
    if (index === 0) return ok(false);
  }
  const synced = directory.sync();
  return synced.ok ? ok(true) : synced;
}

/** Removes content that no repository has any more. */
function dropUnused(places: Places, digest: Digest): void {
  const repositories = places.repositories.list();
  if (!repositories.ok) return;
  const hex = hexOf(digest);
  for (const name of repositories.value) {
    const directory = places.repositories.directory(name);
    if (!directory.ok) return;
    const used = [`blob.${hex}`, `manifest.${hex}`].some((link) => {
      const entry = directory.value.stat(link);
      return !entry.ok || entry.value !== null;
    });
    directory.value.close();
    if (used) return;
  }
  places.blobs.unlink(hex);
}

function textOf(directory: Directory, name: string): string {
  const bytes = directory.read(name, SMALL_MAX);
  return bytes.ok ? Buffer.from(bytes.value).toString() : '';
}

function missingIsNull<T>(result: Result<T>): Result<T | null> {
  return !result.ok && result.fault.code === 'platform.missing' ? ok(null) : result;
}

function missingIsFalse(result: Result<boolean>): Result<boolean> {
  return !result.ok && result.fault.code === 'platform.missing' ? ok(false) : result;
}
