/**
 * A disk that is cut: the n-th call that changes anything, and all after it, never happens. What a
 * runtime without memory then finds is what an agent finds after a crash at that call.
 */
import type { Directory, Files, FileWriter } from '#platform/files.ts';

export class Cut extends Error {}

const CHANGES = [
  'create',
  'write',
  'symlink',
  'rename',
  'unlink',
  'removeDirectory',
  'removeTree',
  'chmod',
  'chown',
  'sync',
  'syncEntry',
  'truncate',
] as const;

export function cuttingFiles(inner: Files, cutAt = Number.POSITIVE_INFINITY) {
  let calls = 0;
  let syncs = 0;
  const change = (name: string): void => {
    calls += 1;
    if (name === 'sync' || name === 'syncEntry') syncs += 1;
    if (calls >= cutAt) throw new Cut(`${name}, call ${calls}`);
  };
  const inners = new WeakMap<Directory, Directory>();
  const directory = (real: Directory): Directory => {
    const made = { ...real } as Record<string, unknown>;
    for (const name of CHANGES) {
      const call = (real as unknown as Record<string, (...args: unknown[]) => unknown>)[name];
      made[name] = (...args: unknown[]) => {
        change(name);
        const own = args.map((each) => inners.get(each as Directory) ?? each);
        return call?.apply(real, own);
      };
    }
    made.create = (name: string, mode: number) => {
      change('create');
      const writer = real.create(name, mode);
      return writer.ok ? { ...writer, value: writing(writer.value) } : writer;
    };
    made.write = (name: string, bytes: Uint8Array, mode: number) => {
      change('write');
      syncs += 1;
      return real.write(name, bytes, mode);
    };
    made.directory = (name: string, options?: { create?: number }) => {
      if (options?.create !== undefined) change('mkdir');
      const opened = real.directory(name, options);
      return opened.ok ? { ...opened, value: directory(opened.value) } : opened;
    };
    const wrapped = made as unknown as Directory;
    inners.set(wrapped, real);
    return wrapped;
  };
  const writing = (real: FileWriter): FileWriter => ({
    get size() {
      return real.size;
    },
    write(bytes) {
      change('write');
      return real.write(bytes);
    },
    chmod: (mode) => real.chmod(mode),
    chown: (uid, gid) => real.chown(uid, gid),
    sync() {
      change('sync');
      return real.sync();
    },
    close: () => real.close(),
  });
  const files: Files = {
    open(path, options) {
      if (options?.create !== undefined) change('mkdir');
      const opened = inner.open(path, options);
      return opened.ok ? { ...opened, value: directory(opened.value) } : opened;
    },
    readFile: (path, cap) => inner.readFile(path, cap),
    realPath: (path) => inner.realPath(path),
  };
  return {
    files,
    calls: () => calls,
    syncs: () => syncs,
    reset() {
      calls = 0;
      syncs = 0;
    },
  };
}
