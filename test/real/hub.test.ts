/** The hub's registry over HTTP, in a process of its own: the distribution-spec and its enemies. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { type RunningHub, startHub, stopHub } from '../support/hub.ts';
import { digestOf, errorCode, IMAGE, registryClient } from '../support/registry-client.ts';
import { scratch } from '../support/store.ts';

const place = scratch('hub');
const data = `${place.path}/data`;
let hub: RunningHub;
beforeAll(async () => {
  hub = await startHub(data);
});
afterAll(async () => {
  await stopHub(hub);
  place.remove();
});

const { url, pushBlob, pushImage, putManifest } = registryClient(() => hub.registry);

describe('manifests', () => {
  test('come back with exact bytes and content type, by tag and by digest', async () => {
    const { bytes, digest } = await pushImage('plant/state', 'stable', 'one');
    for (const reference of ['stable', digest]) {
      const got = await fetch(url(`/v2/plant/state/manifests/${reference}`));
      expect(got.headers.get('content-type')).toBe(IMAGE);
      expect(got.headers.get('docker-content-digest')).toBe(digest);
      expect(bytes.equals(new Uint8Array(await got.arrayBuffer()))).toBe(true);
      const head = await fetch(url(`/v2/plant/state/manifests/${reference}`), { method: 'HEAD' });
      expect(head.headers.get('content-length')).toBe(String(bytes.length));
      const fresh = { 'if-none-match': `"${digest}"` };
      const same = await fetch(url(`/v2/plant/state/manifests/${reference}`), { headers: fresh });
      expect(same.status).toBe(304);
    }
  });

  test('a tag moves, the old manifest stays by its digest', async () => {
    const before = await pushImage('plant/moves', 'stable', 'one');
    const after = await pushImage('plant/moves', 'stable', 'two');
    const head = await fetch(url('/v2/plant/moves/manifests/stable'), { method: 'HEAD' });
    expect(head.headers.get('docker-content-digest')).toBe(after.digest);
    expect((await fetch(url(`/v2/plant/moves/manifests/${before.digest}`))).status).toBe(200);
  });

  test('one that names what is not there is MANIFEST_BLOB_UNKNOWN', async () => {
    const { bytes } = await pushImage('plant/full', 'x', 'one');
    expect(await errorCode(await putManifest('plant/empty', 'x', bytes))).toBe(
      '404 MANIFEST_BLOB_UNKNOWN',
    );
  });

  test('C05: bytes under another digest are DIGEST_INVALID', async () => {
    const { bytes } = await pushImage('plant/full', 'x', 'one');
    const put = await putManifest('plant/full', `sha256:${'0'.repeat(64)}`, bytes);
    expect(await errorCode(put)).toBe('400 DIGEST_INVALID');
  });

  test('more than 4 MiB are SIZE_INVALID', async () => {
    const put = await putManifest('plant/full', 'huge', Buffer.alloc(4 * 1024 * 1024 + 1, 32));
    expect(await errorCode(put)).toBe('413 SIZE_INVALID');
  });

  test('are deleted by tag and by digest, tags with them', async () => {
    const { digest } = await pushImage('plant/gone', 'a', 'one');
    await pushImage('plant/gone', 'b', 'one');
    const remove = (reference: string) =>
      fetch(url(`/v2/plant/gone/manifests/${reference}`), { method: 'DELETE' });
    expect((await remove('a')).status).toBe(202);
    expect((await fetch(url('/v2/plant/gone/manifests/a'))).status).toBe(404);
    expect((await fetch(url('/v2/plant/gone/manifests/b'))).status).toBe(200);
    expect((await remove(digest)).status).toBe(202);
    expect(await errorCode(await fetch(url('/v2/plant/gone/manifests/b')))).toBe(
      '404 MANIFEST_UNKNOWN',
    );
    expect((await remove(digest)).status).toBe(404);
  });

  test('referrers list those that name a subject, by artifact type', async () => {
    const { digest, bytes } = await pushImage('plant/refs', 'x', 'one');
    const subject = { mediaType: IMAGE, digest, size: bytes.length };
    const referrer = await pushImage('plant/refs', 'y', 'sig', { subject, artifactType: 'a/b' });
    expect(referrer.response.headers.get('oci-subject')).toBe(digest);
    for (const [query, found] of [
      ['', [referrer.digest]],
      ['?artifactType=a/b', [referrer.digest]],
      ['?artifactType=c/d', []],
    ] as const) {
      const list = await fetch(url(`/v2/plant/refs/referrers/${digest}${query}`));
      expect(list.headers.get('content-type')).toBe('application/vnd.oci.image.index.v1+json');
      const { manifests } = (await list.json()) as { manifests: { digest: string }[] };
      expect(manifests.map((entry) => entry.digest)).toEqual([...found]);
    }
  });
});

describe('tags', () => {
  test('are listed in order, page by page', async () => {
    for (const tag of ['b', 'a', 'stable_1_2', 'C']) await pushImage('plant/tags', tag, 'one');
    const list = async (query: string) => {
      const response = await fetch(url(`/v2/plant/tags/tags/list${query}`));
      const { tags } = (await response.json()) as { tags: string[] };
      return { tags, link: response.headers.get('link') };
    };
    expect(await list('')).toEqual({ tags: ['C', 'a', 'b', 'stable_1_2'], link: null });
    expect(await list('?n=2')).toEqual({
      tags: ['C', 'a'],
      link: '</v2/plant/tags/tags/list?n=2&last=a>; rel="next"',
    });
    expect((await list('?n=2&last=a')).tags).toEqual(['b', 'stable_1_2']);
    expect((await list('?n=0')).tags).toEqual([]);
    expect(await errorCode(await fetch(url('/v2/no/such/tags/list')))).toBe('404 NAME_UNKNOWN');
  });
});

describe('uploads', () => {
  const bytes = Buffer.from('0123456789'.repeat(1_000));
  const begin = async () => {
    const begun = await fetch(url('/v2/plant/up/blobs/uploads/'), { method: 'POST' });
    return begun.headers.get('location') ?? '';
  };

  test('in chunks, each where the last one ended', async () => {
    const location = await begin();
    const patch = (chunk: Uint8Array, range: string) =>
      fetch(url(location), {
        method: 'PATCH',
        body: chunk,
        headers: { 'content-range': range },
      });
    const first = await patch(bytes.subarray(0, 4_000), '0-3999');
    expect([first.status, first.headers.get('range')]).toEqual([202, '0-3999']);
    expect((await patch(bytes.subarray(0, 10), '0-9')).status).toBe(416);
    expect((await fetch(url(location))).headers.get('range')).toBe('0-3999');
    expect((await patch(bytes.subarray(4_000), '4000-9999')).status).toBe(202);
    const digest = digestOf(bytes);
    const put = await fetch(url(`${location}?digest=${digest}`), { method: 'PUT' });
    expect(put.status).toBe(201);
    expect((await fetch(url(`/v2/plant/up/blobs/${digest}`), { method: 'HEAD' })).status).toBe(200);
    expect((await fetch(url(location))).status).toBe(404);
  });

  test('in one request', async () => {
    const one = Buffer.from('one request');
    const path = `/v2/plant/up/blobs/uploads/?digest=${digestOf(one)}`;
    expect((await fetch(url(path), { method: 'POST', body: one })).status).toBe(201);
  });

  test('C13: content under another digest is DIGEST_INVALID, and nothing is kept', async () => {
    const location = await begin();
    const digest = digestOf(Buffer.from('other'));
    const put = await fetch(url(`${location}?digest=${digest}`), { method: 'PUT', body: bytes });
    expect(await errorCode(put)).toBe('400 DIGEST_INVALID');
    expect((await fetch(url(`/v2/plant/up/blobs/${digest}`))).status).toBe(404);
    expect(readdirSync(`${data}/registry/uploads`)).toEqual([]);
  });

  test('a cancelled one is gone', async () => {
    const location = await begin();
    expect((await fetch(url(location), { method: 'DELETE' })).status).toBe(204);
    expect(await errorCode(await fetch(url(location)))).toBe('404 BLOB_UPLOAD_UNKNOWN');
  });

  test('a blob is mounted from another repository, not seen in it before', async () => {
    const digest = await pushBlob('plant/from', Buffer.from('shared'));
    expect((await fetch(url(`/v2/plant/to/blobs/${digest}`))).status).toBe(404);
    const query = `?mount=${digest}&from=plant/from`;
    const mounted = await fetch(url(`/v2/plant/to/blobs/uploads/${query}`), { method: 'POST' });
    expect(mounted.status).toBe(201);
    expect(await (await fetch(url(`/v2/plant/to/blobs/${digest}`))).text()).toBe('shared');
    const remove = await fetch(url(`/v2/plant/to/blobs/${digest}`), { method: 'DELETE' });
    expect(remove.status).toBe(202);
    expect(await (await fetch(url(`/v2/plant/from/blobs/${digest}`))).text()).toBe('shared');
    const absent = `?mount=sha256:${'0'.repeat(64)}&from=plant/from`;
    const begun = await fetch(url(`/v2/plant/to/blobs/uploads/${absent}`), { method: 'POST' });
    expect(begun.status).toBe(202);
  });

  test('twenty at a time, ten of them the same blob', async () => {
    const same = Buffer.alloc(200_000, 9);
    const all = Array.from({ length: 20 }, (_, at) => (at % 2 ? same : Buffer.alloc(50_000 + at)));
    const digests = await Promise.all(all.map((blob) => pushBlob('plant/many', blob)));
    for (const [at, digest] of digests.entries()) {
      const got = await fetch(url(`/v2/plant/many/blobs/${digest}`));
      expect(Buffer.from(await got.arrayBuffer()).equals(all[at] ?? Buffer.alloc(0))).toBe(true);
    }
  });

  test('B-row: a client that goes away in the middle may go on where it was', async () => {
    const location = await begin();
    const socket = connect(hub.registry, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const head = `PATCH ${location} HTTP/1.1\r\nhost: x\r\ncontent-length: 10000\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), bytes.subarray(0, 5_000)]));
    let range = '';
    while (range !== '0-4999') {
      range = (await fetch(url(location))).headers.get('range') ?? '';
    }
    socket.destroy();
    const digest = digestOf(bytes);
    let status = 429;
    while (status === 429) {
      const rest = await fetch(url(location), { method: 'PATCH', body: bytes.subarray(5_000) });
      status = rest.status;
    }
    const put = await fetch(url(`${location}?digest=${digest}`), { method: 'PUT' });
    expect(put.status).toBe(201);
  });
});

describe('C18, C06: hostile names and digests', () => {
  for (const [method, path, code] of [
    ['GET', '/v2/..%2f..%2fetc/manifests/x', '400 NAME_INVALID'],
    ['GET', '/v2/A/manifests/x', '400 NAME_INVALID'],
    ['GET', `/v2/${'a'.repeat(3_000)}/manifests/x`, '400 NAME_INVALID'],
    ['GET', '/v2/a/manifests/..%2fx', '400 MANIFEST_INVALID'],
    ['PUT', '/v2/a/manifests/.hidden', '400 MANIFEST_INVALID'],
    ['GET', '/v2/a/manifests/sha512:00', '400 DIGEST_INVALID'],
    ['GET', '/v2/a/blobs/sha256:..', '400 DIGEST_INVALID'],
    ['GET', `/v2/a/blobs/sha256:${'A'.repeat(64)}`, '400 DIGEST_INVALID'],
    ['DELETE', '/v2/a/blobs/md5:00', '400 DIGEST_INVALID'],
    ['POST', '/v2/a/blobs/uploads/?digest=sha256:1', '400 DIGEST_INVALID'],
    ['PATCH', '/v2/a/blobs/uploads/..%2f..%2fx', '404 UNSUPPORTED'],
    ['GET', '/etc/passwd', '404 UNSUPPORTED'],
    ['POST', '/v2/a/tags/list', '405 UNSUPPORTED'],
    ['GET', '/v2/a/tags/list?n=-1', '404 NAME_UNKNOWN'],
  ] as const) {
    test(`${method} ${path.slice(0, 60)}: ${code}`, async () => {
      expect(await errorCode(await fetch(url(path), { method }))).toBe(code);
    });
  }
});
