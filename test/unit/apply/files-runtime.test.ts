/** The runtime `files`: single files and directory targets. */
import { describe, expect, test } from 'bun:test';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { filesRuntime } from '#apply/runtimes/files.ts';
import { systemFiles } from '#platform/node/files.ts';
import { file } from '../../contract/runtime-world.ts';
import { isRoot } from '../../support/parts.ts';
import { codeOf, value } from '../../support/store.ts';
import { cuttingFiles } from './cutting-files.ts';
import { filesWorld, OTHER, SITE } from './files-world.ts';

const { world, at, text, fresh, files, conf, site } = filesWorld();

describe('a single file', () => {
  test('costs two fsyncs to replace: the sibling and its directory', async () => {
    const counted = cuttingFiles(systemFiles());
    const runtime = filesRuntime({ ...world().options, files: counted.files });
    value(await runtime.activate(conf('speed=1'), null));
    counted.reset();
    const next = conf('speed=2');
    value(await runtime.prepare(next));
    value(await runtime.activate(next, conf('speed=1')));
    expect(text('plc.conf')).toBe('speed=2');
    expect(counted.syncs()).toBe(2);
  });

  test('in force already, activating writes nothing', async () => {
    const counted = cuttingFiles(systemFiles());
    const runtime = filesRuntime({ ...world().options, files: counted.files });
    value(await runtime.activate(conf('speed=1'), null));
    counted.reset();
    value(await runtime.activate(conf('speed=1'), conf('speed=1')));
    expect(counted.calls()).toBe(0);
  });

  test('gets the mode of its document, whatever the umask', async () => {
    value(await fresh().activate(conf('speed=1', { mode: 0o666 }), null));
    expect(statSync(at('plc.conf')).mode & 0o7777).toBe(0o666);
    chmodSync(at('plc.conf'), 0o600);
    const [deviation] = value(await fresh().inspect(conf('speed=1', { mode: 0o666 }), 'stat'));
    expect(deviation).toEqual({ what: at('plc.conf'), found: 'mode 0600 instead of 0666' });
  });

  test.if(isRoot)('gets its owner by name; an unknown one is refused before anything', async () => {
    const owned = conf('speed=1', { owner: { user: 'nobody', group: null } });
    value(await fresh().activate(owned, null));
    expect(statSync(at('plc.conf')).uid).toBe(65_534);
    const unknown = conf('speed=2', { owner: { user: 'no-such-user', group: null } });
    expect(codeOf(await fresh().prepare(unknown))).toBe('platform.no-user');
  });

  test('once: written when absent, then the device’s own', async () => {
    const once = { once: true };
    value(await fresh().activate(conf('speed=1', once), null));
    expect(text('plc.conf')).toBe('speed=1');
    writeFileSync(at('plc.conf'), 'tuned');
    value(await fresh().activate(conf('speed=2', once), conf('speed=1', once)));
    expect(text('plc.conf')).toBe('tuned');
    expect(value(await fresh().inspect(conf('speed=2', once), 'hash'))).toEqual([]);
    value(await fresh().deactivate(conf('speed=2', once)));
    expect(text('plc.conf')).toBe('tuned');
  });

  test('once, and never edited: a removal takes it away', async () => {
    value(await fresh().activate(conf('speed=1', { once: true }), null));
    value(await fresh().deactivate(conf('speed=1', { once: true })));
    expect(existsSync(at('plc.conf'))).toBe(false);
  });

  test('what stood there comes back with its mode, also when its bytes were the same', async () => {
    writeFileSync(at('plc.conf'), 'speed=1', { mode: 0o604 });
    chmodSync(at('plc.conf'), 0o604);
    value(await fresh().activate(conf('speed=1'), null));
    expect(statSync(at('plc.conf')).mode & 0o777).toBe(0o644);
    value(await fresh().activate(conf('speed=2'), conf('speed=1')));
    value(await fresh().deactivate(conf('speed=2')));
    expect(text('plc.conf')).toBe('speed=1');
    expect(statSync(at('plc.conf')).mode & 0o777).toBe(0o604);
  });

  test('a link that stood there comes back as a link', async () => {
    symlinkSync('/etc/hostname', at('plc.conf'));
    value(await fresh().activate(conf('speed=1'), null));
    expect(text('plc.conf')).toBe('speed=1');
    value(await fresh().deactivate(conf('speed=1')));
    expect(readlinkSync(at('plc.conf'))).toBe('/etc/hostname');
  });

  test('a directory in its place is refused before anything', async () => {
    mkdirSync(at('plc.conf'));
    expect(codeOf(await fresh().prepare(conf('speed=1')))).toBe('apply.target-occupied');
  });

  test('D19: a sibling that was swapped after it was staged is written anew', async () => {
    value(await fresh().prepare(conf('speed=1')));
    const [sibling = ''] = readdirSync(at('')).filter((name) => name.endsWith('.tmp'));
    writeFileSync(at(sibling), 'spded=9');
    value(await fresh().activate(conf('speed=1'), null));
    expect(text('plc.conf')).toBe('speed=1');
  });

  test('parents that are missing are made, and taken away with the last of it', async () => {
    const deep = files({ conf: 'x' }, [file(at('a/b/plc.conf'), 'conf')]);
    value(await fresh().activate(deep, null));
    expect(statSync(at('a')).mode & 0o777).toBe(0o755);
    value(await fresh().deactivate(deep));
    value(await fresh().sweep('line', new Set()));
    expect(readdirSync(at(''))).toEqual([]);
  });

  test('of a parent that was made, what somebody else put there stays', async () => {
    const deep = files({ conf: 'x' }, [file(at('a/b/plc.conf'), 'conf')]);
    value(await fresh().activate(deep, null));
    writeFileSync(at('a/mine'), '');
    value(await fresh().deactivate(deep));
    value(await fresh().sweep('line', new Set()));
    expect(readdirSync(at('a'))).toEqual(['mine']);
  });
});

