/** The real file system behind src/platform/files.ts: links, names, modes, handles, faults. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import { systemFiles } from '#platform/node/files.ts';

const files = systemFiles();
const isRoot = process.getuid?.() === 0;
let root = '';
let handles = 0;

/** handles on files and directories; the runtime's own event handles come and go */
const openHandles = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(root) || root.startsWith(path);
    } catch {
      return false; // the handle of readdir itself
    }
  }).length;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.fault.code);
function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}
function within<T>(path: string, work: (directory: Directory) => T): T {
  const directory = must(files.open(path));
  try {
    return work(directory);
  } finally {
    directory.close();
  }
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-files-'));
  handles = openHandles();
});
afterEach(() => {
  const left = openHandles();
  rmSync(root, { recursive: true, force: true });
  expect(left).toBe(handles); // no case may leak a handle
});

describe('opening a directory by path', () => {
  test('a link as the last component is refused with platform.link', () => {
    mkdirSync(`${root}/real`);
    symlinkSync('real', `${root}/link`);
    expect(codeOf(files.open(`${root}/link`))).toBe('platform.link');
  });

  test('a link as an ancestor is refused with platform.link (D05)', () => {
    mkdirSync(`${root}/real/below`, { recursive: true });
    symlinkSync('real', `${root}/link`);
    expect(codeOf(files.open(`${root}/link/below`))).toBe('platform.link');
  });

  test('links in a path of the owner are followed when asked', () => {
    mkdirSync(`${root}/real/below`, { recursive: true });
    symlinkSync('real', `${root}/link`);
    const opened = must(files.open(`${root}/link/below`, { follow: true }));
    expect(opened.write('a', bytes('x'), 0o600)).toEqual({ ok: true, value: undefined });
    opened.close();
    expect(readFileSync(`${root}/real/below/a`, 'utf8')).toBe('x');
  });

  test('missing components are made with exactly the mode, whatever the umask', () => {
    must(files.open(`${root}/a/b/c`, { create: 0o777 })).close();
    for (const path of ['a', 'a/b', 'a/b/c']) {
      expect(statSync(`${root}/${path}`).mode & 0o7777).toBe(0o777);
    }
  });

  for (const [path, code] of [
    ['relative/path', 'platform.name'],
    ['/tmp/../etc', 'platform.name'],
    ['/tmp/a\0b', 'platform.name'],
    ['/nowhere-at-all/x', 'platform.missing'],
    ['/etc/passwd', 'platform.not-a-directory'],
  ] as const) {
    test(`${JSON.stringify(path)}: ${code}`, () => expect(codeOf(files.open(path))).toBe(code));
  }

  test('the root itself opens', () => within('/', (top) => expect(top.path).toBe('/')));

  test.skipIf(!isRoot)(
    'passing through needs no right to list (needs root to become another)',
    () => {
      mkdirSync(`${root}/closed/open`, { recursive: true });
      for (const [path, mode] of [
        ['', 0o755],
        ['/closed', 0o711],
        ['/closed/open', 0o755],
      ] as const) {
        chmodSync(`${root}${path}`, mode);
      }
      const program = `
      import { systemFiles } from '#platform/node/files.ts';
      process.setgid(65534); process.setuid(65534);
      const opened = systemFiles().open('${root}/closed/open');
      const refused = systemFiles().open('${root}/closed');
      console.log(opened.ok, refused.ok || refused.fault.code);`;
      const script = join(import.meta.dir, `../../../.probe-${process.pid}.ts`);
      writeFileSync(script, program);
      try {
        expect(execFileSync(process.execPath, [script], { encoding: 'utf8' }).trim()).toBe(
          'true platform.denied',
        );
      } finally {
        rmSync(script);
      }
    },
  );
});

describe('names given to a handle are one component', () => {
  for (const name of ['', '.', '..', 'a/b', '/etc', '../x', 'a\0b']) {
    test(`${JSON.stringify(name)} is refused by every operation`, () => {
      within(root, (directory) => {
        const results = [
          directory.stat(name),
          directory.read(name, 10),
          directory.create(name, 0o600),
          directory.append(name, 0o600),
          directory.openFile(name),
          directory.write(name, bytes('x'), 0o600),
          directory.symlink(name, 'x'),
          directory.readLink(name),
          directory.rename(name, 'x'),
          directory.rename('x', name),
          directory.unlink(name),
          directory.removeDirectory(name),
          directory.removeTree(name),
          directory.chmod(name, 0o600),
          directory.chown(name, 0, 0),
          directory.syncEntry(name),
          directory.directory(name, { create: 0o700 }),
        ];
        for (const result of results) expect(codeOf(result)).toBe('platform.name');
      });
    });
  }

  test('a name longer than 255 bytes is platform.name', () => {
    within(root, (directory) =>
      expect(codeOf(directory.write('x'.repeat(256), bytes(''), 0o600))).toBe('platform.name'),
    );
  });
});

