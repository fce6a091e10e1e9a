/** A repository of a hostile or plain registry (C01–C07, C09, C13, C18). */
import { describe, expect, test } from 'bun:test';
import { ok } from '#errors/fault.ts';
import { type BlobChunk, type Registry, registry } from '#link/registry.ts';
import type { HttpRequest } from '#platform/http.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { type Answer, scriptedHttp, scriptedLink } from '../../support/scripted-http.ts';

function open(answer: (request: HttpRequest) => Answer) {
  const scripted = scriptedHttp(answer);
  const url = 'https://registry.example/plant/state';
  const config = { url, auth: null, tls: null, proxy: null, insecure: false };
  return { ...scripted, client: registry(scriptedLink(scripted), config) };
}

const body = Buffer.from('{"schemaVersion":2}');
const digest = sha256(body);
const typed = { 'content-type': MEDIA.ociManifest };

async function collect(chunks: AsyncIterable<BlobChunk>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) {
    if (chunk.kind === 'bytes') text += Buffer.from(chunk.bytes).toString();
    else text += chunk.kind === 'restart' ? '|' : `!${chunk.fault.code}`;
  }
  return text;
}

describe('a manifest', () => {
  async function get(answer: Answer, reference = 'stable'): Promise<unknown> {
    const fetched = await open(() => answer).client.getManifest(reference);
    return fetched.ok ? (fetched.value?.digest ?? null) : fetched.fault.code;
  }

  test('by tag has the digest of its bytes; C05: whatever the header claims', async () => {
    const headers = { ...typed, 'docker-content-digest': `sha256:${'0'.repeat(64)}` };
    expect(await get({ status: 200, headers, body })).toBe(digest);
  });
  test('by digest is checked', async () => {
    expect(await get({ status: 200, headers: typed, body }, digest)).toBe(digest);
    expect(await get({ status: 200, headers: typed, body: 'x' }, digest)).toBe(
      'source.digest-mismatch',
    );
  });
  test('that is not there is null', async () => expect(await get({ status: 404 })).toBeNull());
  for (const type of [
    MEDIA.ociIndex,
    'application/vnd.docker.distribution.manifest.v2+json',
    `${MEDIA.ociManifest}; charset=utf-8`,
    MEDIA.ociManifest.toUpperCase(),
    '',
  ]) {
    test(`C02, C03: called ${type || 'nothing'} is refused`, async () => {
      expect(await get({ status: 200, headers: { 'content-type': type }, body })).toBe(
        'source.media-type',
      );
    });
  }
  test('above 1 MiB is refused', async () => {
    const large = Buffer.alloc(LIMITS.manifestBytes + 1);
    expect(await get({ status: 200, headers: typed, body: large })).toBe('link.too-large');
  });
  for (const reference of [
    '',
    '../x',
    'a/b',
    'a%2fb',
    'a\r\nx: y',
    `sha256:${'A'.repeat(64)}`,
    'sha1:00',
    'a'.repeat(10_000),
  ]) {
    test(`C06, C18: ${JSON.stringify(reference.slice(0, 20))} never reaches the network`, async () => {
      const { client, asked } = open(() => ({ status: 200 }));
      for (const answered of [
        await client.getManifest(reference),
        await client.headManifest(reference),
        await client.putManifest(reference, body),
      ]) {
        expect(!answered.ok && answered.fault.code).toBe('config.registry');
      }
      expect(asked).toHaveLength(0);
    });
  }
  test('asks for the one media type', async () => {
    const { client, asked } = open(() => ({ status: 404 }));
    await client.getManifest('stable');
    expect(asked[0]?.headers.accept).toBe(MEDIA.ociManifest);
    expect(asked[0]?.url).toBe('https://registry.example/v2/plant/state/manifests/stable');
  });
});

describe('a peek', () => {
  async function peek(answer: Answer): Promise<unknown> {
    const { client, asked } = open(() => answer);
    const head = await client.headManifest('stable');
    expect(asked.map(({ method }) => method)).toEqual(['HEAD']);
    return head.ok ? head.value : head.fault.code;
  }
  test('is what the header says', async () =>
    expect(await peek({ status: 200, headers: { 'docker-content-digest': digest } })).toBe(digest));
  test('is null without a header, or with one of another form', async () => {
    expect(await peek({ status: 200 })).toBeNull();
    expect(
      await peek({ status: 200, headers: { 'docker-content-digest': 'sha512:ab' } }),
    ).toBeNull();
    expect(await peek({ status: 404 })).toBeNull();
  });
  test('fails as the status says', async () =>
    expect(await peek({ status: 500 })).toBe('link.http-status'));
});

