/** hub/names.ts: what a path may name. */
import { describe, expect, test } from 'bun:test';
import { directoryOf, isRepository, isTag, routeOf } from '#hub/names.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('C18: repository names', () => {
  for (const name of ['a', 'plant/state', 'a-b/c_d/e.f', 'a__b', 'a---b', '0/1', 'x'.repeat(200)]) {
    test(`${name.slice(0, 30)} is one`, () => expect(isRepository(name)).toBe(true));
  }
  for (const name of [
    '',
    '.',
    '..',
    'a/../b',
    '/a',
    'a/',
    'a//b',
    'A',
    'a..b',
    'a___b',
    '-a',
    'a-',
    'a_',
    'a~b',
    'a%2fb',
    'a\\b',
    'a b',
    'a\0b',
    'a\r\nb',
    'ä',
    'x'.repeat(201),
  ]) {
    test(`${JSON.stringify(name).slice(0, 30)} is none`, () =>
      expect(isRepository(name)).toBe(false));
  }

  test('P11: a name made to be slow is answered at once', () => {
    const started = performance.now();
    expect(isRepository(`${'a-'.repeat(99)}A`)).toBe(false);
    expect(isRepository(`${'a_'.repeat(50_000)}A`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(200);
  });

  test('no two share a directory', () => {
    expect(directoryOf('a/b')).toBe('a~b');
    expect(isRepository('a~b')).toBe(false);
  });
});

describe('tags', () => {
  for (const tag of ['stable', 'v1.2-x_y', '_a', 'stable_1_57', 'A', 'a'.repeat(128)]) {
    test(`${tag.slice(0, 20)} is one`, () => expect(isTag(tag)).toBe(true));
  }
  for (const tag of ['', '.a', '-a', 'a/b', 'a:b', 'a b', 'a\n', '..', 'a'.repeat(129)]) {
    test(`${JSON.stringify(tag).slice(0, 20)} is none`, () => expect(isTag(tag)).toBe(false));
  }
});

describe('routes', () => {
  for (const [path, route] of [
    ['/v2/', { kind: 'base' }],
    ['/v2/a/b/manifests/x', { kind: 'manifest', repository: 'a/b', reference: 'x' }],
    ['/v2/manifests/manifests/x', { kind: 'manifest', repository: 'manifests', reference: 'x' }],
    [`/v2/a/blobs/${DIGEST}`, { kind: 'blob', repository: 'a', digest: DIGEST }],
    ['/v2/a/blobs/sha256:ABC', { kind: 'blob', repository: 'a', digest: null }],
    ['/v2/a/blobs/uploads/', { kind: 'uploads', repository: 'a' }],
    [
      `/v2/a/blobs/uploads/${'0'.repeat(32)}`,
      { kind: 'upload', repository: 'a', id: '0'.repeat(32) },
    ],
    ['/v2/a/blobs/uploads/../../x', { kind: 'none' }],
    ['/v2/a/tags/list', { kind: 'tags', repository: 'a' }],
    ['/v2/a/tags/other', { kind: 'none' }],
    [`/v2/a/referrers/${DIGEST}`, { kind: 'referrers', repository: 'a', digest: DIGEST }],
    ['/v2/%2e%2e/manifests/x', { kind: 'bad-name' }],
    ['/v2/../manifests/x', { kind: 'bad-name' }],
    [`/v2/${'a'.repeat(10_000)}/manifests/x`, { kind: 'bad-name' }],
    ['/etc/passwd', { kind: 'none' }],
    ['', { kind: 'none' }],
  ] as const) {
    test(`${path.slice(0, 50)}: ${route.kind}`, () =>
      expect<unknown>(routeOf(path)).toEqual(route));
  }
});
