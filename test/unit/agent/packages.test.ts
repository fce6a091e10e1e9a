/** Images and packages from the owner's registries: who may be asked, what a tag means for ever. */
import { afterEach, describe, expect, test } from 'bun:test';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { RegistrySettings } from '#agent/config.ts';
import type { DeviceCredentials } from '#agent/package-credentials.ts';
import { packagesFrom } from '#agent/packages.ts';
import type { PackageRegistry } from '#agent/packages-config.ts';
import { NO_SECRETS } from '#apply/secrets.ts';
import { ok, type Result } from '#errors/fault.ts';
import { systemFiles } from '#platform/node/files.ts';
import { downloads } from '#sources/download.ts';
import { sha256 } from '#state/digest.ts';
import type { KnownValue } from '#state/values.ts';
import { contentStore } from '#store/content.ts';
import { packagePins } from '#store/package-pins.ts';
import { packageLayer, readImageManifest } from '#wire/image-manifest.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { type Answer, scriptedHttp, scriptedLink } from '../../support/scripted-http.ts';
import { codeOf, scratch, value } from '../../support/store.ts';

const TYPE = 'application/vnd.oci.image.manifest.v1+json';
const place = { host: 'registry.example', repository: 'line/web' };
const one = manifestOf('one');
const two = manifestOf('two');
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function manifestOf(text: string): string {
  const part = (bytes: string) => ({
    mediaType: 'application/octet-stream',
    digest: sha256(Buffer.from(bytes)),
    size: bytes.length,
  });
  const layers = [part(text)];
  return JSON.stringify({ schemaVersion: 2, mediaType: TYPE, config: part('{}'), layers });
}

function settings(url: string): RegistrySettings {
  return { url, auth: null, tls: null, proxy: null, insecure: false };
}

/** Values of the device's own channel: `user` in the open, `password` sealed. */
function deviceWith(...names: readonly string[]): DeviceCredentials {
  const sealed = { kind: 'sealed', statement: sha256(Buffer.from('s')), tag: '00' } as const;
  const all: readonly (readonly [string, KnownValue])[] = [
    ['user', { kind: 'plain', text: 'press' }],
    ['password', { ...sealed, name: 'password' }],
    ['spoilt', { ...sealed, name: 'spoilt' }],
  ];
  return {
    values: () => ({
      ...{ channel: 'device.press-7', absent: null },
      byName: new Map(all.filter(([name]) => names.includes(name))),
    }),
    secrets: {
      open: ({ name, ...of }) =>
        name === 'password' ? ok('swordfish') : NO_SECRETS.open({ name, ...of }),
    },
  };
}

function world(
  registries: readonly (string | PackageRegistry)[],
  states: readonly string[] = [],
  device = deviceWith(),
) {
  const folder = scratch('packages');
  chmodSync(folder.path, 0o700);
  ends.push(() => folder.remove());
  const held = { answer: (_: string): Answer => ({ status: 404 }) };
  const scripted = scriptedHttp(({ url }) => held.answer(url));
  const content = value(contentStore(systemFiles(), folder.path));
  const clock = manualClock();
  const config = {
    packages: {
      registries: registries.map((one) => (typeof one === 'string' ? settings(one) : one)),
      requireDigests: false,
    },
    registries: states.map(settings),
  };
  const open = () =>
    packagesFrom({
      ...{ config, http: scriptedLink(scripted, { clock }), device },
      pins: packagePins(systemFiles(), folder.path),
      downloads: downloads({ content, clock }),
    })({ roots: [], runtimes: [], users: null, defaultUser: null }, new AbortController().signal);
  return { ...{ folder: folder.path, held, scripted, content, open } };
}

const serves = (body: string) => () => ({ status: 200, headers: { 'content-type': TYPE }, body });

describe('a tag', () => {
  test('means for ever what it meant at first, also for an agent that remembers nothing', async () => {
    const at = world(['https://registry.example']);
    at.held.answer = serves(one);
    const first = value(await at.open().pinned(place, '1.0.0'));
    expect(first).toBe(sha256(Buffer.from(one)));
    expect(at.scripted.asked[0]?.url).toBe('https://registry.example/v2/line/web/manifests/1.0.0');
    at.held.answer = serves(two);
    expect(codeOf(await at.open().pinned(place, '1.0.0'))).toBe('package.tag-moved');
    // Another revision is another thing.
    expect(value(await at.open().pinned(place, '1.0.1'))).toBe(sha256(Buffer.from(two)));
    at.held.answer = () => ({ status: 503 });
    expect(value(await at.open().pinned(place, '1.0.0'))).toBe(first);
  });

  test('that was never seen and is not there is told as missing', async () => {
    const at = world(['https://registry.example']);
    expect(codeOf(await at.open().pinned(place, '1.0.0'))).toBe('package.missing');
    const absent = sha256(Buffer.from(one));
    expect(codeOf(await at.open().manifest(place, absent))).toBe('package.missing');
  });

  test('is not asked for again where its pin was damaged: that would be a way to move it', async () => {
    const at = world(['https://registry.example']);
    at.held.answer = serves(one);
    value(await at.open().pinned(place, '1.0.0'));
    const folder = `${at.folder}/packages`;
    const [pin = ''] = readdirSync(folder);
    const other = sha256(Buffer.from(two));
    const text = readFileSync(`${folder}/${pin}`, 'utf8');
    writeFileSync(`${folder}/${pin}`, text.replace(sha256(Buffer.from(one)), other));
    expect(codeOf(await at.open().pinned(place, '1.0.0'))).toBe('store.checksum');
  });
});

