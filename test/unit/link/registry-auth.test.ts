/** Credentials of a registry: who gets them, and that no answer makes a loop (C15). */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegistryConfig } from '#link/endpoint.ts';
import { registry } from '#link/registry.ts';
import type { HttpRequest } from '#platform/http.ts';
import { MEDIA } from '#state/media-types.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { type Answer, scriptedHttp, scriptedLink } from '../../support/scripted-http.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-auth-'));
afterAll(() => rmSync(folder, { recursive: true }));

const config: RegistryConfig = {
  url: 'https://registry.example/plant/state',
  auth: { username: 'press', password: 'pw' },
  tls: null,
  proxy: null,
  insecure: false,
};
const BASIC = `Basic ${Buffer.from('press:pw').toString('base64')}`;
const bearer = (realm: string, more = '') => `Bearer realm="${realm}",service="registry"${more}`;
const manifest: Answer = {
  status: 200,
  headers: { 'content-type': MEDIA.ociManifest },
  body: '{}',
};

/** A registry that wants `challenge` until it gets `wanted`, and a token service at every realm. */
function peers(challenge: string, wanted: (authorization: string) => boolean, token: () => Answer) {
  return scriptedHttp(({ url, headers }: HttpRequest): Answer => {
    if (!url.startsWith('https://registry.example/v2/')) return token();
    return wanted(headers.authorization ?? '')
      ? manifest
      : { status: 401, headers: { 'www-authenticate': challenge } };
  });
}

async function get(
  scripted: ReturnType<typeof scriptedHttp>,
  changes: Partial<RegistryConfig> = {},
  clock = manualClock(),
) {
  const client = registry(scriptedLink(scripted, { clock }), { ...config, ...changes });
  const fetched = await client.getManifest('stable');
  return { client, result: fetched.ok ? 'ok' : fetched.fault.code, fetched };
}

describe('basic', () => {
  test('is given after a challenge, and from then on at once', async () => {
    const scripted = peers(
      'Basic realm="r"',
      (sent) => sent === BASIC,
      () => manifest,
    );
    const { client, result } = await get(scripted);
    expect(result).toBe('ok');
    await client.getManifest('stable');
    expect(scripted.asked.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      BASIC,
      BASIC,
    ]);
  });

  test('C15: a 401 that never ends costs two requests', async () => {
    const scripted = peers(
      'Basic realm="r"',
      () => false,
      () => manifest,
    );
    const { client, result } = await get(scripted);
    expect([result, scripted.asked.length]).toEqual(['link.unauthorized', 2]);
    expect((await client.getManifest('stable')).ok).toBe(false);
    expect(scripted.asked.length).toBe(3);
  });

  test('without credentials it says so', async () => {
    const scripted = peers(
      'Basic realm="r"',
      () => false,
      () => manifest,
    );
    const { fetched } = await get(scripted, { auth: null });
    expect(!fetched.ok && fetched.fault.message).toContain('no user name and password');
  });

  test('from files, read again after a 401', async () => {
    const [usernameFile, passwordFile] = [join(folder, 'user'), join(folder, 'password')];
    writeFileSync(usernameFile, 'press\n');
    writeFileSync(passwordFile, 'old\n');
    const scripted = peers(
      'Basic realm="r"',
      (sent) => sent === BASIC,
      () => manifest,
    );
    const { client, result } = await get(scripted, { auth: { usernameFile, passwordFile } });
    expect(result).toBe('link.unauthorized');
    writeFileSync(passwordFile, 'pw\n');
    expect((await client.getManifest('stable')).ok).toBe(true);
  });
});