describe('a blob', () => {
  const blob = sha256(Buffer.from('0123456789'));
  const get = (answer: Answer, offset = 0, cap = 10) => {
    const { client, asked } = open(() => answer);
    return collect(client.blob(blob, offset, cap)).then((text) => [text, asked[0]?.headers.range]);
  };
  const part = (range: string, text: string): Answer => ({
    status: 206,
    headers: { 'content-range': range },
    body: text,
  });

  test('whole', async () =>
    expect(await get({ status: 200, body: '0123456789' })).toEqual(['0123456789', undefined]));
  test('from an offset', async () =>
    expect(await get(part('bytes 4-9/10', '456789'), 4)).toEqual(['456789', 'bytes=4-']));
  test('from an offset, without a total', async () =>
    expect((await get(part('bytes 4-9/*', '456789'), 4))[0]).toBe('456789'));
  test('a registry that ignores ranges: it starts again', async () =>
    expect((await get({ status: 200, body: '0123456789' }, 4))[0]).toBe('|0123456789'));
  for (const range of [
    'bytes 3-9/10',
    'bytes 5-9/10',
    'bytes 4-3/10',
    'bytes 4-10/11',
    'bytes 4-9/9',
    'bytes */10',
    'bytes 4-9',
    'items 4-9/10',
    'bytes 4-99999999999999999999/10',
    '',
  ]) {
    test(`a wrong Content-Range is refused: ${range || 'none'}`, async () =>
      expect((await get(part(range, '456789'), 4))[0]).toBe('!source.range'));
  }
  test('a part where the whole was asked for is refused', async () =>
    expect((await get(part('bytes 0-9/10', '0123456789')))[0]).toBe('!source.range'));
  test('416: what is here is longer than what is there', async () =>
    expect((await get({ status: 416 }, 4))[0]).toBe('!source.range'));
  test('C07: longer than its cap is refused at the byte behind it', async () => {
    expect((await get({ status: 200, body: '0123456789a' }))[0]).toBe('!source.too-large');
    expect((await get(part('bytes 4-9/10', '456789abc'), 4))[0]).toBe('!source.too-large');
    const lying = { status: 200, headers: { 'content-length': '11' }, body: '0' };
    expect((await get(lying))[0]).toBe('!source.too-large');
  });
  test('not there', async () => expect((await get({ status: 404 }))[0]).toBe('!source.missing'));
  test('a server error', async () =>
    expect((await get({ status: 500 }))[0]).toBe('!link.http-status'));
  test('hasBlob', async () => {
    const has = async (status: number) => {
      const answered = await open(() => ({ status })).client.hasBlob(blob);
      return answered.ok ? answered.value : answered.fault.code;
    };
    expect([await has(200), await has(404), await has(500)]).toEqual([
      true,
      false,
      'link.http-status',
    ]);
  });
});

describe('a push', () => {
  const bytes = Buffer.from('content');
  const blob = sha256(bytes);
  async function push(client: Registry, size = bytes.length): Promise<string> {
    const pushed = await client.pushBlob(blob, size, bytes);
    return pushed.ok ? 'ok' : pushed.fault.code;
  }

  test('POST, then PUT where the registry said, with its own parameters kept', async () => {
    const { client, asked } = open(({ method }) =>
      method === 'POST'
        ? { status: 202, headers: { location: '/v2/plant/state/blobs/uploads/1?_state=a%2Bb' } }
        : { status: 201 },
    );
    expect(await push(client)).toBe('ok');
    const at = new URL(asked[1]?.url ?? '');
    expect(at.searchParams.get('_state')).toBe('a+b');
    expect(at.searchParams.get('digest')).toBe(blob);
    expect(asked[1]?.body).toEqual(bytes);
  });

  for (const location of [
    'https://evil.example/upload',
    'http://registry.example/upload',
    'https://u:p@registry.example/upload',
    'file:///tmp/x',
  ]) {
    test(`N01: an upload is not led to ${location}`, async () => {
      const { client, asked } = open(() => ({ status: 202, headers: { location } }));
      expect(await push(client)).toBe('link.redirect-refused');
      expect(asked).toHaveLength(1);
    });
  }

  test('a redirected upload is refused', async () => {
    const { client } = open(() => ({ status: 307, headers: { location: '/elsewhere' } }));
    expect(await push(client)).toBe('link.redirect-refused');
  });

  test('a source that is not of the size that was said is not completed', async () => {
    const { client, asked } = open(() => ({ status: 202, headers: { location: '/u' } }));
    expect(await push(client, 3)).toBe('source.size-mismatch');
    expect(asked.map(({ method }) => method)).toEqual(['POST']);
  });

  test('a registry that holds another length than was sent stops it', async () => {
    const large = Buffer.alloc(9 * 1024 * 1024);
    const { client } = open(() => ({
      status: 202,
      headers: { location: '/u', range: '0-5' },
    }));
    const pushed = await client.pushBlob(sha256(large), large.length, () => [ok(large)]);
    expect(!pushed.ok && pushed.fault.code).toBe('link.bad-response');
  });

  test('large ones go in pieces of 8 MiB with their ranges', async () => {
    const large = Buffer.alloc(17 * 1024 * 1024, 7);
    const seen: string[] = [];
    let held = 0;
    const { client } = open(({ method, headers, body: sent }) => {
      const length = sent instanceof Uint8Array ? sent.length : 0;
      seen.push(`${method} ${headers['content-range'] ?? ''} ${length}`);
      held += length;
      const range = { range: `0-${held - 1}` };
      if (method === 'PUT') return { status: 201 };
      return { status: 202, headers: { location: '/u', ...(length > 0 ? range : {}) } };
    });
    const progress: number[] = [];
    async function* chunks() {
      for (let at = 0; at < large.length; at += 1_000_000) {
        yield ok(large.subarray(at, at + 1_000_000));
      }
    }
    const pushed = await client.pushBlob(sha256(large), large.length, chunks, (sent) =>
      progress.push(sent),
    );
    expect(pushed.ok).toBe(true);
    expect(seen).toEqual([
      'POST  0',
      'PATCH 0-8388607 8388608',
      'PATCH 8388608-16777215 8388608',
      'PATCH 16777216-17825791 1048576',
      'PUT  0',
    ]);
    expect(progress.at(-1)).toBe(large.length);
  });

  test('a manifest that is stored as another one is noticed', async () => {
    const other = { 'docker-content-digest': sha256(Buffer.from('other')) };
    const { client } = open(() => ({ status: 201, headers: other }));
    const put = await client.putManifest('stable', body);
    expect(!put.ok && put.fault.code).toBe('link.bad-response');
  });

  test('a manifest is put under its own digest or a tag alone', async () => {
    const { client } = open(() => ({ status: 201 }));
    expect((await client.putManifest(digest, body)).ok).toBe(true);
    expect((await client.putManifest(sha256(Buffer.from('x')), body)).ok).toBe(false);
  });
});

