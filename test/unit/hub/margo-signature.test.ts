/** Who sent a request, as the hub judges it: Margo's signing cases whole, names of a manager, several signatures. */
import { describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ok } from '#errors/fault.ts';
import { type MargoOlderInput, margoOlder } from '#hub/margo-older.ts';
import { judgeSigned, type SignedRequest } from '#hub/margo-signature.ts';
import type { ServedRequest } from '#platform/listener.ts';
import { systemMessageKeys } from '#platform/node/message-keys.ts';
import {
  componentsOf,
  contentDigest,
  coveredBy,
  signatureBase,
  signatureFields,
  signatureParams,
} from '#wire/http-signature.ts';
import { writeOnboarding } from '#wire/margo-onboarding.ts';
import { value } from '../../support/store.ts';

const keys = systemMessageKeys();
const pair = keys.make('press-42', 0);
const signer = value(keys.signer(pair));
const NOW = Date.UTC(2026, 10, 24);

function signed(url: string, body = Buffer.from('{}'), by = signer) {
  const headers = { 'content-digest': contentDigest(body) };
  const parameters = { created: NOW / 1_000, keyid: by.keyid, algorithm: by.algorithm };
  const params = signatureParams(coveredBy(true), parameters);
  const message = { method: 'POST', url, headers };
  const base = signatureBase(coveredBy(true), params, componentsOf(message));
  return { ...headers, ...signatureFields(params, by.sign(base ?? new Uint8Array())) };
}

describe('onboarding by name', () => {
  const onboard = async (
    asked: {
      readonly host: string;
      readonly target?: string;
      readonly headers: SignedRequest['headers'];
    },
    url: string | null,
  ) => {
    const given: string[] = [];
    const body = writeOnboarding(pair.certificate);
    const input = {
      ...{ keys, url, accepts: () => true, clock: { wallMs: () => NOW }, log: { write: () => {} } },
      onboarded: {
        certificate: () => null,
        add: () => ok(`c-${given.push('x')}`),
        close: () => {},
      },
    } as unknown as MargoOlderInput;
    const request: ServedRequest = {
      ...{ method: 'POST', target: asked.target ?? '/api/v1/onboarding' },
      headers: { ...asked.headers, host: asked.host },
      body: (async function* () {
        yield body;
      })(),
      signal: new AbortController().signal,
    };
    return (await margoOlder(input)(request))?.status;
  };
  const body = Buffer.from(writeOnboarding(pair.certificate));
  const path = '/api/v1/onboarding';

  test('by the name that was asked for, in any case and with the port that https implies', async () => {
    const headers = signed(`https://wfm.example${path}`, body);
    for (const host of ['wfm.example', 'WFM.example', 'wfm.example:443']) {
      expect([host, await onboard({ host, headers }, null)]).toEqual([host, 201]);
    }
    const explicit = signed(`https://wfm.example:443${path}`, body);
    expect(await onboard({ host: 'wfm.example:443', headers: explicit }, null)).toBe(201);
    for (const host of ['other.example', 'wfm.example/x', 'a@wfm.example', '', 'wfm.example:1']) {
      expect([host, await onboard({ host, headers }, null)]).toEqual([host, 401]);
    }
  });

  test('with --margo-url only signatures for that address count, whatever Host says', async () => {
    const url = 'https://wfm.example/margo';
    const headers = signed(`${url}${path}`, body);
    expect(await onboard({ host: '10.0.0.7:5443', headers }, url)).toBe(201);
    const other = signed(`https://evil.example${path}`, body);
    expect(await onboard({ host: 'evil.example', headers: other }, url)).toBe(401);
  });
});

test('a stranger that asks to be onboarded for ever is told once', async () => {
  const body = Buffer.from(writeOnboarding(pair.certificate));
  const told: string[] = [];
  const input = {
    ...{ keys, url: null, accepts: () => false, clock: { wallMs: () => NOW } },
    log: { write: (_level: string, event: string) => void told.push(event) },
  } as unknown as MargoOlderInput;
  const handle = margoOlder(input);
  const path = '/api/v1/onboarding';
  const headers = { ...signed(`https://wfm.example${path}`, body), host: 'wfm.example' };
  const ask = () =>
    handle({
      ...{ method: 'POST', target: path, headers, signal: new AbortController().signal },
      body: (async function* () {
        yield body;
      })(),
    });
  const ends = [await ask(), await ask(), await ask()];
  expect(ends.map((answer) => answer?.status)).toEqual([403, 403, 403]);
  expect(told).toEqual(['margo.refused']);
});

test('one signature of several that holds is enough; none that holds is not', () => {
  const url = 'https://wfm.example/x';
  const good = signed(url);
  const bad = signed('https://wfm.example/y');
  const both = {
    'content-digest': good['content-digest'],
    'signature-input': `${bad['signature-input']}, ${good['signature-input'].replace('sig1', 'sig2')}`,
    signature: `${bad.signature}, ${good.signature.replace('sig1', 'sig2')}`,
  };
  const verifier = keys.verifier(signer.certificate);
  const request = { method: 'POST', urls: [url], body: Buffer.from('{}') };
  expect(judgeSigned({ ...request, headers: both }, verifier!, NOW)).toBeNull();
  expect(judgeSigned({ ...request, headers: bad }, verifier!, NOW)?.status).toBe(401);
  const expired = {
    ...request,
    headers: { ...good, 'signature-input': `${good['signature-input']};expires=1` },
  };
  expect(judgeSigned(expired, verifier!, NOW)?.reason).toContain('expired');
});

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../../shared');
const SIGNING = join(SHARED, 'margo/examples/signing');
const present = existsSync(join(SIGNING, 'cases.json'));

describe.skipIf(!present)(
  `Margo's signing cases (rules 72, 73)${present ? '' : ' (skipped: none here)'}`,
  () => {
    interface Case {
      readonly name: string;
      readonly method: string;
      readonly url: string;
      readonly bodyFile: string | null;
      readonly key: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly verifyAtUnixTime: number;
      readonly expect: 'accept' | 'refuse';
    }
    const cases: readonly Case[] = present
      ? JSON.parse(readFileSync(join(SIGNING, 'cases.json'), 'utf8'))
      : [];
    const certificates = new Map<string, Uint8Array>();
    /** Of an RSA key there is no certificate beside it. */
    const certificateOf = (key: string): Uint8Array => {
      const known = certificates.get(key);
      if (known) return known;
      const flags = ['-key', join(SIGNING, `${key}.key.pem`), '-subj', '/CN=c', '-days', '30'];
      const pem = execFileSync('openssl', ['req', '-x509', ...flags], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const raw = new Uint8Array(new X509Certificate(pem).raw);
      certificates.set(key, raw);
      return raw;
    };
    for (const one of cases) {
      test(`${one.name}: ${one.expect}`, () => {
        const named = Object.entries(one.headers).map(([name, text]) => [name.toLowerCase(), text]);
        const body =
          one.bodyFile === null ? Buffer.alloc(0) : readFileSync(join(SIGNING, one.bodyFile));
        const request = {
          method: one.method,
          urls: [one.url],
          headers: Object.fromEntries(named),
          body,
        };
        const verifier = keys.verifier(certificateOf(one.key));
        const end = judgeSigned(request, verifier!, one.verifyAtUnixTime * 1_000);
        if (one.expect === 'accept') expect(end).toBeNull();
        else expect(end?.status).toBe(one.name === 'body-changed' ? 400 : 401);
      });
    }
  },
);
