/** Against distribution's docker-registry and skopeo: pull, push, basic, tokens, bundles. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok } from '#errors/fault.ts';
import type { RegistryConfig } from '#link/endpoint.ts';
import { type HttpLink, httpLink } from '#link/http.ts';
import { type Registry, registry } from '#link/registry.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { ociLayout } from '#sources/oci-layout.ts';
import { ociRegistry } from '#sources/oci-registry.ts';
import { sha256 } from '#state/digest.ts';
import { sourceContract } from '../contract/source.contract.ts';
import { authority } from '../support/authority.ts';
import { dockerRegistry, type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { program } from '../support/parts.ts';
import { publishState } from '../support/published.ts';
import { pushState } from '../support/push-state.ts';
import { startTokenService, type TokenService } from '../support/token-service.ts';

const platform = bunPlatform({ logLevel: 'error', logFormat: 'json' });
const skopeo = program('skopeo');
const folder = mkdtempSync(join(tmpdir(), 'holdfast-real-'));
afterAll(() => rmSync(folder, { recursive: true }));
const signal = new AbortController().signal;

function configOf(port: number, changes: Partial<RegistryConfig> = {}): RegistryConfig {
  const url = `http://127.0.0.1:${port}/plant/state`;
  return { url, auth: null, tls: null, proxy: null, insecure: false, ...changes };
}

function open(port: number, changes: Partial<RegistryConfig> = {}): Registry {
  return registry(httpLink(platform), configOf(port, changes));
}

if (dockerRegistry === null) {
  test.skip('docker-registry is not installed: nothing here was tried', () => undefined);
} else {
  const users = { press: 'pw', other: 'x' };
  const auth = { username: 'press', password: 'pw' };

  sourceContract('oci-registry, distribution with basic credentials', async () => {
    const real = await startRegistry({ users });
    const client = open(real.port, { auth });
    return {
      source: ociRegistry(client, 'stable'),
      publish: (state) => pushState(client, 'stable', state),
      remove: () => real.remove(),
    };
  });

  describe('basic credentials', () => {
    let real: RealRegistry;
    beforeAll(async () => {
      real = await startRegistry({ users });
    });
    afterAll(() => real.remove());

    test('wrong ones, and none, are refused with what to do', async () => {
      for (const wrong of [null, { username: 'press', password: 'PW' }]) {
        const head = await open(real.port, { auth: wrong }).getManifest('stable');
        expect(!head.ok && head.fault).toMatchObject({
          code: 'link.unauthorized',
          retry: 'operator',
        });
      }
    });

    test('from files', async () => {
      const [usernameFile, passwordFile] = [join(folder, 'user'), join(folder, 'password')];
      writeFileSync(usernameFile, 'press\n');
      writeFileSync(passwordFile, 'pw\n');
      const head = await open(real.port, { auth: { usernameFile, passwordFile } }).getManifest(
        'stable',
      );
      expect(head).toEqual(ok(null));
    });
  });

  describe('tokens', () => {
    let real: RealRegistry;
    let service: TokenService;
    const ca = authority('holdfast tests');
    const signer = ca.leaf('DNS:tokens');
    beforeAll(async () => {
      const certBundle = join(folder, 'tokens.pem');
      writeFileSync(certBundle, ca.cert);
      const pusher = `Basic ${Buffer.from('press:pw').toString('base64')}`;
      service = startTokenService({ ...signer, pusher });
      real = await startRegistry({ token: { realm: service.realm, certBundle } });
    });
    afterAll(async () => {
      service.stop();
      ca.remove();
      await real.remove();
    });

    test('a publisher pushes and a device pulls, each with a token of its own', async () => {
      const state = publishState({ roots: 1 });
      await pushState(open(real.port, { auth }), 'stable', state);
      const device = open(real.port);
      const head = await ociRegistry(device, 'stable').head(null, signal);
      expect(head.ok && head.value?.manifestDigest).toBe(state.digest);
      const scopes = service.asked.map(({ scope, authorization }) => [
        scope,
        authorization !== null,
      ]);
      expect(scopes).toEqual([
        ['repository:plant/state:pull', true],
        ['repository:plant/state:pull,push', true],
        ['repository:plant/state:pull', false],
      ]);
    });

    test('whoever may only pull cannot push, and hears so after one token', async () => {
      const before = service.asked.length;
      const put = await open(real.port).putManifest('stable', publishState().manifest);
      expect(!put.ok && put.fault.code).toBe('link.unauthorized');
      expect(service.asked.length - before).toBe(1);
    });
  });

  describe('a repository', () => {
    let real: RealRegistry;
    let client: Registry;
    beforeAll(async () => {
      real = await startRegistry();
      client = open(real.port);
    });
    afterAll(() => real.remove());

    test('a blob of 20 MB goes up in pieces and comes down as it was', async () => {
      const large = Buffer.alloc(20_000_003, 'generation ');
      const told: number[] = [];
      const chunks = () => [ok(large.subarray(0, 5_000_000)), ok(large.subarray(5_000_000))];
      const pushed = await client.pushBlob(sha256(large), large.length, chunks, (sent) =>
        told.push(sent),
      );
      expect(pushed).toEqual(ok(undefined));
      expect(told.at(-1)).toBe(large.length);
      const parts: Uint8Array[] = [];
      for await (const part of client.blob(sha256(large), 0, large.length)) {
        if (part.kind === 'bytes') parts.push(part.bytes);
      }
      expect(sha256(Buffer.concat(parts))).toBe(sha256(large));
    });

    test('an empty blob', async () => {
      const empty = new Uint8Array();
      expect(await client.pushBlob(sha256(empty), 0, empty)).toEqual(ok(undefined));
      expect(await client.hasBlob(sha256(empty))).toEqual(ok(true));
    });

    test('a blob that is not what its digest says is refused by the registry', async () => {
      const pushed = await client.pushBlob(sha256(Buffer.from('a')), 1, Buffer.from('b'));
      expect(!pushed.ok && pushed.fault.code).toBe('link.http-status');
      expect(!pushed.ok && pushed.fault.message).toContain('DIGEST_INVALID');
    });

    test('tags: none, then those that were put', async () => {
      const other = open(real.port, { url: `http://127.0.0.1:${real.port}/never/pushed` });
      expect(await other.tags()).toEqual(ok([]));
      const state = publishState();
      await pushState(client, 'stable', state);
      await pushState(client, 'stable_1_1', state);
      const tags = await client.tags();
      // In no order: distribution lists them as its disk does.
      expect(tags.ok && tags.value.toSorted()).toEqual(['stable', 'stable_1_1']);
      expect(await client.headManifest('stable')).toEqual(ok(state.digest));
      expect(await client.headManifest('none')).toEqual(ok(null));
    });

    test('a quiet look is one HEAD; a change that is inline is one GET', async () => {
      const state = publishState({ inline: true, mark: 'quiet' });
      await pushState(client, 'quiet', state);
      const link = httpLink(platform);
      const asked: string[] = [];
      const counting: HttpLink = {
        ...link,
        send: (request) => {
          asked.push(`${request.method} ${new URL(request.url).pathname}`);
          return link.send(request);
        },
      };
      const source = ociRegistry(registry(counting, configOf(real.port)), 'quiet');
      expect(await source.peek(signal)).toEqual(ok(state.digest));
      expect((await source.head(null, signal)).ok).toBe(true);
      const path = '/v2/plant/state/manifests/quiet';
      expect(asked).toEqual([`HEAD ${path}`, `GET ${path}`]);
    });

    test.skipIf(skopeo === null)(
      `bundles that skopeo copied from it are read${skopeo === null ? ' (skopeo is not installed)' : ''}`,
      async () => {
        const state = publishState({
          mark: 'copied',
          roots: 2,
          files: [Buffer.alloc(100_000, 'f')],
        });
        await pushState(client, 'copied', state);
        const from = `docker://127.0.0.1:${real.port}/plant/state:copied`;
        for (const [kind, path] of [
          ['oci', join(folder, 'layout')],
          ['oci-archive', join(folder, 'bundle.tar')],
        ] as const) {
          const to = `${kind}:${path}:copied`;
          execFileSync(
            skopeo ?? '',
            ['--insecure-policy', 'copy', '--src-tls-verify=false', from, to],
            {
              stdio: ['ignore', 'ignore', 'inherit'],
            },
          );
          const source = ociLayout(platform.files, path, { channel: 'copied' });
          const head = await source.head(null, signal);
          expect([kind, head.ok && head.value?.manifestDigest]).toEqual([kind, state.digest]);
          expect(head.ok && head.value?.roots).toHaveLength(2);
        }
      },
    );
  });
}
