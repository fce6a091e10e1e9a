/** Open files of the simulated disk. Contents are replaced, never changed in place (inode.ts). */
import { assert, ok, type Result, refuse } from '#errors/fault.ts';
import type { FileReader, FileWriter } from '#platform/files.ts';
import { change, type Disk, roomFor, troubleFault } from './disk.ts';
import { type Inode, sync } from './inode.ts';

export function openReader(disk: Disk, inode: Inode, path: string): Result<FileReader> {
  const refusal = notRegular(inode, 'open', path);
  if (refusal) return refusal;
  const size = inode.data.length;
  let open = true;
  return ok({
    size,
    read(offset, count) {
      disk.steps.alive();
      assert(open, `read of ${path} after close`);
      return ok(inode.data.slice(offset, offset + count));
    },
    close() {
      open = false;
    },
  });
}

export function readWhole(
  _disk: Disk,
  inode: Inode,
  path: string,
  cap: number,
): Result<Uint8Array> {
  const refusal = notRegular(inode, 'open', path);
  if (refusal) return refusal;
  const { data } = inode;
  if (data.length > cap) return refuse('platform.too-large', { path, size: data.length, cap });
  return ok(data.slice());
}

function notRegular(inode: Inode, operation: string, path: string) {
  if (inode.kind === 'file') return null;
  const code = inode.kind === 'link' ? 'platform.link' : 'platform.not-a-file';
  return refuse(code, { operation, path });
}

/** Appends: a new file's writer begins at nothing. */
export function writerOf(disk: Disk, inode: Inode, path: string): FileWriter {
  let open = true;
  const alter = (operation: string, call: () => Result<void>): Result<void> => {
    assert(open, `${operation} of ${path} after close`);
    return change(disk, operation, path, call);
  };
  return {
    get size() {
      return inode.data.length;
    },
    write: (bytes) =>
      alter('write', () => {
        if (!roomFor(disk, inode, bytes.length)) return troubleFault('ENOSPC', 'write', path);
        const { data } = inode;
        const next = new Uint8Array(data.length + bytes.length);
        next.set(data);
        next.set(bytes, data.length);
        inode.data = next;
        disk.nodes.touch(inode, 'data');
        return ok();
      }),
    chmod: (mode) =>
      alter('chmod', () => {
        inode.mode = mode;
        disk.nodes.touch(inode, 'mode');
        return ok();
      }),
    chown: (uid, gid) =>
      alter('chown', () => {
        Object.assign(inode, { uid, gid });
        disk.nodes.touch(inode, 'mode');
        return ok();
      }),
    sync: () => alter('fsync', () => ok(sync(inode))),
    close() {
      open = false;
    },
  };
}
