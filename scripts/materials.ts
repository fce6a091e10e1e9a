/**
 * What an executable is made of, told beside it: dist/NAME.cdx.json, a bill of materials for scanners
 * (CycloneDX 1.6), and dist/NAME.notices.txt, the notices that the licences want passed on with it.
 * Both come from what the bundler took in, so tools that only build it are not in them, and from
 * nothing that differs between two builds of one commit but the executable's own digest.
 *
 * @see https://cyclonedx.org/docs/1.6/json/
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { Version } from '#cli/context.ts';
import { zigHome } from './addon.ts';
import { ROOT } from './targets.ts';

export interface Material {
  readonly name: string;
  readonly version: string;
  /** SPDX expression, as the package declares it */
  readonly license: string;
  /** package URL; null: it has no registry of its own */
  readonly purl: string | null;
  /** as package-lock.json pins it; null: it came inside another package */
  readonly integrity: string | null;
  readonly notices: readonly string[];
}

/** @param inputs  the files that the bundler took in, from the root of the repository */
export function materialsOf(inputs: readonly string[], version: Version): readonly Material[] {
  const folders = new Set(inputs.map(packageFolder).filter((folder) => folder !== null));
  const packages = [...folders, 'node_modules/node-addon-api']
    .filter((folder) => existsSync(join(ROOT, folder, 'package.json')))
    .map(npmMaterial);
  return [...packages, ...insideOfLmdb(version), cxxLibrary(), runtime(version)].toSorted((a, b) =>
    a.name === b.name ? compare(a.version, b.version) : compare(a.name, b.name),
  );
}

export function cycloneDx(
  materials: readonly Material[],
  product: { name: string; bytes: Uint8Array; version: Version },
): string {
  const { name, bytes, version } = product;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: new Date(version.buildTime).toISOString(),
      component: {
        type: 'application',
        'bom-ref': 'holdfast',
        name,
        version: `${version.version}+${version.commit.replace('+', '.')}`,
        licenses: [{ expression: 'Apache-2.0' }],
        hashes: [{ alg: 'SHA-256', content: sha256 }],
      },
    },
    components: materials.map((material) => ({
      type: material.name === 'bun' ? 'platform' : 'library',
      'bom-ref': refOf(material),
      name: material.name,
      version: material.version,
      licenses: [{ expression: material.license }],
      ...(material.purl === null ? {} : { purl: material.purl }),
      ...(material.integrity === null ? {} : { hashes: [sha512Of(material.integrity)] }),
    })),
    dependencies: [{ ref: 'holdfast', dependsOn: materials.map(refOf) }],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

export function noticesText(materials: readonly Material[]): string {
  const intro =
    'Holdfast is licensed under the Apache License 2.0. Its executable holds the software below;\n' +
    'pass this file on with it.\n';
  const parts = materials.map(({ name, version, license, notices }) => {
    const head = `${name} ${version}: ${license.replace(/^\((.*)\)$/, '$1')}`;
    const texts = notices.map((text) => `${text.trim()}\n`);
    return [head, '='.repeat(head.length), '', ...texts].join('\n');
  });
  return [intro, ...parts].join('\n');
}

/** `node_modules/a/node_modules/@b/c/index.js` → `node_modules/a/node_modules/@b/c`; null: our own. */
function packageFolder(input: string): string | null {
  const found = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input.replaceAll(sep, '/'));
  return found === null ? null : found[0];
}

function npmMaterial(folder: string): Material {
  const read = (path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
  const { name, version, license, author } = read(join(folder, 'package.json'));
  const { packages } = read('package-lock.json');
  const texts = readdirSync(join(ROOT, folder))
    .filter((file) => /^(licen[cs]e|notice|copying|copyright)/i.test(file))
    .toSorted();
  const by = typeof author === 'string' ? author : (author?.name ?? `the authors of ${name}`);
  const declared = `Copyright of ${by}. The package has no file with its licence; it declares ${license}.`;
  return {
    name,
    version,
    license,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    integrity: packages[folder]?.integrity ?? null,
    notices: texts.length > 0 ? texts.map((file) => textAt(folder, file)) : [declared],
  };
}

/** C libraries that lmdb's package carries in source; scripts/addon.ts compiles them. */
function insideOfLmdb(version: Version): readonly Material[] {
  const liblmdb = 'node_modules/lmdb/dependencies/lmdb/libraries/liblmdb';
  const lz4 = 'node_modules/lmdb/dependencies/lz4/lib';
  const header = textAt(lz4, 'lz4.h');
  const part = (name: string) =>
    new RegExp(`define LZ4_VERSION_${name}\\s+(\\d+)`).exec(header)?.[1] ?? '?';
  const none = { purl: null, integrity: null };
  return [
    {
      ...none,
      name: 'liblmdb',
      version: version.lmdb.split('/')[1] ?? '?',
      license: 'OLDAP-2.8',
      notices: [textAt(liblmdb, 'COPYRIGHT'), textAt(liblmdb, 'LICENSE')],
    },
    {
      ...none,
      name: 'lz4',
      version: ['MAJOR', 'MINOR', 'RELEASE'].map(part).join('.'),
      license: 'BSD-2-Clause',
      notices: [textAt(lz4, 'LICENSE')],
    },
  ];
}

/** The C++ library that the compiler links into the addon; an addon from the cache needs no compiler. */
function cxxLibrary(): Material {
  const { home, version } = zigHome();
  const file = join(home, 'lib/libcxx/LICENSE.TXT');
  return {
    name: 'libc++',
    version: `of zig ${version}`,
    license: 'Apache-2.0 WITH LLVM-exception',
    purl: null,
    integrity: null,
    notices: [
      existsSync(file)
        ? readFileSync(file, 'utf8')
        : 'Copyright of the LLVM Project contributors: https://llvm.org/LICENSE.txt',
    ],
  };
}

/** Bun's package has no file with its licence. Its libraries are its own to list; two are LGPL. */
function runtime({ bun }: Version): Material {
  const list = `https://github.com/oven-sh/bun/blob/bun-v${bun}/LICENSE.md`;
  return {
    name: 'bun',
    version: bun,
    license: 'MIT',
    purl: `pkg:npm/bun@${bun}`,
    integrity: null,
    notices: [
      `Copyright of Oven and the contributors of Bun. It links statically, among others, WebKit's
JavaScriptCore (LGPL 2) and TinyCC (LGPL 2.1). All of them, with their licences and with how to link
a changed JavaScriptCore: ${list}
With a Bun of this version that you have changed, \`BUN scripts/build.ts\` makes the executable again.`,
    ],
  };
}

function textAt(folder: string, file: string): string {
  return readFileSync(join(ROOT, folder, file), 'utf8');
}

function refOf({ name, version, purl }: Material): string {
  return purl ?? `${name}@${version}`;
}

function sha512Of(integrity: string): { alg: string; content: string } {
  const base64 = integrity.replace(/^sha512-/, '');
  return { alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
