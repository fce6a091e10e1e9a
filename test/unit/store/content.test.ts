/** store/content.ts on real files: names, resumption, damage, sweeping. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import type { Files } from '#platform/files.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import { type ContentStore, contentStore } from '#store/content.ts';
import { codeOf, FLEET, point, scratch, storePlatform, value } from '../../support/store.ts';

let place: ReturnType<typeof scratch>;
let content: ContentStore;
const file = (digest: Digest, suffix: string) => `${place.path}/content/${hexOf(digest)}.${suffix}`;
const names = () => readdirSync(`${place.path}/content`).sort();
const bytes = Buffer.from('speed=2\n');
const digest = sha256(bytes);

beforeEach(() => {
  place = scratch('content');
  content = value(contentStore(storePlatform.files, place.path));
});
afterEach(() => {
  content.close();
  place.remove();
});

describe('a download becomes a blob only as what it was asked for', () => {
  test('in pieces, over a restart, with the bytes on disk hashed again', () => {
    const first = value(content.partial(digest));
    value(first.write(bytes.subarray(0, 3)));
    first.close();
    expect(content.hasBlob(digest, bytes.length)).toBe(false);

    const again = value(content.partial(digest));
    expect(again.size).toBe(3);
    value(again.write(bytes.subarray(3)));
    value(again.adopt(bytes.length));
    value(content.sync());
    expect(content.hasBlob(digest, bytes.length)).toBe(true);
    expect(content.hasBlob(digest, bytes.length + 1)).toBe(false);
    expect(Buffer.from(value(content.readBlob(digest, 100)))).toEqual(bytes);
    expect(names()).toEqual([`${hexOf(digest)}.blob`]);
  });

  test('D19: a part that was changed on disk is store.blob-mismatch and gone', () => {
    const first = value(content.partial(digest));
    value(first.write(bytes.subarray(0, 3)));
    first.close();
    writeFileSync(file(digest, 'part'), 'xxx');
    const again = value(content.partial(digest));
    value(again.write(bytes.subarray(3)));
    expect(codeOf(again.adopt(bytes.length))).toBe('store.blob-mismatch');
    expect(names()).toEqual([]);
  });

  test('C13: other bytes, and right bytes of another size, are store.blob-mismatch', () => {
    const part = value(content.partial(digest));
    value(part.write(Buffer.from('other')));
    expect(codeOf(part.adopt(5))).toBe('store.blob-mismatch');
    const right = value(content.partial(digest));
    value(right.write(bytes));
    expect(codeOf(right.adopt(bytes.length + 1))).toBe('store.blob-mismatch');
    expect(names()).toEqual([]);
  });

  test('a source that starts anew gets an empty part', () => {
    const part = value(content.partial(digest));
    value(part.write(Buffer.from('garbage')));
    value(part.restart());
    expect(part.size).toBe(0);
    value(part.write(bytes));
    value(part.adopt(bytes.length));
  });

  test('discard leaves nothing', () => {
    const part = value(content.partial(digest));
    value(part.write(bytes));
    value(part.discard());
    expect(names()).toEqual([]);
  });

  test('a link planted under its name is not followed', () => {
    const victim = `${place.path}/victim`;
    writeFileSync(victim, 'mine');
    symlinkSync(victim, file(digest, 'part'));
    expect(content.partial(digest).ok).toBe(false);
    symlinkSync(victim, file(digest, 'blob'));
    expect(content.hasBlob(digest, 4)).toBe(false);
    expect(content.readBlob(digest, 100).ok).toBe(false);
    expect(readFileSync(victim, 'utf8')).toBe('mine');
  });
});

describe('what is read is what the digest says', () => {
  test('a blob that rotted is store.blob-damaged, and can be dropped', () => {
    value(content.putBlob(digest, bytes));
    writeFileSync(file(digest, 'blob'), 'speed=3\n');
    expect(content.hasBlob(digest, bytes.length)).toBe(true);
    expect(codeOf(content.readBlob(digest, 100))).toBe('store.blob-damaged');
    value(content.dropBlob(digest));
    value(content.dropBlob(digest));
    expect(codeOf(content.readBlob(digest, 100))).toBe('store.blob-missing');
    expect(codeOf(content.openBlob(digest))).toBe('store.blob-missing');
  });

  test('bytes under a wrong digest are not put', () => {
    expect(codeOf(content.putBlob(digest, Buffer.from('x')))).toBe('store.blob-mismatch');
    expect(names()).toEqual([]);
  });
});

const statement = (text: string) => {
  const payload = Buffer.from(text);
  return {
    digest: sha256(payload),
    file: {
      envelope: { payloadType: 't', payload, signatures: [] },
      documents: Buffer.from('tar'),
      via: 'registry',
    } as const,
  };
};

describe('statements, rejections and roots survive the store', () => {
  test('they are read back by a new process', () => {
    const { digest: name, file: kept } = statement('state 1');
    const mark = {
      fleet: FLEET,
      channel: 'stable',
      row: { point: point(1), code: 'store.io', message: 'm', deployment: 'd' },
    } as const;
    value(content.putStatement(name, kept));
    value(content.markRejected(mark));
    value(content.putRoot(FLEET, Buffer.from('{}')));
    value(content.sync());
    const again = value(contentStore(storePlatform.files, place.path));
    expect(value(again.statements())).toEqual([name]);
    expect(Buffer.from(value(again.readStatement(name)).envelope.payload).toString()).toBe(
      'state 1',
    );
    expect(value(again.rejectedMarks())).toEqual([mark]);
    expect(Buffer.from(value(again.root(FLEET)) ?? []).toString()).toBe('{}');
    expect(value(again.root('ff'.repeat(16)))).toBeNull();
    again.close();
  });

  test('L07: every flipped bit of a statement file is refused', () => {
    const { digest: name, file: kept } = statement('state 1');
    value(content.putStatement(name, kept));
    const good = readFileSync(file(name, 'statement'));
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const flipped = Buffer.from(good);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(file(name, 'statement'), flipped);
      expect(codeOf(content.readStatement(name))).toBe('store.checksum');
    }
  });

  test('a statement under the name of another is refused', () => {
    const one = statement('state 1');
    const two = statement('state 2');
    value(content.putStatement(two.digest, two.file));
    writeFileSync(file(one.digest, 'statement'), readFileSync(file(two.digest, 'statement')));
    expect(codeOf(content.readStatement(one.digest))).toBe('store.checksum');
    value(content.putStatement(one.digest, two.file));
    expect(codeOf(content.readStatement(one.digest))).toBe('store.blob-damaged');
  });

  test('a damaged rejection does not hide the others', () => {
    const mark = (sequence: number) => ({
      fleet: FLEET,
      channel: 'stable',
      row: { point: point(sequence), code: 'store.io', message: '', deployment: '' } as const,
    });
    value(content.markRejected(mark(1)));
    value(content.markRejected(mark(2)));
    writeFileSync(file(point(1).stateDigest, 'rejected'), 'rot');
    expect(value(content.rejectedMarks())).toEqual([mark(2)]);
  });
});

describe('sweep', () => {
  test('keeps what is kept and removes the rest, left-overs included', () => {
    const keep = statement('keep');
    const drop = statement('drop');
    for (const { digest: name, file: kept } of [keep, drop]) {
      value(content.putStatement(name, kept));
      value(content.putBlob(name, kept.envelope.payload));
    }
    const cut = sha256(Buffer.from('cut'));
    for (const name of [cut, sha256(Buffer.from('cut and not wanted'))]) {
      value(content.partial(name)).close();
    }
    value(content.putRoot(FLEET, Buffer.from('{}')));
    writeFileSync(`${place.path}/content/x.blob.tmp`, '');
    writeFileSync(`${place.path}/content/stranger`, '');
    const kept = new Set([keep.digest, cut]);
    expect(value(content.sweep({ blobs: kept, statements: kept }))).toEqual({
      removed: 5,
      more: false,
    });
    const hex = hexOf(keep.digest);
    expect(names()).toEqual(
      [`${FLEET}.root`, `${hex}.blob`, `${hexOf(cut)}.part`, `${hex}.statement`].sort(),
    );
  });

  test('a download that was cut goes when the blob has come whole by another way', () => {
    const { digest: name, file: kept } = statement('pushed');
    value(content.partial(name)).close();
    const sweep = () => value(content.sweep({ blobs: new Set([name]), statements: new Set() }));
    expect(sweep().removed).toBe(0);
    value(content.putBlob(name, kept.envelope.payload));
    expect(sweep().removed).toBe(1);
    expect(names()).toEqual([`${hexOf(name)}.blob`]);
  });

  test('is bounded per call', () => {
    for (let at = 0; at < 300; at += 1) writeFileSync(`${place.path}/content/stray-${at}`, '');
    const none = { blobs: new Set<Digest>(), statements: new Set<Digest>() };
    expect(value(content.sweep(none))).toEqual({ removed: 256, more: true });
    expect(value(content.sweep(none))).toEqual({ removed: 44, more: false });
    expect(names()).toEqual([]);
  });
});

test('an acceptance with one new blob costs three fsyncs', () => {
  let syncs = 0;
  const counted = <T>(result: T): T => {
    syncs += 1;
    return result;
  };
  const counting: Files = {
    ...storePlatform.files,
    open(path, options) {
      const opened = storePlatform.files.open(path, options);
      if (!opened.ok) return opened;
      const inner = value(opened.value.directory('content', { create: 0o700 }));
      return {
        ok: true,
        value: {
          ...opened.value,
          directory: () => ({
            ok: true,
            value: {
              ...inner,
              sync: () => counted(inner.sync()),
              write: (name, data, mode) => counted(inner.write(name, data, mode)),
              rename: (from, to) => inner.rename(from, to),
              append(name, mode) {
                const writer = inner.append(name, mode);
                if (!writer.ok) return writer;
                const target = writer.value;
                return {
                  ok: true,
                  value: {
                    get size() {
                      return target.size;
                    },
                    write: (data) => target.write(data),
                    chmod: (bits) => target.chmod(bits),
                    chown: (uid, gid) => target.chown(uid, gid),
                    sync: () => counted(target.sync()),
                    close: () => target.close(),
                  },
                };
              },
            },
          }),
        },
      };
    },
  };
  const store = value(contentStore(counting, place.path));
  const part = value(store.partial(digest));
  value(part.write(bytes));
  value(part.adopt(bytes.length));
  const { digest: name, file: kept } = statement('state 1');
  value(store.putStatement(name, kept));
  value(store.sync());
  expect(syncs).toBe(3);
  store.close();
});