describe('the list of tags', () => {
  const page = (tags: readonly unknown[], link?: string): Answer => ({
    status: 200,
    headers: link === undefined ? {} : { link },
    body: JSON.stringify({ name: 'plant/state', tags }),
  });
  async function list(answer: (request: HttpRequest) => Answer) {
    const { client, asked } = open(answer);
    const tags = await client.tags();
    return { tags: tags.ok ? tags.value : tags.fault.code, requests: asked.length };
  }

  test('page by page', async () => {
    const next = '</v2/plant/state/tags/list?last=b&n=1000>; rel="next"';
    const { tags } = await list(({ url }) =>
      url.includes('last=b') ? page(['c']) : page(['a', 'b'], next),
    );
    expect(tags).toEqual(['a', 'b', 'c']);
  });
  test('of a repository that is not there: none', async () =>
    expect((await list(() => ({ status: 404 }))).tags).toEqual([]));
  test('null, or with entries that are no tags', async () => {
    expect((await list(() => ({ status: 200, body: '{"tags":null}' }))).tags).toEqual([]);
    expect((await list(() => page(['ok', '../x', 5, 'a b']))).tags).toEqual(['ok']);
  });
  test('C09: pages without end and without new tags stop at once', async () => {
    const next = '</v2/plant/state/tags/list?last=a>; rel="next"';
    expect(await list(() => page(['a'], next))).toEqual({ tags: 'link.bad-response', requests: 2 });
  });
  test('C09: pages without end with new tags stop at 200', async () => {
    let made = 0;
    const next = '</v2/plant/state/tags/list?last=a>; rel="next"';
    const { tags, requests } = await list(() => page([`t${made++}`], next));
    expect([tags, requests]).toEqual(['link.bad-response', 200]);
  });
  for (const link of [
    '<https://evil.example/v2/plant/state/tags/list>; rel="next"',
    '</v2/other/tags/list>; rel="next"',
    '</v2/plant/state/blobs/x>; rel="next"',
    'nonsense',
  ]) {
    test(`C09: a next page elsewhere is refused: ${link}`, async () =>
      expect(await list(() => page(['a'], link))).toEqual({
        tags: 'link.bad-response',
        requests: 1,
      }));
  }
});

test('a registry whose configuration cannot be used refuses every call', async () => {
  const { client } = open(() => ({ status: 200 }));
  const broken = registry(scriptedLink(scriptedHttp(() => ({ status: 200 }))), {
    url: 'http://registry.example/a',
    auth: null,
    tls: null,
    proxy: null,
    insecure: false,
  });
  expect(client.name).toBe('registry.example/plant/state');
  const answered = await broken.getManifest('stable');
  expect(!answered.ok && answered.fault.code).toBe('link.scheme-refused');
  expect(await collect(broken.blob(digest, 0, 1))).toBe('!link.scheme-refused');
});
