/**
 * Thousands of images, mounted one after the other on one loop device, through the C library: no
 * process for each. The image lies in memory (tmpfs); before each mount only what differs from it is
 * written, found by comparing all of it, since a mount writes as well. The kernel forgets what it had
 * read of the device when its last user is gone, and that may not be this mount: whoever made a mount
 * namespace meanwhile (a container anywhere on this machine) has a copy of it. Such a device is given up,
 * since the next image would be seen through what is cached of this one.
 */
import { dlopen, FFIType } from 'bun:ffi';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { output, run } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import type { Piece } from './disk.ts';
import { mended } from './rig.ts';

/** ms in which whoever looked at the mount has let go of it */
const FREE_MS = 60_000;
/** what is compared at once */
const CHUNK_BYTES = 65_536;
const c = (text: string): Buffer => Buffer.from(`${text}\0`);

function cLibrary() {
  const { i32, ptr, u64 } = FFIType;
  return dlopen('libc.so.6', {
    mount: { args: [ptr, ptr, ptr, u64, ptr], returns: i32 },
    umount2: { args: [ptr, i32], returns: i32 },
  }).symbols;
}

/** An image: pieces over what is durable. */
export interface StandImage {
  readonly durable: Buffer;
  readonly pieces: readonly Piece[];
}

export interface Stand {
  /** What was needed for it, as at the start of a device (`mended`, rig.ts). */
  mount(image: StandImage, at: string): Promise<'mounted' | 'mended' | 'no file system'>;
  unmount(): Promise<void>;
  remove(): Promise<void>;
}

/** One loop device over one file. */
interface Slide {
  readonly loop: string;
  readonly held: Buffer;
}

async function makeSlide(file: string, bytes: number): Promise<Slide> {
  // One that was given up keeps the file that it has.
  rmSync(file, { force: true });
  writeFileSync(file, '', { mode: 0o600 });
  truncateSync(file, bytes);
  const { buffer, byteOffset } = Bun.mmap(file, { shared: true });
  const loop = (await output(['losetup', '-f', '--show', file])).trim();
  return { loop, held: Buffer.from(buffer, byteOffset, bytes) };
}

/** Nobody on this machine has it mounted: a file system holds its device exclusively. */
function isFree({ loop }: Slide): boolean {
  try {
    closeSync(openSync(loop, constants.O_RDONLY | constants.O_EXCL));
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return false;
    throw error;
  }
}

function put({ held }: Slide, { durable, pieces }: StandImage): void {
  const bytes = held.length;
  if (durable.length !== bytes) throw new Error(`an image of ${durable.length} bytes`);
  for (let from = 0; from < bytes; from += CHUNK_BYTES) {
    const to = Math.min(from + CHUNK_BYTES, bytes);
    if (held.compare(durable, from, to, from, to) !== 0) durable.copy(held, from, from, to);
  }
  for (const piece of pieces) piece.bytes.copy(held, piece.at);
}

/** @param file  in memory, of the size that all images have */
export async function makeStand(file: string, bytes: number): Promise<Stand> {
  const library = cLibrary();
  let slide = await makeSlide(file, bytes);
  let mounted: string | null = null;
  return {
    async mount(image, at) {
      if (!isFree(slide)) {
        // It goes by itself when its last user has gone.
        await run(['losetup', '-d', slide.loop]);
        slide = await makeSlide(file, bytes);
      }
      put(slide, image);
      mkdirSync(at, { recursive: true });
      const { loop } = slide;
      const isMounted = () => library.mount(c(loop), c(at), c('ext4'), 0, c('')) === 0;
      const whole = isMounted();
      if (!whole && !((await mended(loop)) && isMounted())) return 'no file system';
      mounted = at;
      return whole ? 'mounted' : 'mended';
    },
    async unmount() {
      const at = mounted;
      if (at === null) return;
      await eventually(`${at} is free`, () => library.umount2(c(at), 0) === 0, FREE_MS);
      mounted = null;
    },
    async remove() {
      if (mounted !== null) await run(['umount', '-l', mounted]);
      await run(['losetup', '-d', slide.loop]);
      rmSync(file, { force: true });
    },
  };
}