describe('a registry', () => {
  const asked = async (registries: readonly string[], states: readonly string[] = []) => {
    const at = world(registries, states);
    at.held.answer = serves(one);
    const result = await at.open().pinned(place, '1');
    return result.ok ? at.scripted.asked[0]?.url : codeOf(result as Result<unknown>);
  };

  test('that nobody named is not asked', async () => {
    expect(await asked([])).toBe('package.registry-refused');
    expect(await asked(['https://other.example'])).toBe('package.registry-refused');
    expect(await asked(['https://*.registry.example'])).toBe('package.registry-refused');
    expect(await asked(['https://registry.example/lin'])).toBe('package.registry-refused');
  });

  test('is named by host, by domain, with a path, or as that of the states', async () => {
    const url = 'https://registry.example/v2/line/web/manifests/1';
    expect(await asked(['https://registry.example'])).toBe(url);
    expect(await asked(['https://*.example'])).toBe(url);
    expect(await asked(['https://registry.example/line'])).toBe(url);
    expect(await asked([], ['https://registry.example/plant/state'])).toBe(url);
  });
});

describe('credentials that are values of this device', () => {
  const auth = { usernameValue: 'user', passwordValue: 'password' };
  const named = { ...settings('https://registry.example'), auth };
  const refusal = { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } };

  test('are told to that registry, opened, once it asks', async () => {
    const at = world([named], [], deviceWith('user', 'password'));
    at.held.answer = () =>
      at.scripted.asked.at(-1)?.headers.authorization === undefined ? refusal : serves(one)();
    value(await at.open().pinned(place, '1'));
    const said = at.scripted.asked.at(-1)?.headers.authorization;
    expect(said).toBe(`Basic ${Buffer.from('press:swordfish').toString('base64')}`);
  });

  test('package.credential: are not there, or do not open: nobody is asked', async () => {
    for (const [device, why] of [
      [deviceWith('user'), 'device.press-7 has no such value'],
      [deviceWith('user', 'spoilt'), 'has no sealing key'],
    ] as const) {
      const spoilt = { ...auth, passwordValue: 'spoilt' };
      const at = world([{ ...named, auth: spoilt }], [], device);
      const asked = await at.open().pinned(place, '1');
      expect(codeOf(asked)).toBe('package.credential');
      expect(asked.ok ? '' : asked.fault.message).toContain(why);
      expect(at.scripted.asked).toEqual([]);
    }
  });
});

test('blobs come into the content store, checked', async () => {
  const at = world(['https://registry.example']);
  const bytes = Buffer.from('layer');
  at.held.answer = () => ({ status: 200, body: bytes });
  const good = { digest: sha256(bytes), size: bytes.length };
  value(await at.open().fetch(place, [good]));
  expect(at.content.hasBlob(good.digest, good.size)).toBe(true);
  const bad = { digest: sha256(Buffer.from('other')), size: bytes.length };
  expect(codeOf(await at.open().fetch(place, [bad]))).toBe('source.digest-mismatch');
});

describe('a manifest of other people’s tools', () => {
  const read = (text: string) => readImageManifest(Buffer.from(text), 'it');

  test('is an image or an index, never both and never neither', () => {
    expect(value(read(one)).kind).toBe('image');
    expect(value(read('{"schemaVersion":2,"manifests":[]}')).kind).toBe('index');
    for (const text of [
      ...['{}', '[]', 'x', '{"schemaVersion":2}', '{"schemaVersion":1,"manifests":[]}'],
      one.replace('"layers"', '"manifests":[],"layers"'),
      one.replace(TYPE, 'text/plain'),
      one.replace('sha256:', 'sha512:'),
      one.replace(/"size":\d+/, '"size":-1'),
    ])
      expect(codeOf(read(text))).toBe('package.format');
  });

  test('of a package has its type and exactly one layer of the kind', () => {
    const layerType = 'application/octet-stream';
    const layer = (type: string, text = one) =>
      packageLayer(Buffer.from(text), 'it', { type, layerType });
    const typed = one.replace('"config"', '"artifactType":"x/compose","config"');
    expect(value(layer('x/compose', typed)).digest).toBe(sha256(Buffer.from('one')));
    expect(codeOf(layer('x/other', typed))).toBe('package.format');
    const twice = typed.replace(/"layers":\[(.*)\]/, '"layers":[$1,$1]');
    expect(codeOf(layer('x/compose', twice))).toBe('package.format');
  });
});
