/**
 * The compiled executable as it lies on a device: what it says, what it needs, and that nothing
 * around it (files, environment, temporary directories) changes what it does.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readElf, tooNew } from '../../scripts/elf.ts';
import { executable, isRoot, program } from '../support/parts.ts';

const here = executable();
const arm64 = executable('linux-arm64');
const qemu = program('qemu-aarch64-static');
const sysroot = '/usr/aarch64-linux-gnu';

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs with exactly this environment. */
function ends(command: readonly string[], env: Record<string, string> = {}, cwd = '/'): Ended {
  const [file = '', ...rest] = command;
  const ran = spawnSync(file, rest, { env, cwd, encoding: 'utf8', timeout: 60_000 });
  return { code: ran.status, out: ran.stdout, err: ran.stderr };
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-executable-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A new folder inside this run's own. */
function fresh(name: string): string {
  return mkdtempSync(join(folder, `${name}-`));
}

const built = here === null ? test.skip : test;
const title = (what: string) => (here === null ? `${what} (not built: npm run build)` : what);
const VERSION =
  /^holdfast \d+\.\d+\.\d+ \(commit [0-9a-z+]+, linux-\w+, bun [\d.]+, lmdb [\d.]+\/[\d.]+\)\n$/;

describe('the executable', () => {
  built(title('says what it is, with an empty environment and nothing beside it'), () => {
    const ran = ends([here ?? '', '--version'], {}, fresh('empty'));
    expect(ran).toEqual({ code: 0, out: expect.stringMatching(VERSION), err: '' });
  });

  built(title('has a bill of materials and notices beside it, of these very bytes'), () => {
    const { metadata, components } = JSON.parse(readFileSync(`${here}.cdx.json`, 'utf8'));
    const sha256 = createHash('sha256')
      .update(readFileSync(here ?? ''))
      .digest('hex');
    expect(metadata.component.hashes).toEqual([{ alg: 'SHA-256', content: sha256 }]);
    const names = components.map(({ name }: { name: string }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['bun', 'lmdb', 'liblmdb', 'libc++', 'mqtt', 'yaml']),
    );
    expect(names).not.toContain('typescript');
    const notices = readFileSync(`${here}.notices.txt`, 'utf8');
    for (const { name, version } of components) expect(notices).toContain(`\n${name} ${version}: `);
  });

  built(title('asks for glibc 2.17 at most and no C++ library'), () => {
    expect(tooNew(readElf(here ?? ''), '2.17')).toEqual([]);
  });

  built(title('ends with 2 on a command line that it does not know'), () => {
    const ran = ends([here ?? '', 'no-such-command']);
    expect(ran.code).toBe(2);
    expect(ran.err).toContain('no-such-command');
  });

  built(title('leaves nothing behind where it puts its native code'), () => {
    const directory = fresh('tmp');
    ends([here ?? '', 'self-test'], { BUN_TMPDIR: directory, TMPDIR: directory });
    expect(readdirSync(directory)).toEqual([]);
  });
});

/** Each of these, if read, would leave the file `ran` behind. */
function hostileFolder(): string {
  const hostile = fresh('hostile');
  const says = `require('node:fs').writeFileSync(${JSON.stringify(join(hostile, 'ran'))}, '');`;
  const put = (path: string, text: string) => {
    mkdirSync(join(hostile, path, '..'), { recursive: true });
    writeFileSync(join(hostile, path), text);
  };
  put('evil.js', says);
  put('.env', 'BUN_OPTIONS=--preload ./evil.js\nHOLDFAST_EVIL=1\n');
  put('.env.production', 'NODE_TLS_REJECT_UNAUTHORIZED=0\n');
  put('bunfig.toml', 'preload = ["./evil.js"]\n');
  put('tsconfig.json', '{ "compilerOptions": { "paths": { "*": ["./evil.js"] } } }');
  put(
    'package.json',
    '{ "name": "holdfast", "imports": { "#*": "./evil.js" }, "main": "evil.js" }',
  );
  put('node_modules/lmdb/package.json', '{ "name": "lmdb", "main": "../../evil.js" }');
  put('node_modules/commander/index.js', says);
  for (const machine of ['x64', 'arm64'])
    put(`prebuilds/linux-${machine}/node.napi.node`, 'garbage');
  put('build/Release/lmdb.node', 'garbage');
  return hostile;
}

describe('L01: files in the working directory and beside the executable are not read', () => {
  for (const command of ['--version', 'self-test']) {
    built(title(command), () => {
      const hostile = hostileFolder();
      const clean = ends([here ?? '', command], {}, fresh('clean'));
      const ran = ends([here ?? '', command], {}, hostile);
      expect({ ...ran, out: '' }).toEqual({ ...clean, out: '' });
      expect(existsSync(join(hostile, 'ran'))).toBe(false);
    });
  }

  built(title('beside the executable'), () => {
    const hostile = hostileFolder();
    const copy = join(hostile, 'holdfast');
    expect(ends([program('cp') ?? 'cp', here ?? '', copy]).code).toBe(0);
    expect(ends([copy, '--version'], {}, hostile).out).toMatch(VERSION);
    expect(existsSync(join(hostile, 'ran'))).toBe(false);
  });
});

describe('L02: an environment that would change the program is refused with config.environment', () => {
  for (const [name, value] of [
    ['BUN_OPTIONS', '--preload ./evil.js'],
    ['BUN_OPTIONS', '--smol'],
    ['BUN_OPTIONS', ''],
    ['BUN_BE_BUN', '1'],
    ['BUN_BE_BUN', '0'],
    ['NODE_TLS_REJECT_UNAUTHORIZED', '0'],
  ] as const) {
    built(title(`${name}=${value}`), () => {
      const hostile = hostileFolder();
      const ran = ends([here ?? '', '--version'], { [name]: value }, hostile);
      expect(ran.code).toBe(2);
      expect(ran.out).toBe('');
      expect(ran.err).toContain('config.environment');
      expect(ran.err).toContain(name);
      expect(existsSync(join(hostile, 'ran'))).toBe(false);
    });
  }

  built(title('BUN_BE_BUN with a script as argument runs no script'), () => {
    const hostile = hostileFolder();
    const ran = ends([here ?? '', join(hostile, 'evil.js')], { BUN_BE_BUN: '1' }, hostile);
    expect(ran.code).toBe(2);
    expect(existsSync(join(hostile, 'ran'))).toBe(false);
  });
});

/** `self-test` commits to a store of its own: it needs the native addon. */
describe('L04: temporary directories that cannot hold programs', () => {
  const mounts = isRoot && program('mount') !== null && here !== null;
  const why = mounts ? '' : ' (needs root and the executable)';

  (mounts ? test : test.skip)(`a noexec or read-only TMPDIR is passed over${why}`, () => {
    for (const options of ['noexec', 'ro']) {
      const directory = fresh(options);
      const mounted = ends(['/bin/mount', '-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
      if (mounted.code !== 0) throw new Error(mounted.err);
      try {
        const env = { BUN_TMPDIR: directory, TMPDIR: directory };
        const ran = ends([here ?? '', 'self-test', '--directory', folder], env);
        expect(ran).toMatchObject({ code: 0, err: '' });
      } finally {
        ends(['/bin/umount', directory]);
      }
    }
  });

  (mounts ? test : test.skip)(`platform.addon when no directory can${why}`, () => {
    const noexec = ['/run', '/tmp', '/dev/shm', '/var/tmp'].map(
      (path) => `mount -t tmpfs -o noexec tmpfs ${path}`,
    );
    const copy = join('/opt', `holdfast-executable-${process.pid}`);
    expect(ends(['/bin/cp', here ?? '', copy]).code).toBe(0);
    try {
      const script = [...noexec, `exec ${copy} self-test`].join(' && ');
      const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
      const ran = ends(['/usr/bin/unshare', '--mount', '/bin/sh', '-c', script], env);
      expect(ran.code).toBe(2);
      expect(ran.err).toContain('platform.addon');
      expect(ran.err).toContain('/dev/shm');
      expect(ran.err).toContain('BUN_TMPDIR');
    } finally {
      rmSync(copy, { force: true });
    }
  });

  built(title('a file planted under the name that Bun would use is not loaded'), () => {
    const directory = fresh('planted');
    chmodSync(directory, 0o777);
    for (const name of ['lmdb.node', 'addon.node', '.lmdb.node']) {
      writeFileSync(join(directory, name), 'planted');
    }
    const env = { BUN_TMPDIR: directory, TMPDIR: directory };
    expect(ends([here ?? '', 'self-test'], env)).toMatchObject({ code: 0 });
    expect(readdirSync(directory).sort()).toEqual(['.lmdb.node', 'addon.node', 'lmdb.node']);
  });
});

describe('the arm64 executable on the oldest CPU that gateways have', () => {
  const possible = arm64 !== null && qemu !== null && existsSync(sysroot);
  const why = possible
    ? ''
    : ' (needs dist/holdfast-linux-arm64, qemu-user-static, libc6-arm64-cross)';
  const onArm64 = possible ? test : test.skip;
  const emulated = [qemu ?? '', '-cpu', 'cortex-a53', '-L', sysroot, arm64 ?? ''];

  onArm64(`asks for glibc 2.17 at most${why}`, () => {
    const elf = readElf(arm64 ?? '');
    expect(elf.machine).toBe('aarch64');
    expect(tooNew(elf, '2.17')).toEqual([]);
  });

  onArm64(`says what it is${why}`, () => {
    const ran = ends([...emulated, '--version'], {}, fresh('arm64'));
    expect(ran).toEqual({ code: 0, out: expect.stringMatching(VERSION), err: '' });
    expect(ran.out).toContain('linux-arm64');
  });

  // With -L, qemu takes `/` for the sysroot: a root of its own is the honest way.
  const rooted = possible && isRoot && program('unshare') !== null;
  const whyRooted = rooted ? '' : ' (needs root, and what the others need)';

  (rooted ? test : test.skip)(
    `passes its own self-test on a root with glibc alone${whyRooted}`,
    () => {
      const root = fresh('root');
      for (const path of ['proc', 'dev', 'tmp', 'lib']) mkdirSync(join(root, path));
      const script = [
        `cp ${sysroot}/lib/*.so* ${root}/lib`,
        `cp ${qemu} ${root}/qemu`,
        `cp ${arm64} ${root}/holdfast`,
        `mount --bind /proc ${root}/proc`,
        `mount --bind /dev ${root}/dev`,
        `exec chroot ${root} /qemu -cpu cortex-a53 /holdfast self-test`,
      ].join(' && ');
      const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
      const ran = ends(['/usr/bin/unshare', '--mount', '/bin/sh', '-c', script], env);
      expect(ran).toMatchObject({ code: 0, err: '' });
      expect(ran.out.match(/^ok /gm)?.length).toBeGreaterThan(5);
      expect(readdirSync(join(root, 'tmp'))).toEqual([]);
    },
  );
});