describe('a token service', () => {
  const give = (token: unknown): Answer => ({ status: 200, body: JSON.stringify(token) });

  test('on the registry host gets the credentials, and is asked for exactly this repository', async () => {
    const challenge = bearer('https://registry.example/token', ',scope="repository:other:*"');
    const scripted = peers(
      challenge,
      (sent) => sent === 'Bearer t1',
      () => give({ token: 't1' }),
    );
    const { result } = await get(scripted);
    expect(result).toBe('ok');
    const asked = new URL(scripted.asked[1]?.url ?? '');
    expect(asked.origin + asked.pathname).toBe('https://registry.example/token');
    expect([...asked.searchParams]).toEqual([
      ['scope', 'repository:plant/state:pull'],
      ['service', 'registry'],
    ]);
    expect(scripted.asked[1]?.headers.authorization).toBe(BASIC);
  });

  test('on another host is asked without credentials', async () => {
    const challenge = bearer('https://auth.example/token');
    const scripted = peers(
      challenge,
      (sent) => sent === 'Bearer t',
      () => give({ access_token: 't' }),
    );
    expect((await get(scripted)).result).toBe('ok');
    expect(scripted.asked[1]?.headers.authorization).toBeUndefined();
    expect(scripted.asked.at(-1)?.headers.authorization).toBe('Bearer t');
  });

  test('on another host that the configuration names gets them', async () => {
    const challenge = bearer('https://auth.example/token');
    const scripted = peers(
      challenge,
      (sent) => sent === 'Bearer t',
      () => give({ token: 't' }),
    );
    await get(scripted, { tokenServices: ['https://auth.example'] });
    expect(scripted.asked[1]?.headers.authorization).toBe(BASIC);
  });

  test('that refuses an anonymous request: the fault names tokenServices', async () => {
    const scripted = peers(
      bearer('https://auth.example/t'),
      () => false,
      () => ({ status: 401 }),
    );
    const { fetched } = await get(scripted);
    expect(!fetched.ok && fetched.fault).toMatchObject({ code: 'link.unauthorized' });
    expect(!fetched.ok && fetched.fault.message).toContain('tokenServices');
  });

  for (const [what, realm, code] of [
    ['on http', 'http://auth.example/token', 'link.scheme-refused'],
    ['on http at the registry host', 'http://registry.example/token', 'link.scheme-refused'],
    ['on this machine', 'http://127.0.0.1/token', 'link.redirect-refused'],
    ['at the metadata service', 'https://169.254.169.254/token', 'link.redirect-refused'],
    ['with user information', 'https://u:p@auth.example/token', 'link.scheme-refused'],
    ['in a file', 'file:///etc/passwd', 'link.scheme-refused'],
    ['nowhere', '', 'link.scheme-refused'],
  ] as const) {
    test(`C15: is not asked ${what}`, async () => {
      const scripted = peers(
        bearer(realm),
        () => false,
        () => give({ token: 't' }),
      );
      const { result } = await get(scripted);
      expect([result, scripted.asked.length]).toEqual([code, 1]);
    });
  }

  test('C15: a token that is never enough costs one token and two requests', async () => {
    const scripted = peers(
      bearer('https://registry.example/t'),
      () => false,
      () => give({ token: 't' }),
    );
    const { result } = await get(scripted);
    expect([result, scripted.asked.length]).toEqual(['link.unauthorized', 3]);
  });

  for (const [what, answer, code] of [
    ['10 MB', { status: 200, body: `{"token":"${'t'.repeat(10_000_000)}"}` }, 'link.too-large'],
    ['a header in it', give({ token: 't\r\nx: y' }), 'link.bad-response'],
    ['too long for a header', give({ token: 't'.repeat(20_000) }), 'link.bad-response'],
    ['no token', give({}), 'link.bad-response'],
    ['a number', give({ token: 1 }), 'link.bad-response'],
    ['no JSON', { status: 200, body: 'token' }, 'link.bad-response'],
    ['two tokens', { status: 200, body: '{"token":"a","token":"b"}' }, 'link.bad-response'],
    [
      'a redirect to another host',
      { status: 302, headers: { location: 'https://evil.example/' } },
      'link.redirect-refused',
    ],
    ['429', { status: 429, headers: { 'retry-after': '7' } }, 'link.rate-limited'],
  ] as const) {
    test(`C15: its answer is refused: ${what}`, async () => {
      const scripted = peers(
        bearer('https://registry.example/t'),
        () => false,
        () => answer,
      );
      expect((await get(scripted)).result).toBe(code);
    });
  }

  test('a token is used until shortly before its end, then another is fetched', async () => {
    const clock = manualClock();
    let given = 0;
    const scripted = peers(
      bearer('https://registry.example/t'),
      (sent) => sent === `Bearer t${given}`,
      () => {
        given += 1;
        return give({ token: `t${given}`, expires_in: 300 });
      },
    );
    const { client } = await get(scripted, {}, clock);
    await clock.advance(285_000);
    expect((await client.getManifest('stable')).ok).toBe(true);
    expect(given).toBe(1);
    await clock.advance(10_000);
    expect((await client.getManifest('stable')).ok).toBe(true);
    expect(given).toBe(2);
  });

  test('requests at one time share one token', async () => {
    let given = 0;
    const scripted = peers(
      bearer('https://registry.example/t'),
      (sent) => sent === 'Bearer t',
      () => {
        given += 1;
        return give({ token: 't' });
      },
    );
    const client = registry(scriptedLink(scripted), config);
    const all = await Promise.all(Array.from({ length: 5 }, () => client.getManifest('stable')));
    expect([all.every(({ ok }) => ok), given]).toEqual([true, 1]);
  });

  test('a push asks for pull and push', async () => {
    const scripted = peers(
      bearer('https://registry.example/t'),
      () => false,
      () => give({ token: 't' }),
    );
    await registry(scriptedLink(scripted), config).putManifest('stable', new Uint8Array(2));
    expect(new URL(scripted.asked[1]?.url ?? '').searchParams.get('scope')).toBe(
      'repository:plant/state:pull,push',
    );
  });
});

describe('a token of the owner', () => {
  test('is sent at once, and read again after a 401', async () => {
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, 'old\n');
    const scripted = peers(
      'Bearer realm="https://registry.example/t"',
      (sent) => sent === 'Bearer new',
      () => manifest,
    );
    const { client, result } = await get(scripted, { auth: { tokenFile } });
    expect([result, scripted.asked.length]).toEqual(['link.unauthorized', 1]);
    expect(scripted.asked[0]?.headers.authorization).toBe('Bearer old');
    writeFileSync(tokenFile, 'new\n');
    expect((await client.getManifest('stable')).ok).toBe(true);
  });
});

test('N13: no fault of a refused login holds the secrets', async () => {
  const answers: Answer[] = [{ status: 401 }, { status: 500 }, { status: 200, body: 'pw' }];
  for (const answer of answers) {
    const scripted = peers(
      bearer('https://registry.example/t'),
      () => false,
      () => answer,
    );
    const { fetched } = await get(scripted);
    expect(JSON.stringify(fetched)).not.toMatch(/pw"|cHJlc3M6cHc=/);
  }
});
