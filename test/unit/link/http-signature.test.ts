/** A link whose requests are signed: what travels, and whose time `created` is. */
import { describe, expect, test } from 'bun:test';
import { ok } from '#errors/fault.ts';
import { type SignedHttp, signedHttp } from '#link/http-signature.ts';
import { type MargoLink, margoLink } from '#link/margo.ts';
import { dateUrlOf, margoOnboarding } from '#link/margo-onboarding.ts';
import type { PeerTime } from '#link/peer.ts';
import type { HttpRequest } from '#platform/http.ts';
import { systemMessageKeys } from '#platform/node/message-keys.ts';
import { sha256 } from '#state/digest.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import {
  componentsOf,
  fitsContentDigest,
  readSignatures,
  signatureBase,
} from '#wire/http-signature.ts';
import { writeClientId } from '#wire/margo-onboarding.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';
import { type Answer, scriptedHttp, scriptedLink } from '../../support/scripted-http.ts';
import { codeOf, value } from '../../support/store.ts';

const keys = systemMessageKeys();
const pair = keys.make('press-42', 0);
const signer = value(keys.signer(pair));
const verifier = keys.verifier(signer.certificate);
const URL_ = 'https://WFM.example:443/margo';
const access = { insecure: false, tls: null, proxy: null };
const NOW = Date.UTC(2026, 10, 24, 2, 0, 0);
const httpDate = (ms: number): string => new Date(ms).toUTCString();

interface World {
  readonly http: SignedHttp;
  readonly link: MargoLink;
  readonly clock: ManualClock;
  readonly asked: readonly HttpRequest[];
}

function world(
  answer: (request: HttpRequest) => Answer,
  time: PeerTime = { floorMs: 0, wallPlausible: true },
  dialect: 'rc2' | 'pr1' = 'rc2',
): World {
  const scripted = scriptedHttp(answer);
  const clock = manualClock(NOW);
  const http = signedHttp(scriptedLink(scripted, { clock }), {
    ...{ signer: () => ok(signer), time: () => time, dateUrl: dateUrlOf(URL_) },
  });
  const client = async () => ok('c-1');
  const link = value(margoLink(http, { url: URL_, access, dialect, client }));
  return { http, link, clock, asked: scripted.asked };
}

const EMPTY = '{"manifestVersion":1,"bundle":null,"deployments":[]}';
const manifest = { status: 200, headers: { 'content-type': MARGO_MEDIA.manifest }, body: EMPTY };
const body = Buffer.from('{"a":1}');
const never = new AbortController().signal;

/** What the request says of itself, when its signature proves it. */
function proven(request: HttpRequest | undefined) {
  const { method = 'GET', url = '', headers = {} } = request ?? {};
  const [found] = readSignatures(headers) ?? [];
  const base =
    found && signatureBase(found.covered, found.params, componentsOf({ method, url, headers }));
  const proves = base && verifier?.verify('ecdsa-p256-sha256', base, found.signature);
  return proves ? { covered: found.covered, created: found.created } : null;
}

describe('every request is signed (rule 71)', () => {
  test('a poll over method, target and authority, with the ETag and the media type', async () => {
    const { link, asked } = world(() => manifest);
    expect(value(await link.manifest('"e"', never))).toMatchObject({ kind: 'manifest' });
    const [request] = asked;
    expect(request?.url).toBe('https://wfm.example/margo/api/v1/clients/c-1/deployments');
    expect(request?.headers).toMatchObject({
      accept: MARGO_MEDIA.manifest,
      'if-none-match': '"e"',
    });
    expect(request?.headers['content-digest']).toBeUndefined();
    expect(proven(request)).toEqual({
      covered: ['@method', '@target-uri', '@authority'],
      created: NOW / 1_000,
    });
  });

  test('a status over the digest of its body as well', async () => {
    const { link, asked } = world(() => ({ status: 200 }));
    expect(value(await link.postStatus('d', body))).toBeNull();
    const [request] = asked;
    expect(request?.url).toEndWith('/clients/c-1/deployments/d/status');
    expect(fitsContentDigest(request?.headers['content-digest'] ?? '', body)).toBe(true);
    expect(proven(request)?.covered).toContain('content-digest');
  });

  test('bundles and documents too, and what is 404 is not served', async () => {
    const { link, asked } = world(() => ({ status: 404 }));
    const digest = sha256(body);
    expect(value(await link.bundle(digest, never))).toBeNull();
    expect(value(await link.document('d', digest, never))).toBeNull();
    expect(asked.map(proven)).not.toContain(null);
  });
});

