/**
 * What `npm run bench` measures the agent beside. bench/native.c: zig brings compiler, C library and
 * cryptography, lmdb's npm package the C sources of LMDB, so nothing has to be installed. And
 * bench/bare-program.ts, compiled like the agent. Both are kept in .cache under a hash of their source.
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { addonFor, zig, zigEnvironment } from './addon.ts';
import { lmdbAddon } from './lmdb-plugin.ts';
import { run } from './run.ts';
import { runtimeFor } from './runtime.ts';
import { CACHE, hostTarget, ROOT, readTarget } from './targets.ts';

const SOURCES = join(import.meta.dir, 'bench');
const LIBLMDB = join(ROOT, 'node_modules/lmdb/dependencies/lmdb/libraries/liblmdb');

/** Null where npm has no zig. */
export async function buildNative(): Promise<string | null> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null;
  const [source, crypto] = [join(SOURCES, 'native.c'), join(SOURCES, 'crypto.zig')];
  return kept('native', [source, crypto], async (part) => {
    const compiler = await zig();
    const env = zigEnvironment(join(CACHE, 'bench', 'work'));
    const object = `${part}.o`;
    const crypt = ['build-obj', '-O', 'ReleaseFast', '-lc', crypto, `-femit-bin=${object}`];
    await run([compiler, ...crypt], { env });
    const lmdb = ['mdb.c', 'midl.c', 'chacha8.c'].map((name) => join(LIBLMDB, name));
    const flags = ['-O2', '-w', '-I', LIBLMDB, '-DMDB_MAXKEYSIZE=0'];
    await run([compiler, 'cc', ...flags, '-o', part, source, ...lmdb, object, '-lpthread'], {
      env,
    });
  });
}

export async function buildBare(): Promise<string> {
  const source = join(SOURCES, 'bare-program.ts');
  const target = readTarget(hostTarget());
  return kept('bare', [source], async (outfile) => {
    const built = await Bun.build({
      entrypoints: [source],
      minify: true,
      bytecode: true,
      format: 'esm',
      plugins: [lmdbAddon(await addonFor(target))],
      compile: {
        target: target.bunTarget,
        outfile,
        executablePath: await runtimeFor(target),
        autoloadDotenv: false,
        autoloadBunfig: false,
      },
    });
    if (!built.success) throw new AggregateError(built.logs, 'no bare program');
  });
}

async function kept(
  name: string,
  sources: readonly string[],
  make: (outfile: string) => Promise<void>,
): Promise<string> {
  const texts = await Promise.all(sources.map((path) => Bun.file(path).text()));
  const home = join(CACHE, 'bench');
  mkdirSync(home, { recursive: true });
  const program = join(home, `${name}-${Bun.hash(texts.join('\0')).toString(16)}`);
  if (existsSync(program)) return program;
  await make(`${program}.part`);
  renameSync(`${program}.part`, program);
  // Its pages would count as its own dirty memory until they are on the disk.
  await run(['sync', program]);
  return program;
}
