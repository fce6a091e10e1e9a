/**
 * Gives the bundle one addon for lmdb. The package's own loader searches `prebuilds/` of the working
 * directory when it runs: it would fail in one executable and is a way to inject code. It is
 * replaced by platform/bun/native-addon.ts over a file inside the executable; msgpackr-extract, an
 * optional speed-up with an addon of its own, by nothing (records are protobuf).
 */
import { join } from 'node:path';
import type { BunPlugin } from 'bun';
import { ROOT } from './targets.ts';

export function lmdbAddon(addon: string): BunPlugin {
  const loader = join(ROOT, 'src/platform/bun/native-addon.ts');
  const namespace = 'holdfast';
  return {
    name: 'lmdb-addon',
    setup(build) {
      build.onResolve({ filter: /^node-gyp-build-optional-packages$/ }, () => ({
        path: 'addon-loader',
        namespace,
      }));
      build.onResolve({ filter: /^msgpackr-extract$/ }, () => ({
        path: 'no-msgpackr-extract',
        namespace,
      }));
      build.onLoad({ filter: /^addon-loader$/, namespace }, () => ({
        contents: `
          import { readFileSync } from 'node:fs';
          import { addonDirectories, loadAddon } from ${JSON.stringify(loader)};
          import packed from ${JSON.stringify(addon)} with { type: 'file' };
          export default () => loadAddon(readFileSync(packed), addonDirectories(process.env));
        `,
        loader: 'js',
      }));
      build.onLoad({ filter: /^no-msgpackr-extract$/, namespace }, () => ({
        contents: 'module.exports = {};',
        loader: 'js',
      }));
    },
  };
}
