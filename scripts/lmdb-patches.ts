/**
 * What our build of lmdb's addon changes in the sources of the npm package: two mistakes on the
 * paths of a failing disk, each of which ends the process with a signal that nothing can catch
 * (docs/decisions/0004), and where the table of readers lies (docs/decisions/0025). A patch that
 * does not match exactly as often as it says stops the build: another version of lmdb has to be
 * looked at anew.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

interface Patch {
  /** below the package */
  readonly source: string;
  readonly find: string;
  readonly times: number;
  readonly replace: string;
}

const MDB = 'dependencies/lmdb/libraries/liblmdb/mdb.c';

/**
 * Each read marks its slot in a table that LMDB maps from its lock file, so that the kernel wrote that
 * page to the disk once in 45 s. One process has a store (platform/locks.ts), so the table can be
 * memory; a kernel or a sandbox that gives no memfd leaves it in the file. 8 is MFD_NOEXEC_SEAL, which
 * older kernels do not know and vm.memfd_noexec=2 demands.
 */
const LOCK_TABLE = `
\trc = 0;
\tenv->me_lfd = syscall(SYS_memfd_create, "lmdb-lock", 1U | 8U);
\tif (env->me_lfd < 0) env->me_lfd = syscall(SYS_memfd_create, "lmdb-lock", 1U);
\tif (env->me_lfd < 0) rc = mdb_fopen(env, fname, MDB_O_LOCKS, mode, &env->me_lfd);
`;

export const PATCHES: readonly Patch[] = [
  // Messages about a failed write are printed into 100 bytes, where they do not always fit.
  { source: MDB, find: 'malloc(100)', times: 12, replace: 'malloc(1024)' },
  { source: MDB, find: 'malloc(300)', times: 3, replace: 'malloc(1024)' },
  {
    source: MDB,
    find: '#include <sys/uio.h>\n#include <sys/mman.h>\n',
    times: 1,
    replace: '#include <sys/uio.h>\n#include <sys/syscall.h>\n#include <sys/mman.h>\n',
  },
  {
    source: MDB,
    find: '\n\trc = mdb_fopen(env, fname, MDB_O_LOCKS, mode, &env->me_lfd);\n',
    times: 1,
    replace: LOCK_TABLE,
  },
  // An environment that cannot be opened (EIO, EROFS, EMFILE …) is closed through what was just
  // deleted: used after free, and freed twice. closeEnv deletes it where it is known there.
  {
    source: 'src/env.cpp',
    find: '\t\tdelete extended_env;\n\t\t#endif\n\t\tif (rc == EXISTING_ENV_FOUND) {',
    times: 1,
    replace: '\t\t#endif\n\t\tif (rc == EXISTING_ENV_FOUND) {',
  },
];

/**
 * @param lmdb  the folder of the npm package
 * @param work  where changed copies are written
 * @returns path below the package → the changed copy
 */
export function patchedSources(lmdb: string, work: string): ReadonlyMap<string, string> {
  const changed = new Map<string, string>();
  for (const { source, find, times, replace } of PATCHES) {
    const text = readFileSync(changed.get(source) ?? join(lmdb, source), 'utf8');
    const parts = text.split(find);
    if (parts.length - 1 !== times) {
      throw new Error(`${source} has ${JSON.stringify(find)} ${parts.length - 1} times`);
    }
    const path = join(work, 'patched', basename(source));
    mkdirSync(join(work, 'patched'), { recursive: true });
    writeFileSync(path, parts.join(replace));
    changed.set(source, path);
  }
  return changed;
}