describe('an open handle', () => {
  test('keeps its directory when the path is replaced by a link (D18)', () => {
    mkdirSync(`${root}/target`);
    mkdirSync(`${root}/elsewhere`);
    within(`${root}/target`, (target) => {
      execFileSync('mv', [`${root}/target`, `${root}/moved`]);
      symlinkSync('elsewhere', `${root}/target`);
      must(target.write('file', bytes('x'), 0o644));
    });
    expect(existsSync(`${root}/moved/file`)).toBe(true);
    expect(readdirSync(`${root}/elsewhere`)).toEqual([]);
  });

  test('stops the agent when it is used after close', () => {
    const directory = must(files.open(root));
    directory.close();
    directory.close();
    expect(() => directory.stat('x')).toThrow('after close');
  });
});

describe('files', () => {
  test('create refuses what is there, also a dangling link', () => {
    symlinkSync('/nowhere', `${root}/dangling`);
    writeFileSync(`${root}/file`, '');
    within(root, (directory) => {
      expect(codeOf(directory.create('file', 0o600))).toBe('platform.exists');
      expect(codeOf(directory.create('dangling', 0o600))).toBe('platform.exists');
    });
  });

  test('read, append, openFile do not follow a link (D04)', () => {
    writeFileSync(`${root}/secret`, 'secret');
    symlinkSync('secret', `${root}/link`);
    within(root, (directory) => {
      expect(codeOf(directory.read('link', 100))).toBe('platform.link');
      expect(codeOf(directory.append('link', 0o600))).toBe('platform.link');
      expect(codeOf(directory.openFile('link'))).toBe('platform.link');
      expect(codeOf(directory.syncEntry('link'))).toBe('platform.link');
    });
    expect(readFileSync(`${root}/secret`, 'utf8')).toBe('secret');
  });

  test('a FIFO under a file name is refused at once (D08)', () => {
    execFileSync('mkfifo', [`${root}/pipe`]);
    within(root, (directory) => {
      expect(codeOf(directory.read('pipe', 100))).toBe('platform.not-a-file');
      expect(codeOf(directory.openFile('pipe'))).toBe('platform.not-a-file');
      expect(codeOf(directory.append('pipe', 0o600))).not.toBe('ok');
      expect(codeOf(directory.chmod('pipe', 0o600))).toBe('platform.not-a-file');
    });
    expect(codeOf(files.readFile(`${root}/pipe`, 100))).toBe('platform.not-a-file');
  });

  test('the cap is exact', () => {
    writeFileSync(`${root}/ten`, '0123456789');
    within(root, (directory) => {
      expect(must(directory.read('ten', 10)).length).toBe(10);
      expect(codeOf(directory.read('ten', 9))).toBe('platform.too-large');
    });
    expect(codeOf(files.readFile('/proc/self/maps', 16))).toBe('platform.too-large');
    expect(must(files.readFile('/proc/self/stat', 10_000)).length).toBeGreaterThan(10);
  });

  test('modes are exact, whatever the umask', () => {
    within(root, (directory) => {
      must(directory.write('a', bytes('x'), 0o666));
      must(directory.create('b', 0o777)).close();
      must(directory.append('c', 0o662)).close();
      expect(must(directory.stat('a'))?.mode).toBe(0o666);
      expect(must(directory.stat('b'))?.mode).toBe(0o777);
      expect(must(directory.stat('c'))?.mode).toBe(0o662);
    });
  });

  test('append goes on at the end and counts from the size it found', () => {
    writeFileSync(`${root}/log`, 'one');
    within(root, (directory) => {
      const writer = must(directory.append('log', 0o600));
      expect(writer.size).toBe(3);
      must(writer.write(bytes('two')));
      expect(writer.size).toBe(6);
      must(writer.sync());
      writer.close();
      writer.close();
    });
    expect(readFileSync(`${root}/log`, 'utf8')).toBe('onetwo');
  });

  test('a reader gives ranges, and nothing past the end', () => {
    writeFileSync(`${root}/file`, '0123456789');
    within(root, (directory) => {
      const reader = must(directory.openFile('file'));
      const at = (offset: number, count: number): string =>
        new TextDecoder().decode(must(reader.read(offset, count)));
      expect(reader.size).toBe(10);
      expect([at(0, 4), at(8, 4), at(10, 4), at(99, 1)]).toEqual(['0123', '89', '', '']);
      reader.close();
    });
  });

  test.skipIf(!isRoot)(
    'a full disk is platform.no-space and leaves no half file (needs mount)',
    () => {
      const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', root]);
      expect(mounted.status).toBe(0);
      try {
        within(root, (directory) => {
          const full = directory.write('big', new Uint8Array(128 * 1024), 0o600);
          expect(codeOf(full)).toBe('platform.no-space');
          expect(must(directory.list())).toEqual([]);
          expect(must(directory.freeSpace()).bytes).toBe(64 * 1024);
        });
        spawnSync('mount', ['-o', 'remount,ro', root]);
        within(root, (directory) =>
          expect(codeOf(directory.write('x', bytes('x'), 0o600))).toBe('platform.read-only'),
        );
      } finally {
        spawnSync('umount', [root]);
      }
    },
  );
});

