/**
 * `npm run build` makes dist/holdfast for this machine, `npm run build -- --target linux-arm64`
 * dist/holdfast-linux-arm64 on any linux-x64 machine (`--target all`: every folder of targets/).
 * Nothing is read beside the executable when it runs: no .env, bunfig.toml, tsconfig or package.json.
 *
 * Beside it lie NAME.cdx.json and NAME.notices.txt: what it is made of (materials.ts).
 *
 * For this machine's kind the bytecode is made now instead of at each start
 * (docs/decisions/0009-bytecode.md). It is not the same bytes twice: `--reproducible` leaves it out.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Version } from '#cli/context.ts';
import { addonFor } from './addon.ts';
import { readElf, tooNew } from './elf.ts';
import { lmdbAddon } from './lmdb-plugin.ts';
import { cycloneDx, materialsOf, noticesText } from './materials.ts';
import { noDebug } from './no-debug-plugin.ts';
import { run } from './run.ts';
import { runtimeFor } from './runtime.ts';
import { hostTarget, ROOT, readTarget, type Target, targetNames } from './targets.ts';

/** @returns the path of the executable */
export async function build(name: string, { reproducible = false } = {}): Promise<string> {
  const started = performance.now();
  const target = readTarget(name);
  const addon = await addonFor(target);
  const runtime = await runtimeFor(target);
  const version = await versionOf(target);
  const outfile = join(ROOT, 'dist', name === hostTarget() ? 'holdfast' : `holdfast-${name}`);
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const result = await Bun.build({
    entrypoints: [join(ROOT, 'src/main.ts')],
    minify: true,
    sourcemap: 'none',
    // Bun makes it for the machine that it runs on.
    bytecode: !reproducible && name === hostTarget(),
    format: 'esm',
    metafile: true,
    define: { HOLDFAST_BUILD: JSON.stringify(version) },
    plugins: [lmdbAddon(addon), noDebug],
    compile: {
      target: target.bunTarget,
      // Beside the final name: a running executable can be replaced, not written.
      outfile: `${outfile}.part`,
      executablePath: runtime,
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
  });
  for (const log of result.logs) console.log(log);
  if (!result.success) throw new Error(`no executable for ${name}`);
  const elf = readElf(`${outfile}.part`);
  const unmet = tooNew(elf, target.glibcMax);
  if (elf.machine !== target.machine || unmet.length > 0) {
    throw new Error(`${outfile} is for ${elf.machine} and needs ${unmet.join(', ')}`);
  }
  tellMaterials(outfile, Object.keys(result.metafile?.inputs ?? {}), version);
  renameSync(`${outfile}.part`, outfile);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const megabytes = (statSync(outfile).size / 1e6).toFixed(0);
  console.log(`${outfile.slice(ROOT.length + 1)}: ${megabytes} MB for ${name} in ${seconds} s`);
  return outfile;
}

/** Written before the executable gets its name: one without its bill of materials is not finished. */
function tellMaterials(outfile: string, inputs: readonly string[], version: Version): void {
  const materials = materialsOf(inputs, version);
  const bytes = readFileSync(`${outfile}.part`);
  const name = basename(outfile);
  writeFileSync(`${outfile}.cdx.json`, cycloneDx(materials, { name, bytes, version }));
  writeFileSync(`${outfile}.notices.txt`, noticesText(materials));
}

async function versionOf(target: Target): Promise<Version> {
  const [commit, time] = await commitAndTime();
  return {
    version: packageVersion('.'),
    commit,
    target: target.name,
    bun: target.runtime.version,
    lmdb: `${packageVersion('node_modules/lmdb')}/${liblmdbVersion()}`,
    buildTime: time,
  };
}

function packageVersion(folder: string): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
  return String(version);
}

/** The C library inside the package has a version of its own. */
function liblmdbVersion(): string {
  const header = join(ROOT, 'node_modules/lmdb/dependencies/lmdb/libraries/liblmdb/lmdb.h');
  const text = readFileSync(header, 'utf8');
  const part = (name: string) => new RegExp(`MDB_VERSION_${name}\\s+(\\d+)`).exec(text)?.[1] ?? '?';
  return ['MAJOR', 'MINOR', 'PATCH'].map(part).join('.');
}

/**
 * The build time is the lowest the device's time floor can be (check 0). A commit's own time is
 * below any time it can be built at, and makes two builds of one commit the same bytes; so does
 * SOURCE_DATE_EPOCH, for builds outside a repository.
 * @see https://reproducible-builds.org/specs/source-date-epoch/
 */
async function commitAndTime(): Promise<readonly [commit: string, unixMs: number]> {
  const log = await git('log', '-1', '--format=%h %ct', '--abbrev=7');
  const [commit, seconds] = log === null ? [] : log.split(' ');
  const changed = log !== null && (await git('status', '--porcelain', '-uno')) !== '';
  const epoch = process.env.SOURCE_DATE_EPOCH ?? seconds;
  return [
    commit === undefined ? 'unknown' : `${commit}${changed ? '+changes' : ''}`,
    epoch === undefined ? Date.now() : Number(epoch) * 1000,
  ];
}

async function git(...command: string[]): Promise<string | null> {
  try {
    const ran = await run(['git', '-C', ROOT, ...command], { mayFail: true });
    return ran.code === 0 ? ran.stdout.trim() : null;
  } catch {
    return null; // no git on this machine
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { target: { type: 'string' }, reproducible: { type: 'boolean', default: false } },
  });
  const wanted = values.target ?? hostTarget();
  for (const name of wanted === 'all' ? targetNames() : [wanted]) {
    await build(name, values);
  }
}
