/**
 * Where the files of a tar begin, without reading them: a bundle of gigabytes is opened by reading
 * its headers. Only what an image layout has is indexed; the content is checked by digest later, so
 * the one thing to get right here is to refuse an archive that two readers would see differently:
 * renamed or resized entries, sparse files, a name twice, data after the end. Devices and the desk read
 * bundles by this one index; trees that are unpacked are read by tar.ts. Files of 8 GiB and more do not
 * fit.
 * @see POSIX.1-2017 pax, "ustar Interchange Format"
 */
import { ok, type Refused, type Result } from '#errors/fault.ts';
import { BLOCK, PAX_BYTES_MAX, readHeader, readPax } from './tar-header.ts';

/** A file that is read in parts. */
export interface TarBytes {
  readonly size: number;
  read(offset: number, count: number): Result<Uint8Array>;
}

export type TarIndex = ReadonlyMap<string, { readonly offset: number; readonly size: number }>;

/** eight states with as many layers as one may have */
const ENTRIES_MAX = 16_384;
/** bytes of padding that writers put behind the end */
const PADDING_MAX = 1024 * 1024;
/** no links, no devices, no names or sizes of GNU's */
const KINDS: Readonly<Record<string, 'file' | 'directory' | 'extended'>> = {
  '0': 'file',
  '\0': 'file',
  '5': 'directory',
  x: 'extended',
  g: 'extended',
};
const OF_LAYOUT = /^(?:oci-layout|index\.json|blobs\/sha256\/[0-9a-f]{64})$/;

/** What to index of archives that are no layouts: their other entries, links too, are passed over. */
export interface Indexed {
  readonly names: RegExp;
  readonly passLinks: boolean;
}

/** @param bad  what the caller calls an archive that cannot be one, with the reason */
export function indexTar(
  archive: TarBytes,
  bad: (reason: string) => Refused,
  { names, passLinks }: Indexed = { names: OF_LAYOUT, passLinks: false },
): Result<TarIndex> {
  const index = new Map<string, { offset: number; size: number }>();
  let at = 0;
  for (let entries = 0; at < archive.size; entries += 1) {
    if (entries === ENTRIES_MAX) return bad(`more than ${ENTRIES_MAX} entries`);
    const block = archive.read(at, BLOCK);
    if (!block.ok) return block;
    if (block.value.length < BLOCK) return bad('it ends inside a header');
    if (isZero(block.value))
      return endsClean(archive, at) ? ok(index) : bad('it has data after its end');
    const header = readHeader(block.value, true);
    if ('reason' in header) return bad(header.reason);
    const link = header.type === '1' || header.type === '2';
    const kind = passLinks && link ? 'directory' : KINDS[header.type];
    if (kind === undefined) return bad('it has entries that are neither files nor directories');
    if (kind === 'directory' && header.size !== 0) return bad('a directory has a size');
    const offset = at + BLOCK;
    at = offset + Math.ceil(header.size / BLOCK) * BLOCK;
    if (at > archive.size) return bad('it ends inside a file');
    if (kind === 'extended') {
      if (header.size > PAX_BYTES_MAX) return bad('an extended header is too long');
      const records = archive.read(offset, header.size);
      if (!records.ok) return records;
      const extended = readPax(records.value);
      if ('reason' in extended) return bad(extended.reason);
      if (extended.path !== null) return bad('an extended header renames an entry');
    }
    const name = header.path.replace(/^\.\//, '');
    if (kind !== 'file' || !names.test(name)) continue;
    if (index.has(name)) return bad(`${name} stands twice`);
    index.set(name, { offset, size: header.size });
  }
  return bad('it has no end');
}

function isZero(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

function endsClean(archive: TarBytes, at: number): boolean {
  const left = archive.size - at;
  const padding = left > PADDING_MAX ? null : archive.read(at, left);
  return padding?.ok === true && isZero(padding.value);
}
