/**
 * Thousands of images, mounted one after the other on one loop device, through the C library: no
 * process for each. The image lies in memory (tmpfs) and is written over between two mounts; the
 * kernel forgets what it had read of the device when its last user, the mount, is gone.
 */
import { dlopen, FFIType } from 'bun:ffi';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { output, run } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { mended } from './rig.ts';

/** ms in which whoever looked at the mount has let go of it */
const FREE_MS = 10_000;
const c = (text: string): Buffer => Buffer.from(`${text}\0`);

function cLibrary() {
  const { i32, ptr, u64 } = FFIType;
  return dlopen('libc.so.6', {
    mount: { args: [ptr, ptr, ptr, u64, ptr], returns: i32 },
    umount2: { args: [ptr, i32], returns: i32 },
  }).symbols;
}

export interface Stand {
  /** What was needed for it, as at the start of a device (`mended`, rig.ts). */
  mount(image: Buffer, at: string): Promise<'mounted' | 'mended' | 'no file system'>;
  unmount(): Promise<void>;
  remove(): Promise<void>;
}

/** @param file  in memory, of the size that all images have */
export async function makeStand(file: string, bytes: number): Promise<Stand> {
  const library = cLibrary();
  const fd = openSync(file, 'w+', 0o600);
  writeSync(fd, Buffer.alloc(bytes));
  const loop = (await output(['losetup', '-f', '--show', file])).trim();
  let mounted: string | null = null;
  const stand: Stand = {
    async mount(image, at) {
      if (image.length !== bytes) throw new Error(`an image of ${image.length} bytes`);
      writeSync(fd, image, 0, bytes, 0);
      mkdirSync(at, { recursive: true });
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
      await run(['losetup', '-d', loop]);
      closeSync(fd);
    },
  };
  return stand;
}