describe('entries', () => {
  test('stat tells kinds without following, and null for nothing', () => {
    mkdirSync(`${root}/directory`);
    writeFileSync(`${root}/file`, 'abc');
    symlinkSync('file', `${root}/link`);
    execFileSync('mkfifo', [`${root}/pipe`]);
    within(root, (directory) => {
      const kind = (name: string) => must(directory.stat(name))?.kind ?? null;
      expect(['directory', 'file', 'link', 'pipe', 'nothing'].map(kind)).toEqual([
        'directory',
        'file',
        'link',
        'other',
        null,
      ]);
      expect(must(directory.stat('file'))?.size).toBe(3);
      expect(must(directory.list())).toEqual(['directory', 'file', 'link', 'pipe']);
    });
  });

  test('rename replaces a file, moves into another directory, and refuses a directory in the way', () => {
    mkdirSync(`${root}/to/occupied`, { recursive: true });
    writeFileSync(`${root}/from`, 'new');
    writeFileSync(`${root}/to/old`, 'old');
    within(root, (directory) => {
      const to = must(directory.directory('to'));
      expect(codeOf(directory.rename('from', 'occupied', to))).toBe('platform.not-a-file');
      must(directory.rename('from', 'old', to));
      expect(codeOf(directory.rename('from', 'old', to))).toBe('platform.missing');
      to.close();
    });
    expect(readFileSync(`${root}/to/old`, 'utf8')).toBe('new');
  });

  test('a link is switched by rename and read back as written', () => {
    within(root, (directory) => {
      must(directory.symlink('current', 'generation-1'));
      must(directory.symlink('.next', 'generation-2'));
      must(directory.rename('.next', 'current'));
      expect(must(directory.readLink('current'))).toBe('generation-2');
    });
  });

  test('chmod and chown reach the file itself, never what a link points to', () => {
    writeFileSync(`${root}/file`, '', { mode: 0o600 });
    symlinkSync('file', `${root}/link`);
    within(root, (directory) => {
      expect(codeOf(directory.chmod('link', 0o777))).toBe('platform.link');
      expect(codeOf(directory.chown('link', 1, 1))).toBe('platform.link');
      must(directory.chmod('file', 0o640));
      expect(must(directory.stat('file'))?.mode).toBe(0o640);
      if (isRoot) {
        must(directory.chown('file', 1, 2));
        expect(must(directory.stat('file'))).toMatchObject({ uid: 1, gid: 2 });
      }
    });
  });
});

describe('the canonical path', () => {
  test('links are resolved, what is missing keeps its name', () => {
    mkdirSync(`${root}/real`);
    symlinkSync('real', `${root}/link`);
    expect(files.realPath(`${root}/link/new/file`)).toEqual({
      ok: true,
      value: `${root}/real/new/file`,
    });
  });

  test('a dangling link counts as what it points to', () => {
    symlinkSync('/etc/holdfast-of-tomorrow', `${root}/link`);
    expect(readlinkSync(`${root}/link`)).toBe('/etc/holdfast-of-tomorrow');
    expect(must(files.realPath(`${root}/link/agent.yaml`))).toBe(
      '/etc/holdfast-of-tomorrow/agent.yaml',
    );
  });

  test('a loop of links is platform.link', () => {
    symlinkSync('b', `${root}/a`);
    symlinkSync('a', `${root}/b`);
    expect(codeOf(files.realPath(`${root}/a`))).toBe('platform.link');
  });
});
