/** A time authority over HTTP, and what a hostile one may answer: bytes, or a fault, and soon. */
import { describe, expect, test } from 'bun:test';
import { askTime, type TimeEndpoint } from '#link/time-authority.ts';
import { readTimeRequest } from '#wire/time-statement.ts';
import { type Answer, scriptedHttp, scriptedLink } from '../../support/scripted-http.ts';
import { codeOf, value } from '../../support/store.ts';

const at: TimeEndpoint = {
  ...{ url: 'https://time.example/v1', tls: null, proxy: null, insecure: false },
};
const request = { nonce: new Uint8Array(32).fill(3), deviceId: 'press-7' };
const TYPE = 'application/vnd.holdfast.time.v1+json';

async function ask(answer: Answer, endpoint: TimeEndpoint = at) {
  const scripted = scriptedHttp(() => answer);
  const got = await askTime(scriptedLink(scripted), endpoint, request);
  return { got, asked: scripted.asked };
}

test('one POST with the request, and its exact answer', async () => {
  const { got, asked } = await ask({ status: 200, headers: { 'content-type': TYPE }, body: '{}' });
  expect(value(got)).toEqual(new TextEncoder().encode('{}'));
  expect(asked.map(({ method, url }) => [method, url])).toEqual([
    ['POST', 'https://time.example/v1'],
  ]);
  const [{ body } = {}] = asked;
  expect(body instanceof Uint8Array && value(readTimeRequest(body))).toEqual(request);
});

describe('a hostile authority', () => {
  const ok = { 'content-type': TYPE };
  const rows: readonly [string, Answer, string][] = [
    [
      'another type',
      { status: 200, headers: { 'content-type': 'text/html' } },
      'source.media-type',
    ],
    ['no type', { status: 200 }, 'source.media-type'],
    ['too much', { status: 200, headers: ok, body: new Uint8Array(200_000) }, 'link.too-large'],
    ['a redirect', { status: 302, headers: { location: '/other' } }, 'link.redirect-refused'],
    [
      'compressed',
      { status: 200, headers: { ...ok, 'content-encoding': 'gzip' } },
      'link.encoding-refused',
    ],
    ['401', { status: 401 }, 'link.unauthorized'],
    ['503', { status: 503, headers: { 'retry-after': '9' } }, 'link.rate-limited'],
    ['500', { status: 500, body: 'no' }, 'link.http-status'],
  ];
  for (const [what, answer, code] of rows) {
    test(`${what}: ${code}`, async () => expect(codeOf((await ask(answer)).got)).toBe(code));
  }
  test('an address with a user in it is not asked', async () => {
    const { got, asked } = await ask({ status: 200 }, { ...at, url: 'https://a:b@time.example/' });
    expect([codeOf(got), asked.length]).toEqual(['link.scheme-refused', 0]);
  });
});
