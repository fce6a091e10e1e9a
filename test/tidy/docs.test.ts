/** What the pages for people name has to be there: files, fault codes, commands, scripts of npm. */
import { expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Glob } from 'bun';
import { FAULTS } from '#errors/fault.ts';
import { readFleetConfig } from '#publisher/fleet-config.ts';
import { MEDIA } from '#state/media-types.ts';
import { readDeployment } from '#wire/deployment.ts';
import { readValues } from '#wire/values.ts';
import { ROOT, SOURCES } from './tree.ts';

const PAGES = ['*.md', 'docs/**/*.md']
  .flatMap((pattern) => [...new Glob(pattern).scanSync({ cwd: ROOT })])
  .sort()
  .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));

/** `path: what` of everything that a pattern finds and `isThere` does not know. */
function missing(pattern: RegExp, isThere: (what: string, page: string) => boolean) {
  return PAGES.flatMap(({ path, text }) =>
    [...text.matchAll(pattern)]
      .map(([, what = '']) => what)
      .filter((what) => !isThere(what, path))
      .map((what) => `${path}: ${what}`),
  );
}

test('the pages were read', () => {
  expect(PAGES.map(({ path }) => path)).toContain('README.md');
  expect(PAGES.length).toBeGreaterThan(8);
});

test('links lead to files of the repository', () => {
  const inTree = (link: string, page: string) =>
    /^(https?:|#)/.test(link) || existsSync(join(ROOT, dirname(page), link.replace(/#.*$/, '')));
  expect(missing(/\]\(([^)\s]+)\)/g, inTree)).toEqual([]);
});

test('fault codes are those of the tables', () => {
  const prefixes = [...new Set(Object.keys(FAULTS).map((code) => code.split('.')[0]))].join('|');
  const events = SOURCES.map(({ text }) => text).join('\n');
  const known = (code: string) => code in FAULTS || events.includes(`'${code}'`);
  const pattern = new RegExp(`\`((?:${prefixes})\\.[a-z][a-z0-9-]*)\``, 'g');
  // Keys of agent.yaml, log events that are put together, names of files.
  const others = /^(trust\.(root|clock)|apply\.now|drift\.failed)$|\.(ts|yaml|lock|proto)$/;
  expect(missing(pattern, (code) => known(code) || others.test(code))).toEqual([]);
});

test('commands are those that are registered', () => {
  const commands = SOURCES.filter(({ path }) => path.startsWith('src/cli/'))
    .map(({ text }) => text)
    .join('\n');
  const known = (name: string) =>
    new RegExp(`(command\\(|local\\(program, |fleetCommand\\(program, |\\n\\s+)'${name}'`).test(
      commands,
    );
  const found = missing(/(?:^|`)(?:dist\/)?holdfast ([a-z][a-z-]+)\b/gm, known);
  // What errors.md names is the tables' business.
  expect(found.filter((line) => !line.startsWith('docs/errors.md'))).toEqual([]);
});

test('scripts of npm are those of package.json', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(missing(/\bnpm run ([a-z-]+)/g, (name) => name in scripts)).toEqual([]);
});

test('documents in the pages are read as they stand', () => {
  const faults: string[] = [];
  const kinds: string[] = [];
  for (const { path, text } of PAGES) {
    for (const [, yaml = ''] of text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)) {
      const [, kind = ''] = /^kind: (\w+)/m.exec(yaml) ?? [];
      const [, id = ''] = /^id: (\S+)/m.exec(yaml) ?? [];
      kinds.push(kind);
      const bytes = Buffer.from(yaml);
      const read =
        kind === 'Fleet'
          ? readFleetConfig(bytes, '/plant')
          : kind === 'Values'
            ? readValues(bytes, { id, file: path })
            : readDeployment(bytes, MEDIA.deployment, { id, file: path });
      if (!read.ok) faults.push(`${path}: ${read.fault.message}`);
    }
  }
  expect(faults).toEqual([]);
  const deployments = new Array(4).fill('Deployment');
  expect(kinds.toSorted()).toEqual([...deployments, 'Fleet', 'Values']);
});
