/** The contract of runtimes for `files`: a single file and a tree at once. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { filesRuntime } from '#apply/runtimes/files.ts';
import type { Generation } from '#state/generation.ts';
import { runtimeContract } from './runtime.contract.ts';
import { file, runtimeWorld } from './runtime-world.ts';

runtimeContract('files', () => {
  const world = runtimeWorld();
  const conf = `${world.root}/line/plc.conf`;
  const tree = `${world.root}/line/site`;
  const generation = (version: string): Generation =>
    world.generation(
      'line',
      {
        conf: `speed=${version}`,
        site: [
          { path: 'index.html', kind: 'file', mode: 0o644, bytes: Buffer.from(version) },
          { path: 'a/b/deep.txt', kind: 'file', mode: 0o600, bytes: Buffer.from(`${version}!`) },
        ],
      },
      {
        profile: {
          kind: 'files',
          components: [file(conf, 'conf'), file(tree, 'site')],
          reload: null,
        },
      },
    );
  mkdirSync(`${world.root}/line`);
  writeFileSync(conf, 'by hand', { mode: 0o640 });
  const inode = (path: string) => (existsSync(path) ? String(lstatSync(path).ino) : '-');
  return {
    fresh: () => filesRuntime(world.options),
    old: generation('old'),
    next: generation('next'),
    blobs: `${world.stateDir}/content`,
    sees() {
      const text = existsSync(conf) ? readFileSync(conf, 'utf8') : 'nothing';
      if (text === 'by hand') {
        return !existsSync(tree) && (lstatSync(conf).mode & 0o777) === 0o640 ? 'origin' : 'mixed';
      }
      const version = text.replace('speed=', '');
      const deep = existsSync(tree) ? readFileSync(`${tree}/a/b/deep.txt`, 'utf8') : 'nothing';
      return deep === `${version}!` ? version : `mixed: ${version} and ${deep}`;
    },
    identity: () => `${inode(conf)} ${inode(tree)}`,
    damage(generation) {
      const slots = `${world.root}/line/.holdfast/line`;
      for (const slot of readdirSync(slots)) {
        if (!slot.startsWith(generation.digest.slice(7))) continue;
        writeFileSync(`${slots}/${slot}/site/index.html`, 'spoilt');
      }
    },
    kept() {
      const hidden = `${world.root}/line/.holdfast/line`;
      const shelves = existsSync(hidden)
        ? readdirSync(hidden).map((each) => `${hidden}/${each}`)
        : [];
      const siblings = readdirSync(`${world.root}/line`).filter((each) => each.startsWith('.hold'));
      return [...shelves, ...siblings.filter((each) => each.endsWith('.tmp'))];
    },
    end: async () => world.end(),
  };
});