describe('a directory target', () => {
  test('is a relative link that is switched, its tree as in the archive', async () => {
    value(await fresh().activate(site(SITE), null));
    expect(readlinkSync(at('site'))).toStartWith('.holdfast/line/');
    expect(text('site/index.html')).toBe('one');
    expect(statSync(at('site/sub')).mode & 0o777).toBe(0o750);
    expect(statSync(at('site/sub/run.sh')).mode & 0o777).toBe(0o755);
    value(await fresh().activate(site(OTHER), site(SITE)));
    expect(readdirSync(at('site'))).toEqual(['index.html']);
    expect(text('site/index.html')).toBe('two');
  });

  test('D22: the link never dangles, whatever was swept meanwhile', async () => {
    value(await fresh().activate(site(SITE), null));
    value(await fresh().prepare(site(OTHER)));
    value(await fresh().sweep('line', new Set()));
    expect(text('site/index.html')).toBe('one');
    value(await fresh().activate(site(OTHER), site(SITE)));
    expect(text('site/index.html')).toBe('two');
  });

  test('a real directory becomes a link only with adopt, and comes back as it was', async () => {
    mkdirSync(at('site'));
    writeFileSync(at('site/mine'), 'by hand');
    expect(codeOf(await fresh().prepare(site(SITE)))).toBe('apply.target-occupied');
    const adopting = site(SITE, { adopt: true });
    value(await fresh().prepare(adopting));
    expect(text('site/mine')).toBe('by hand');
    value(await fresh().activate(adopting, null));
    expect(lstatSync(at('site')).isSymbolicLink()).toBe(true);
    value(await fresh().deactivate(adopting));
    expect(lstatSync(at('site')).isDirectory()).toBe(true);
    expect(text('site/mine')).toBe('by hand');
  });

  test('the same tree in a new generation is not switched', async () => {
    const both = (speed: string) =>
      files({ site: SITE, conf: speed }, [file(at('site'), 'site'), file(at('plc.conf'), 'conf')]);
    const runtime = fresh();
    value(await runtime.activate(both('1'), null));
    const link = readlinkSync(at('site'));
    value(await runtime.activate(both('2'), both('1')));
    expect(text('plc.conf')).toBe('2');
    expect(readlinkSync(at('site'))).toBe(link);
    // Its generation is not to be kept any more; what the link points into stays.
    value(await runtime.sweep('line', new Set([both('2').digest])));
    expect(text('site/index.html')).toBe('one');
  });

  for (const [what, spoil] of [
    ['another byte', () => writeFileSync(at('site/index.html'), 'oNe')],
    ['another mode', () => chmodSync(at('site/sub/run.sh'), 0o700)],
    ['an additional file', () => writeFileSync(at('site/sub/extra'), '')],
    ['a missing file', () => rmSync(at('site/index.html'))],
    [
      'a link in the place of a directory',
      () => {
        renameSync(at('site/sub'), at('elsewhere'));
        symlinkSync(at('elsewhere'), at('site/sub'));
      },
    ],
    [
      'a link in the place of a file',
      () => {
        rmSync(at('site/index.html'));
        symlinkSync('/etc/passwd', at('site/index.html'));
      },
    ],
  ] as const) {
    test(`drift: ${what} is seen by stat and by hash, and repaired`, async () => {
      const runtime = fresh();
      value(await runtime.activate(site(SITE), null));
      expect(value(await runtime.inspect(site(SITE), 'stat'))).toEqual([]);
      spoil();
      expect(value(await runtime.inspect(site(SITE), 'stat'))).toHaveLength(1);
      expect(value(await fresh().inspect(site(SITE), 'hash'))).toHaveLength(1);
      value(await runtime.activate(site(SITE), site(SITE)));
      expect(value(await fresh().inspect(site(SITE), 'hash'))).toEqual([]);
      expect(text('site/index.html')).toBe('one');
    });
  }
});
