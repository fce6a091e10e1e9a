/** Archives: what is read, what is written, and everything else, refused where it stands. */
import { describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { fault, ok, type Result, refused } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import { readTar, type TarEntry, writeTar } from '#wire/tar.ts';
import { writeHeader, writePax } from '#wire/tar-header.ts';
import { bytesOf, messageOf } from '../../support/wire-samples.ts';

const CAPS = { entries: 1_000, bytes: 1_000_000 };

/** Each entry as text, and the message of the refusal when there is one. */
function read(archive: Uint8Array, caps = CAPS, chunk = archive.length): string[] {
  const chunks: Result<Uint8Array>[] = [];
  for (let at = 0; at < archive.length; at += chunk) {
    chunks.push(ok(archive.subarray(at, at + chunk)));
  }
  const lines: string[] = [];
  for (const item of readTar(chunks, caps)) {
    if (!item.ok) lines.push(`${item.fault.code}: ${item.fault.message}`);
    else if (item.value.kind === 'data') lines.push(`data ${item.value.bytes.length}`);
    else
      lines.push(`${item.value.kind} ${item.value.path.join('/')} ${item.value.mode.toString(8)}`);
  }
  return lines;
}

const END = new Uint8Array(1_024);
const join512 = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
const padded = (bytes: Uint8Array) =>
  join512(bytes, new Uint8Array((512 - (bytes.length % 512)) % 512));
const head = (change: Partial<Parameters<typeof writeHeader>[0]> = {}) =>
  writeHeader({ type: '0', path: 'a', mode: 0o644, size: 0, ...change });

/** A header with bytes patched and its checksum made right again. */
function patched(offset: number, bytes: string, from = head()): Uint8Array {
  const block = Uint8Array.from(from);
  block.set(Buffer.from(bytes, 'latin1'), offset);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(bytesOf(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
  return block;
}

/** Raw bytes as the name, whatever they are. */
const named = (name: string | Uint8Array, type = '0') => {
  const block = patched(0, '\0', head({ type }));
  const bytes = typeof name === 'string' ? bytesOf(name) : name;
  return patched(0, Buffer.from(bytes).toString('latin1'), block);
};

const file = (path: string, text: string, mode = 0o644): TarEntry => ({
  path,
  mode,
  kind: 'file',
  bytes: bytesOf(text),
});

describe('archives that are read', () => {
  test('files and directories, in pieces of any size', () => {
    const archive = writeTar([
      file('b.txt', 'hello'),
      { path: 'a', mode: 0o750, kind: 'directory' },
      file('a/empty', '', 0o600),
    ]);
    const lines = ['directory a 750', 'file a/empty 600', 'file b.txt 644', 'data 5'];
    expect(read(archive)).toEqual(lines);
    for (const chunk of [512, 4_096]) expect(read(archive, CAPS, chunk)).toEqual(lines);
    for (const chunk of [1, 2, 511, 513]) {
      expect(read(archive, CAPS, chunk).slice(0, 3)).toEqual(lines.slice(0, 3));
      expect(contents(archive, chunk).get('b.txt')).toBe(sha256(bytesOf('hello')));
    }
  });

  test('directories that are left out come before what lies in them', () => {
    expect(read(writeTar([file('a/b/c', 'x'), file('a/d', 'y')]))).toEqual([
      'directory a 755',
      'directory a/b 755',
      'file a/b/c 644',
      'data 1',
      'file a/d 644',
      'data 1',
    ]);
  });

  test('a path too long for a header', () => {
    const path = `${'d'.repeat(200)}/${'e'.repeat(200)}`;
    expect(read(writeTar([file(path, 'x')])).at(1)).toBe(`file ${path} 644`);
  });

  test('an empty archive, and one padded to a whole record', () => {
    expect(read(END)).toEqual([]);
    expect(read(new Uint8Array(10_240))).toEqual([]);
  });

  test('any tree comes back with its content', () => {
    const name = fc
      .stringMatching(/^[a-z]{1,8}$/)
      .filter((text) => !/^(con|prn|aux|nul)$/.test(text));
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    const tree = fc.dictionary(path, fc.uint8Array({ maxLength: 1_500 }), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(tree, fc.integer({ min: 1, max: 2_000 }), (files, chunk) => {
        const paths = Object.keys(files);
        fc.pre(!paths.some((one) => paths.some((other) => other.startsWith(`${one}/`))));
        const entries = paths.map(
          (one): TarEntry => ({ path: one, mode: 0o640, kind: 'file', bytes: files[one]! }),
        );
        const archive = writeTar(entries);
        expect(writeTar(entries.toReversed())).toEqual(archive);
        expect(contents(archive, chunk)).toEqual(
          new Map(paths.map((one) => [one, sha256(files[one]!)])),
        );
      }),
    );
  });

  test('any bytes end in items or one refusal, which is the last', () => {
    const archive = writeTar([file('a/b', 'text'), file('c', 'more')]);
    fc.assert(
      fc.property(fc.nat(archive.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = Uint8Array.from(archive);
        changed[at] = byte;
        const lines = read(changed);
        expect(lines.slice(0, -1).some((line) => line.startsWith('format.'))).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});

describe('entries that are refused', () => {
  const long = 'x'.repeat(256);
  for (const [title, archive, reason] of [
    ['.. at the start (D01)', named('../x'), 'component'],
    ['.. in the middle (D01)', named('a/../../x'), 'component'],
    ['.. at the end (D01)', named('a/..', '5'), 'component'],
    ['an absolute name (D02)', named('/etc/passwd'), 'absolute'],
    ['a backslash (D03)', named('a\\b'), 'backslash'],
    ['a drive (D03)', named('C:\\x'), 'backslash'],
    ['a drive with slashes (D03)', named('C:/x'), 'reserved'],
    ['a symbolic link (D04)', head({ type: '2' }), 'symbolic links'],
    ['a hard link (D06)', head({ type: '1' }), 'hard links'],
    ['a character device (D08)', head({ type: '3' }), 'device'],
    ['a block device (D08)', head({ type: '4' }), 'device'],
    ['a fifo (D08)', head({ type: '6' }), 'fifos'],
    ['a socket, or another type (D08)', head({ type: 's' }), 'type "s"'],
    ['a contiguous file', head({ type: '7' }), 'type "7"'],
    ['a sparse file', head({ type: 'S' }), 'sparse'],
    ['setuid (D09)', head({ mode: 0o4755 }), 'setuid'],
    ['setgid (D09)', head({ mode: 0o2755 }), 'setuid'],
    ['sticky (D09)', head({ mode: 0o1777 }), 'setuid'],
    ['a setgid directory (D09)', head({ type: '5', mode: 0o2755 }), 'setuid'],
    ['file type bits in the mode', head({ mode: 0o100644 }), 'permission bits'],
    ['a whiteout (D13)', named('.wh.a'), 'whiteout'],
    ['an opaque whiteout below (D13)', named('a/.wh..wh..opq'), 'whiteout'],
    ['a line break (D17)', named('a\nb'), 'controls'],
    ['NUL inside a name (D17)', named('a\0b'), 'not UTF-8 text'],
    ['DEL (D17)', named('a\x7f'), 'controls'],
    ['a C1 control (D17)', named('a\u0085'), 'controls'],
    ['bad UTF-8', named(new Uint8Array([0x61, 0xff])), 'not UTF-8'],
    ['no name (D23)', named(''), 'empty'],
    ['a name of . (D23)', named('.'), 'component'],
    ['a directory ./ (D23)', named('./', '5'), 'component'],
    ['a name that starts with ./ (D23)', named('./a'), 'component'],
    ['two slashes (D23)', named('a//b'), 'component'],
    ['CON (D23)', named('CON'), 'reserved'],
    ['lpt1.txt in a directory (D23)', named('a/lpt1.txt'), 'reserved'],
    ['a file whose name ends in a slash', named('a/'), 'component'],
    ['a directory with content', head({ type: '5', size: 5 }), 'content'],
    [
      'a component of 256 bytes',
      join512(head({ type: 'x', size: writePax(long).length }), padded(writePax(long)), head()),
      '255 bytes',
    ],
    ['33 levels', named('a/'.repeat(32).concat('b')), 'levels'],
    ['a GNU long name', head({ type: 'L', size: 600 }), 'GNU long names'],
    ['a global extended header', head({ type: 'g', size: 10 }), 'global'],
    [
      'a name of 64 KiB by an extended header (B08)',
      head({ type: 'x', size: 65_600 }),
      'extended header of',
    ],
    ['a size in base 256', patched(124, '\x80\0\0\0\0\0\0\0\0\0\0\x05'), 'octal'],
    ['a negative size', patched(124, '-0000000005\0'), 'octal'],
    ['a mode that is text', patched(100, 'rw-r--r\0'), 'permission bits'],
    ['no magic', patched(257, '\0\0\0\0\0\0\0\0'), 'ustar'],
    ['fields of GNU', patched(345, '14000000000\0', patched(257, 'ustar  \0')), 'GNU'],
  ] as const) {
    test(title, () => {
      const lines = read(join512(archive, END));
      expect(lines).toHaveLength(1);
      expect(lines[0]).toStartWith('format.tar: ');
      expect(lines[0]).toContain(reason);
    });
  }

  test('a wrong checksum', () => {
    const block = head();
    block[0] = 0x62;
    expect(read(join512(block, END))[0]).toContain('checksum');
  });

  for (const [title, first, second, reason] of [
    ['the same name twice', 'a', 'a', 'twice'],
    ['names that differ in case (D11)', 'Plc.conf', 'plc.conf', 'case'],
    ['names that differ in composition (D11)', 'caf\u00e9', 'cafe\u0301', 'case or composition'],
    ['directories that differ in case (D11)', 'A/x', 'a/y', 'case'],
    ['a name below a file (D05)', 'a', 'a/b', 'below a file'],
    ['sharp s and its capitals (D11)', 'stra\u00dfe', 'STRASSE', 'case'],
  ] as const) {
    test(title, () => {
      const lines = read(join512(named(first), named(second), END));
      expect(lines.at(-1)).toContain(reason);
    });
  }

  test('a directory that comes after what lies in it', () => {
    expect(read(join512(named('a/b'), named('a/', '5'), END)).at(-1)).toContain('after what lies');
  });
});

describe('extended headers', () => {
  const pax = (records: string) => {
    const bytes = bytesOf(records);
    return read(join512(head({ type: 'x', size: bytes.length }), padded(bytes), head(), END));
  };
  test('path, times and owners are read or ignored', () => {
    expect(pax('12 path=x/y\n20 mtime=1234567890\n')).toEqual(['directory x 755', 'file x/y 644']);
  });
  for (const [title, records, reason] of [
    ['a capability (D09)', '34 SCHILY.xattr.security.capa=abc\n', 'key other than'],
    ['a link path (D06)', '17 linkpath=/etc\n', 'key other than'],
    ['a size', '9 size=9\n', 'key other than'],
    ['a length past the end', '99 path=x\n', 'broken record'],
    ['a length of zero', '0 path=x\n', 'broken record'],
    ['no length', 'path=x\n', 'broken record'],
    ['a path twice', '10 path=x\n10 path=y\n', 'twice'],
    ['a path with ..', '13 path=../x\n', 'component'],
    ['a path with NUL (D17)', '12 path=a\0b\n', 'controls'],
    ['an empty path', '8 path=\n', 'empty'],
  ] as const) {
    test(title, () => expect(pax(records).at(-1)).toContain(reason));
  }
  test('two in a row, or one that describes nothing', () => {
    const one = join512(head({ type: 'x', size: 10 }), padded(bytesOf('10 path=x\n')));
    expect(read(join512(one, one, head(), END))[0]).toContain('two extended headers');
    expect(read(join512(one, END))[0]).toContain('describes nothing');
  });
});

describe('bounds and ends', () => {
  test('a million empty files stop at the cap (B06)', () => {
    function* endless(): Generator<Result<Uint8Array>> {
      for (let count = 0; count < 1_000_000; count += 1) yield ok(head({ path: `f${count}` }));
    }
    let items = 0;
    for (const item of readTar(endless(), { entries: 50, bytes: 0 })) {
      items += 1;
      if (!item.ok) expect(item.fault.message).toContain('more than 50 entries');
    }
    expect(items).toBe(51);
  });

  test('implied directories count as entries', () => {
    expect(read(writeTar([file('a/b/c/d', '')]), { entries: 3, bytes: 0 }).at(-1)).toContain(
      '3 entries',
    );
  });

  test('more bytes than the cap are refused at the header, before any of them is read', () => {
    expect(read(join512(head({ size: 11 })), { entries: 1, bytes: 10 })).toEqual([
      'format.tar: archive entry "a": the archive has more than 10 bytes',
    ]);
  });

  for (const [title, archive, reason] of [
    ['nothing at all', new Uint8Array(), 'cut'],
    ['no end', head(), 'cut'],
    ['one block of zeros', join512(head(), new Uint8Array(512)), 'cut'],
    ['half a header', head().subarray(0, 300), 'cut'],
    ['content cut short', join512(head({ size: 600 }), new Uint8Array(550)), 'cut'],
    ['data after the end (D15)', join512(head(), END, bytesOf('x')), 'after the end'],
    ['a second archive appended (D15)', join512(head(), END, named('b'), END), 'after the end'],
    [
      'an entry after one block of zeros (D15)',
      join512(head(), new Uint8Array(512), named('b'), END),
      'after the end',
    ],
    [
      'two megabytes of zeros after the end',
      join512(END, new Uint8Array(2 * 1_048_576)),
      'after the end',
    ],
    [
      'padding with content',
      join512(head({ size: 1 }), bytesOf('xy'), new Uint8Array(510), END),
      'padding',
    ],
  ] as const) {
    test(title, () => expect(read(archive).at(-1)).toContain(reason));
  }

  test('a fault of the source is passed on, and the source is closed', () => {
    let closed = false;
    function* broken(): Generator<Result<Uint8Array>> {
      try {
        yield ok(head());
        yield refused(fault('format.gzip', { reason: 'cut' }));
        yield ok(END);
      } finally {
        closed = true;
      }
    }
    const results = [...readTar(broken(), CAPS)];
    expect(results.map((result) => messageOf(result))).toEqual([
      'ok',
      'the archive is not one whole gzip member: cut',
    ]);
    expect(closed).toBe(true);
  });
});

describe('other tools', () => {
  const tar = spawnSync('tar', ['--version']).status === 0;
  test.skipIf(!tar)(`GNU tar lists what is written${tar ? '' : ' (skipped: no tar)'}`, () => {
    const archive = writeTar([
      file('a/b', 'x'),
      file(`${'d'.repeat(150)}/${'e'.repeat(150)}`, 'y'),
    ]);
    const listed = spawnSync('tar', ['-t'], { input: archive });
    expect(listed.status).toBe(0);
    expect(listed.stdout.toString()).toContain('a/b\n');
  });

  test.skipIf(!tar)(
    `archives of GNU tar are read, its links refused${tar ? '' : ' (skipped: no tar)'}`,
    () => {
      const directory = mkdtempSync(join(tmpdir(), 'holdfast-tar-'));
      try {
        mkdirSync(join(directory, 'tree/sub'), { recursive: true });
        writeFileSync(join(directory, 'tree/sub/file'), 'hello', { mode: 0o600 });
        const make = (format: string, ...names: string[]) =>
          new Uint8Array(
            spawnSync('tar', [`--format=${format}`, '-C', join(directory, 'tree'), '-c', ...names])
              .stdout,
          );
        for (const format of ['ustar', 'posix', 'gnu']) {
          expect(read(make(format, 'sub')).slice(1)).toEqual(['file sub/file 600', 'data 5']);
        }
        symlinkSync('/etc', join(directory, 'tree/link'));
        expect(read(make('ustar', 'link')).at(-1)).toContain('symbolic links');
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  );
});

function contents(archive: Uint8Array, chunk: number): Map<string, string> {
  const chunks: Result<Uint8Array>[] = [];
  for (let at = 0; at < archive.length; at += chunk)
    chunks.push(ok(archive.subarray(at, at + chunk)));
  const files = new Map<string, Uint8Array[]>();
  let last: Uint8Array[] = [];
  for (const item of readTar(chunks, CAPS)) {
    if (!item.ok) throw new Error(item.fault.message);
    if (item.value.kind === 'data') last.push(item.value.bytes);
    if (item.value.kind !== 'file') continue;
    last = [];
    files.set(item.value.path.join('/'), last);
  }
  return new Map([...files].map(([path, parts]) => [path, sha256(Buffer.concat(parts))]));
}
