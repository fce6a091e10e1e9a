/** Trust bundles: what the hub serves of them, and how a device takes the next one over https. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type CertificateFiles, makeCa, makeLeaf } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { type LittleManager, littleManager } from '../support/margo-server.ts';
import {
  DOMAIN,
  type MargoWorld,
  makeSvid,
  margoWorld,
  WFM,
  writeTrustBundle,
} from '../support/margo-world.ts';

const BUNDLE = '/.well-known/spiffe/bundle.json';
const DISCOVERY = '/.well-known/margo';

let world: MargoWorld;
let pki: string;
let svid: CertificateFiles;
beforeAll(async () => {
  world = await margoWorld(null, 'by tests');
  pki = join(world.desk.folder, 'pki');
  svid = world.svid('press-42');
});
afterAll(() => world.remove());

const title = (text: string): string => (Bun.which('openssl') ? text : `${text} (no openssl)`);
const pem = (file: string): string => readFileSync(file, 'utf8');

describe('the bundle that the hub serves', () => {
  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${world.url}${path}`, {
      ...{ headers, tls: { ca: pem(world.ca.cert), checkServerIdentity: () => undefined } },
    } as RequestInit);

  test('is found by the discovery document, and not sent twice', async () => {
    const found = await get(DISCOVERY);
    const { trustDomain, trustBundleUri } = (await found.json()) as Record<string, string>;
    expect([trustDomain, trustBundleUri]).toEqual([DOMAIN, `${world.url}${BUNDLE}`]);
    const bundle = await get(BUNDLE);
    expect(await bundle.text()).toBe(pem(world.bundle));
    const etag = bundle.headers.get('etag') ?? '';
    expect((await get(BUNDLE, { 'if-none-match': etag })).status).toBe(304);
  });

  test('is the one that the operator has put there since; one that is older or empty is not served', async () => {
    const first = pem(world.bundle);
    const next = makeCa(pki, 'after');
    writeTrustBundle(world.bundle, [world.ca.cert, next.cert], 5);
    const second = pem(world.bundle);
    expect(await (await get(BUNDLE)).text()).toBe(second);
    for (const text of [first, '{"spiffe_sequence":9,"keys":[]}', '{']) {
      writeFileSync(world.bundle, text);
      expect(await (await get(BUNDLE)).text()).toBe(second);
    }
    writeFileSync(world.bundle, second);
  });
});

describe('a device that fetches its trust bundle again', () => {
  let next: CertificateFiles;
  let other: LittleManager;
  const devices: MargoDevice[] = [];
  beforeAll(async () => {
    next = makeCa(pki, 'next');
    // Its certificate is of the next anchor; the owner's file knows only the first one.
    other = await littleManager(makeSvid(pki, 'little', next, WFM), world.ca);
  });
  afterAll(async () => {
    for (const one of devices) await one.stop();
    await other.close();
  });

  const device = (
    name: string,
    trustBundle: string,
    more: Record<string, unknown>,
  ): MargoDevice => {
    const { cert, key } = svid;
    const made = margoDevice({
      ...{ folder: join(world.desk.folder, name), root: world.root, url: other.url, svid },
      ...{ trustBundle, margo: { identity: { cert, key, trustBundle, ...more } } },
    });
    devices.push(made);
    return made;
  };
  const bundleOf = (name: string, anchors: readonly string[], sequence: number): string => {
    const path = join(pki, `${name}.json`);
    writeTrustBundle(path, anchors, sequence);
    return path;
  };

  test(title(
    'rules 6, 8: takes the whole set from where its owner says, and keeps it over restarts',
  ), async () => {
    const site = await plainSite(makeCa(pki, 'site'));
    site.pages.set('/bundle', pem(bundleOf('served', [next.cert], 8)));
    const owners = bundleOf('owners', [world.ca.cert], 7);
    const refreshed = device('refreshed', owners, {
      ...{ trustBundleUri: `${site.url}/bundle`, trustBundleCa: site.ca },
    });
    refreshed.start();
    await eventually('the manager of the next anchor is reached', () => other.seen.length > 0);
    await refreshed.stop('SIGKILL');
    await site.close();
    const before = other.seen.length;
    refreshed.start();
    await eventually('reached without the site', () => other.seen.length > before + 2);
    // The owner's file lies there as before: it undoes nothing. A newer one of the owner counts.
    bundleOf('owners', [world.ca.cert], 9);
    other.drop();
    await eventually('the owner has the last word', () =>
      refreshed.log().includes('link.tls-untrusted'),
    );
  }, 30_000);

  test(title(
    'rules 7, 8: keeps what it has when the next is older, has no anchor, or comes from nobody it trusts',
  ), async () => {
    const site = await plainSite(makeCa(pki, 'second-site'));
    const stranger = makeCa(pki, 'stranger');
    for (const [name, text, mark] of [
      ['older', pem(bundleOf('older', [stranger.cert], 3)), 'is below 7'],
      ['jwt-only', '{"spiffe_sequence":8,"keys":[{"kty":"EC","use":"jwt-svid"}]}', 'none of its'],
      ['unsafe', pem(bundleOf('unsafe', [stranger.cert], 8)), 'link.tls'],
    ] as const) {
      site.pages.set('/bundle', text);
      const anchors = name === 'unsafe' ? stranger.cert : site.ca;
      const owners = bundleOf(`${name}-owners`, [next.cert], 7);
      const keeping = device(name, owners, {
        ...{ trustBundleUri: `${site.url}/bundle`, trustBundleCa: anchors },
      });
      const before = other.seen.length;
      keeping.start();
      await eventually(`${name} was told`, () => keeping.log().includes(mark));
      await eventually(`${name} reaches its manager`, () => other.seen.length > before + 2);
      await keeping.stop();
    }
    await site.close();
  }, 30_000);

  test(title(
    'rules 6, 8: asks its manager where the bundle lies, of its own trust domain and over https alone',
  ), async () => {
    const found = (trustDomain: string, trustBundleUri: string) =>
      other.faults.set(DISCOVERY, {
        ...{ status: 200, headers: { 'content-type': 'application/json' } },
        body: JSON.stringify({ trustDomain, trustBundleUri, unknown: 1 }),
      });
    for (const [domain, uri, mark] of [
      ['elsewhere.example', `${other.url}/next`, 'the trust domain elsewhere.example'],
      [DOMAIN, 'http://127.0.0.1/next', 'only https:// counts'],
    ] as const) {
      found(domain, uri);
      const asking = device(`discovers-${devices.length}`, bundleOf('first', [next.cert], 1), {
        discover: true,
      });
      asking.start();
      await eventually(mark, () => asking.log().includes(mark));
      await asking.stop();
    }
    found(DOMAIN, `${other.url}/next`);
    const body = pem(bundleOf('found', [next.cert, world.ca.cert], 2));
    other.faults.set('/next', { status: 200, body });
    const asking = device('discovers', bundleOf('first', [next.cert], 1), { discover: true });
    asking.start();
    const kept = join(asking.stateDir, 'margo/trust-bundle.json');
    await eventually('it is kept', () => {
      const held = Bun.file(kept).size > 0 ? pem(kept) : '';
      return held.includes(Buffer.from(body).toString('base64'));
    });
    rmSync(kept);
    await asking.stop();
  }, 30_000);
});

interface Site {
  readonly url: string;
  /** path of its authority */
  readonly ca: string;
  readonly pages: Map<string, string>;
  close(): Promise<void>;
}

/** Of ordinary https, with a certificate for its address. */
async function plainSite(ca: CertificateFiles): Promise<Site> {
  const leaf = makeLeaf(pki, `of-${ca.cert.split('/').at(-1)}`, ca, [
    ...['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature'],
    ...['extendedKeyUsage=serverAuth', 'subjectAltName=IP:127.0.0.1'],
  ]);
  const pages = new Map<string, string>();
  const server: Server = createServer(
    { cert: pem(leaf.cert), key: pem(leaf.key) },
    (request, response) => {
      const page = pages.get(request.url ?? '');
      response.writeHead(page === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(page);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ ca: ca.cert, pages },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
