/**
 * TLS with a dead clock (L17, N08): a process at 1970 and at 2040 pulls from a real registry over
 * TLS. What decides is the time floor, the anchors and the name, never the wall clock.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { httpLink } from '#link/http.ts';
import { registry } from '#link/registry.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { sha256 } from '#state/digest.ts';
import {
  type CertificateFiles,
  CLIENT,
  makeCa,
  makeLeaf,
  SERVER,
} from '../support/certificates.ts';
import { clockAt, faketime } from '../support/dead-clock.ts';
import { dockerRegistry, type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { program, ROOT } from '../support/parts.ts';
import type { Probe, Probed } from '../support/tls-probe.ts';

const missing = [
  ...(dockerRegistry === null ? ['docker-registry'] : []),
  ...(faketime ? [] : ['faketime']),
  ...(program('openssl') === null ? ['openssl'] : []),
];
const DAY = 24 * 3_600_000;
const NOW = Date.now();
const large = Buffer.alloc(3_000_000, 'turbine ');
const digest = sha256(large);

/** Counts connections, and passes them on: a network cable, or a proxy that wants CONNECT. */
async function relay(to: () => number, connectLines: string[] | null) {
  const counted = { connections: 0, port: 0 };
  const server: Server = createServer((client) => {
    counted.connections += 1;
    client.on('error', () => client.destroy());
    const join = (): void => {
      const upstream = connect(to(), '127.0.0.1');
      upstream.on('error', () => client.destroy());
      client.on('close', () => upstream.destroy());
      client.pipe(upstream).pipe(client);
    };
    if (connectLines === null) return join();
    client.once('data', (head) => {
      connectLines.push(...head.toString('latin1').trim().split('\r\n'));
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      join();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  counted.port = typeof address === 'object' && address !== null ? address.port : 0;
  return { counted, close: () => void server.close() };
}

if (missing.length > 0) {
  test.skip(`${missing.join(', ')} not installed: nothing here was tried`, () => undefined);
} else {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'));
  const registries: RealRegistry[] = [];
  let ca: CertificateFiles;
  let other: CertificateFiles;
  let client: CertificateFiles;
  const ports = new Map<string, number>();
  const logs = new Map<string, () => string>();

  async function serve(name: string, leaf: CertificateFiles, clientCa?: string): Promise<void> {
    const tls = { cert: leaf.cert, key: leaf.key, ...(clientCa === undefined ? {} : { clientCa }) };
    const real = await startRegistry({ tls });
    registries.push(real);
    ports.set(name, real.port);
    logs.set(name, real.log);
  }

  /** The leaf, then who signed it, as one file. */
  function chained(name: string, ...chain: readonly CertificateFiles[]): CertificateFiles {
    const cert = join(folder, `${name}-chain.pem`);
    writeFileSync(cert, chain.map((one) => readFileSync(one.cert, 'utf8')).join(''));
    return { cert, key: chain[0]?.key ?? '' };
  }

  beforeAll(async () => {
    ca = makeCa(folder, 'plant');
    other = makeCa(folder, 'other');
    client = makeLeaf(folder, 'press-7', ca, CLIENT);
    const CA = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'];
    const middle = makeLeaf(folder, 'middle', ca, CA);
    const noCa = makeLeaf(folder, 'no-ca', ca, SERVER);
    const elsewhere = SERVER.map((line) =>
      line.replace(/subjectAltName=.*/, 'subjectAltName=DNS:elsewhere'),
    );
    await Promise.all([
      serve('right', makeLeaf(folder, 'right', ca, SERVER)),
      serve('wrong name', makeLeaf(folder, 'elsewhere', ca, elsewhere)),
      serve('intermediate', chained('i', makeLeaf(folder, 'i', middle, SERVER), middle)),
      serve('leaf as issuer', chained('l', makeLeaf(folder, 'l', noCa, SERVER), noCa)),
      serve('client', makeLeaf(folder, 'both', ca, SERVER), ca.cert),
    ]);
    await push('right', {});
    await push('client', { cert: client.cert, key: client.key });
  }, 60_000);
  afterAll(async () => {
    await Promise.all(registries.map((real) => real.remove()));
    rmSync(folder, { recursive: true });
  });

  async function push(name: string, more: { cert?: string; key?: string }): Promise<void> {
    const platform = bunPlatform({ logLevel: 'error', logFormat: 'json' });
    const publisher = registry(httpLink(platform), configOf(name, more));
    const pushed = await publisher.pushBlob(digest, large.length, large);
    if (!pushed.ok) throw new Error(pushed.fault.message);
  }

  function configOf(
    name: string,
    more: { ca?: string; cert?: string; key?: string } = {},
  ): Probe['config'] {
    const url = `https://127.0.0.1:${ports.get(name)}/plant/state`;
    return { url, auth: null, tls: { ca: ca.cert, ...more }, proxy: null, insecure: false };
  }

  /** @param at  what its clock shows; null: the right time */
  function probe(
    at: string | null,
    config: Probe['config'],
    changes: Partial<Probe> & { env?: Record<string, string> } = {},
  ): Promise<Probed> {
    const { env = {}, ...inputs } = changes;
    const directory = mkdtempSync(join(folder, 'run-'));
    const input: Probe = {
      config,
      floorMs: NOW,
      wallPlausible: false,
      directory: join(directory, 'tls'),
      blob: digest,
      size: large.length,
      ...inputs,
    };
    const script = join(ROOT, 'test/support/tls-probe.ts');
    return new Promise((resolve, reject) => {
      const before = at === null ? ['env'] : clockAt(at);
      const line = [...before, process.execPath, script, JSON.stringify(input)];
      const child = spawn(line[0] ?? '', line.slice(1), {
        cwd: ROOT,
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let out = '';
      child.stdout.on('data', (text) => {
        out += text;
      });
      child.on('exit', () => {
        try {
          resolve(JSON.parse(out));
        } catch {
          reject(new Error(`the probe said ${out}`));
        }
      });
    });
  }

  for (const [at, year] of [
    ['1970-01-02 00:00:00', 1970],
    ['2040-06-01 00:00:00', 2040],
  ] as const) {
    describe(`at ${year}`, () => {
      const fine = { year, results: ['ok', 'ok', 'ok'], digest };

      test('L17: the right CA: pulls, and streams a blob', async () => {
        expect(await probe(at, configOf('right'))).toMatchObject(fine);
      }, 30_000);

      test('L17: a certificate issued after the floor is fine', async () => {
        const late = { floorMs: NOW - 400 * DAY };
        expect(await probe(at, configOf('right'), late)).toMatchObject(fine);
      }, 30_000);

      for (const [what, name, more, changes, reason] of [
        ['the wrong CA', 'right', 'other', {}, 'no anchor'],
        ['a wrong name', 'wrong name', 'plant', {}, 'another name'],
        ['a leaf without CA flag as issuer', 'leaf as issuer', 'plant', {}, 'no anchor'],
        ['expired before the floor', 'right', 'plant', { floorMs: NOW + 60 * DAY }, 'ended'],
      ] as const) {
        test(`L17, N08: ${what}: refused before a request`, async () => {
          const anchors = { ca: more === 'other' ? other.cert : ca.cert };
          const got = await probe(at, configOf(name, anchors), changes);
          expect([...new Set(got.results)]).toEqual(['link.tls-untrusted']);
          expect(got.message).toContain(reason);
          if (name !== 'right') expect(logs.get(name)?.()).not.toContain('/v2/plant');
        }, 30_000);
      }

      test("the runtime's own check would refuse the right CA", async () => {
        const got = await probe(at, configOf('right'), { wallPlausible: true });
        expect(got.results[0]).toMatch(/^link\.tls/);
      }, 30_000);
    });
  }

  describe('with a clock that is right', () => {
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0', HTTPS_PROXY: 'http://127.0.0.1:9' };
    const usual = { wallPlausible: true, env };
    test('the right CA, whatever proxy the environment names', async () => {
      expect((await probe(null, configOf('right'), usual)).digest).toBe(digest);
    }, 30_000);
    for (const [what, name, anchors] of [
      ['the wrong CA', 'right', () => ({ ca: other.cert })],
      ['a wrong name', 'wrong name', () => ({})],
      ['a leaf without CA flag as issuer', 'leaf as issuer', () => ({})],
    ] as const) {
      test(`N08: ${what}, under NODE_TLS_REJECT_UNAUTHORIZED=0`, async () => {
        const got = await probe(null, configOf(name, anchors()), usual);
        expect([...new Set(got.results)]).toEqual(['link.tls-untrusted']);
      }, 30_000);
    }
  });

  describe('with a dead clock', () => {
    const at = '1970-01-02 00:00:00';

    test('an intermediate that the registry sends is followed', async () => {
      const got = await probe(at, configOf('intermediate'), { blob: '' });
      expect(got.results).toEqual(['ok', 'ok', 'ok']);
    }, 30_000);

    test('a client certificate is shown, and wanted', async () => {
      const { cert, key } = client;
      expect((await probe(at, configOf('client', { cert, key }))).digest).toBe(digest);
      const without = await probe(at, configOf('client'));
      expect(without.results.includes('ok')).toBe(false);
    }, 30_000);

    test('without tls.ca nothing counts', async () => {
      const got = await probe(at, { ...configOf('right'), tls: null });
      expect(got.message).toContain('tls.ca');
    }, 30_000);

    test('connections are kept: four requests, one connection', async () => {
      const { counted, close } = await relay(() => ports.get('right') ?? 0, null);
      const url = `https://127.0.0.1:${counted.port}/plant/state`;
      const got = await probe(at, { ...configOf('right'), url });
      expect([got.digest, counted.connections]).toEqual([digest, 1]);
      close();
    }, 30_000);

    test('through a proxy: CONNECT first, then TLS with the registry itself', async () => {
      const lines: string[] = [];
      const { counted, close } = await relay(() => ports.get('right') ?? 0, lines);
      const proxy = `http://user:secret@127.0.0.1:${counted.port}`;
      const got = await probe(at, { ...configOf('right'), proxy });
      expect(got.digest).toBe(digest);
      expect(lines[0]).toBe(`CONNECT 127.0.0.1:${ports.get('right')} HTTP/1.1`);
      expect(lines).toContain(
        `Proxy-Authorization: Basic ${Buffer.from('user:secret').toString('base64')}`,
      );
      close();
    }, 30_000);

    test('the tunnel is for this user alone', async () => {
      const platform = bunPlatform({ logLevel: 'error', logFormat: 'json' });
      const directory = join(mkdtempSync(join(folder, 'run-')), 'tls');
      const deadClock = { directory, time: () => ({ floorMs: NOW, wallPlausible: false }) };
      const link = httpLink(platform, { deadClock });
      await registry(link, configOf('right')).getManifest('none');
      expect(statSync(directory).mode & 0o777).toBe(0o700);
      expect(statSync(join(directory, '1.sock')).mode & 0o777).toBe(0o600);
      link.close();
      expect(existsSync(join(directory, '1.sock'))).toBe(false);
    });
  });
}