describe('capabilities', () => {
  const told = async (dialect: 'rc2' | 'pr1', known: boolean, answers: readonly number[]) => {
    const left = [...answers];
    const { link, asked } = world(() => ({ status: left.shift() ?? 500 }), undefined, dialect);
    const end = await link.putCapabilities('press-42', body, known);
    return [
      end.ok ? 'ok' : codeOf(end),
      ...asked.map(({ method, url }) => `${method} ${url.split('/c-1/')[1]}`),
    ];
  };

  test('POST at first and PUT after; rc2 names the device, pr1 does not', async () => {
    const at = 'capabilities/press-42';
    expect(await told('rc2', false, [201])).toEqual(['ok', `POST ${at}`]);
    expect(await told('rc2', true, [200])).toEqual(['ok', `PUT ${at}`]);
    expect(await told('pr1', false, [201])).toEqual(['ok', 'POST capabilities']);
    expect(await told('pr1', true, [201])).toEqual(['ok', 'PUT capabilities']);
  });

  test('the manager knows better which of the two it is', async () => {
    expect(await told('pr1', false, [409, 201])).toEqual([
      'ok',
      'POST capabilities',
      'PUT capabilities',
    ]);
    expect(await told('pr1', true, [404, 201])).toEqual([
      'ok',
      'PUT capabilities',
      'POST capabilities',
    ]);
    const [end] = await told('pr1', true, [404, 404]);
    expect(end).toBe('margo.client-unknown');
  });
});

describe('whose time it is', () => {
  const clockAt =
    (server: number) =>
    (request: HttpRequest): Answer => {
      const headers = { date: httpDate(server) };
      if (request.url.endsWith('/onboarding/certificate')) return { status: 404, headers };
      const created = proven(request)?.created ?? 0;
      const right = created <= server / 1_000 && created > server / 1_000 - 300;
      return right ? manifest : { status: 401, headers, body: '{"error":"created"}' };
    };

  test('with a dead clock it is the server’s, asked for once and carried on', async () => {
    const dead = { floorMs: 0, wallPlausible: false };
    let server = Date.UTC(2031, 0, 1);
    const { link, clock, asked } = world((request) => clockAt(server)(request), dead);
    expect(await link.manifest(null, never)).toMatchObject({ ok: true });
    expect(asked.map(({ headers }) => 'signature' in headers)).toEqual([false, true]);
    await clock.advance(60_000);
    server += 60_000;
    await link.manifest(null, never);
    expect(asked.slice(1).map((one) => proven(one)?.created)).toEqual([
      server / 1_000 - 60,
      server / 1_000,
    ]);
  });

  test('a clock that is wrong is put right by the answer, once for a request', async () => {
    for (const server of [NOW - 1_000, NOW - 86_400_000, NOW + 3_600_000]) {
      const { link, asked } = world(clockAt(server));
      expect(await link.manifest(null, never)).toMatchObject({ ok: true });
      expect(asked.map((one) => proven(one)?.created)).toEqual([NOW / 1_000, server / 1_000]);
      await link.manifest(null, never);
      expect(asked.length).toBe(3);
    }
  });

  test('a manager that says 401 for ever is asked at most twice, and the cure is named', async () => {
    for (const [ms, times] of [
      [NOW, 1],
      [NOW + 3_600_000, 2],
    ] as const) {
      const { link, asked } = world(() => ({ status: 401, headers: { date: httpDate(ms) } }));
      const end = await link.manifest(null, never);
      expect([codeOf(end), asked.length]).toEqual(['margo.signature-refused', times]);
    }
  });
});

describe('onboarding', () => {
  const certificate = { pem: pair.certificate, fingerprint: 'sha256:ab' };
  const onboard = async (answer: Answer) => {
    const { http, asked } = world(() => answer);
    const end = await value(margoOnboarding(http, { url: URL_, access })).onboard(certificate);
    return { end, asked };
  };

  test('hands in the certificate, signed, and gives the id', async () => {
    const { end, asked } = await onboard({ status: 201, body: writeClientId('c-7') });
    expect(value(end)).toBe('c-7');
    expect(asked[0]).toMatchObject({
      method: 'POST',
      url: 'https://wfm.example/margo/api/v1/onboarding',
    });
    expect(proven(asked[0])?.covered).toContain('content-digest');
  });

  test('403, 400, an id that is none, 503: each with its own code', async () => {
    const refused = await onboard({ status: 403, body: '{"error":"Client rejected"}' });
    expect(codeOf(refused.end)).toBe('margo.client-refused');
    expect(refused.end).toMatchObject({ fault: { message: expect.stringContaining('sha256:ab') } });
    expect(codeOf((await onboard({ status: 400 })).end)).toBe('margo.onboarding');
    expect(codeOf((await onboard({ status: 200, body: '{"clientId":"../x"}' })).end)).toBe(
      'margo.onboarding',
    );
    const busy = await onboard({ status: 503, headers: { 'retry-after': '7' } });
    expect(busy.end).toMatchObject({ fault: { code: 'margo.answer', retryAfterMs: 7_000 } });
  });
});

test('a client that the manager has forgotten is told as such, and not onboarded by itself', async () => {
  const { link, asked } = world(() => ({ status: 404, body: '{"error":"unknown"}' }));
  expect(codeOf(await link.manifest(null, never))).toBe('margo.client-unknown');
  expect(asked.length).toBe(1);
});
