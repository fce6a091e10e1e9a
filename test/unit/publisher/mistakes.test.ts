/** What a person gets told for each mistake at the desk: the code, and an exit code of 2. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemFiles } from '#platform/node/files.ts';
import { fileContent } from '#publisher/content.ts';
import { type Desk, openDesk } from '../../support/desk.ts';

let desk: Desk;
beforeEach(async () => {
  desk = openDesk();
  await desk.run(['init', 'plant', '--no-passphrase']);
});
afterEach(() => desk.remove());

const at = (path: string) => join(desk.folder, 'plant', path);
const rows: readonly [string, readonly string[], string, (() => void)?][] = [
  ['which channel', ['sign'], 'publish.channel-unnamed'],
  ['a channel that is not there', ['sign', 'beta'], 'publish.channel-unknown'],
  ['no registry', ['publish', 'stable'], 'publish.no-registry'],
  ['a key name that is none', ['key', 'create', 'A B'], 'publish.option'],
  ['a bundle of no kind', ['publish', 'stable', '--to', 'zip:x'], 'publish.bundle'],
  ['a bundle without a path', ['verify', 'oci:'], 'publish.bundle'],
  [
    'a layout of something else',
    ['verify', 'oci:empty'],
    'publish.nothing-signed',
    () => layout([]),
  ],
  [
    'a bundle with too many manifests',
    ['verify', 'oci:empty'],
    'publish.bundle',
    () => layout(Array.from({ length: 17 }, descriptor)),
  ],
  [
    'no public key',
    ['sign', 'stable'],
    'publish.key-missing',
    () => rmSync(at('keys/signing/stable.pub.pem')),
  ],
  ['a folder that is no fleet', ['key', 'list', '-C', 'nowhere'], 'publish.not-a-fleet'],
];

describe('each mistake has its own code', () => {
  for (const [what, args, code, prepare] of rows) {
    test(`${what}: ${code}`, async () => {
      prepare?.();
      const ran = await desk.run(args.includes('-C') ? args : [...args, '-C', 'plant']);
      expect(ran.err).toContain(code);
      expect(ran.err).toContain('→'); // and what to do
      expect(ran.code).toBe(2);
    });
  }
  for (const peer of ['registry: { url: "https://a/b"', 'mqtt: { url: "mqtts://a"']) {
    test(`a login for no proxy, ${peer.split(':')[0]} is refused`, async () => {
      const auth = 'proxyAuth: { usernameFile: u, passwordFile: p }';
      appendFileSync(at('fleet.yaml'), `${peer}, ${auth} }\n`);
      const ran = await desk.run(['sign', 'stable', '-C', 'plant']);
      expect(ran.err).toContain('proxyAuth only beside the proxy that it is for');
      expect(ran.code).toBe(2);
    });
  }
  test('promoting a channel to itself, or an empty one: publish.not-promotable', async () => {
    appendFileSync(at('fleet.yaml'), 'registry: { url: "http://127.0.0.1:1/plant/state" }\n');
    const ran = await desk.run(['promote', 'stable', 'stable', '-C', 'plant']);
    expect(ran.err).toContain('publish.not-promotable');
  });
  test('a nudge without a broker in fleet.yaml: publish.no-broker comes after the registry', async () => {
    expect((await desk.run(['nudge', 'stable', '-C', 'plant'])).err).toContain(
      'publish.no-registry',
    );
  });
  test('no link to the registry ends with 4', async () => {
    appendFileSync(at('fleet.yaml'), 'registry: { url: "http://127.0.0.1:1/plant/state" }\n');
    expect((await desk.run(['publish', 'stable', '-C', 'plant'])).code).toBe(4);
  });
});

test('fewer signers than the root wants: publish.too-few-signers', async () => {
  const { openFleet } = await import('#publisher/fleet.ts');
  const { readLine } = await import('#publisher/line.ts');
  const { prepareChannel } = await import('#publisher/publish.ts');
  const fleet = openFleet(desk.platform, at(''), 0);
  if (!fleet.ok) throw new Error(fleet.fault.message);
  const root = {
    ...fleet.value.root,
    roles: fleet.value.root.roles.map((role) => ({ ...role, threshold: 2 })),
  };
  const strict = { ...fleet.value, root };
  const line = await readLine(desk.platform, strict, 'stable', null);
  if (!line.ok) throw new Error(line.fault.message);
  const signed = await prepareChannel(desk.platform, strict, line.value, {
    passphrases: () => Promise.reject(new Error('asked for a passphrase')),
    confirmRemoval: () => Promise.resolve(false),
    renew: false,
  });
  expect(signed.ok ? '' : signed.fault.code).toBe('publish.too-few-signers');
});

test('a file that changes between hashing and sending: publish.changed-meanwhile', () => {
  const file = join(desk.folder, 'moving');
  writeFileSync(file, 'one');
  const content = fileContent(systemFiles(), file);
  if (!content.ok) throw new Error(content.fault.message);
  writeFileSync(file, 'two');
  const last = [...content.value.chunks()].at(-1);
  expect(last && !last.ok && last.fault.code).toBe('publish.changed-meanwhile');
});

test('a file in root/ that is no root of the chain is not passed over', async () => {
  writeFileSync(at('root/2.root.json'), readFileSync(at('root/1.root.json')));
  const again = await desk.run(['sign', 'stable', '-C', 'plant']);
  expect([again.code, again.err.includes('trust.root-gap')]).toEqual([3, true]);
  writeFileSync(at('root/2.root.json'), '{}');
  expect((await desk.run(['sign', 'stable', '-C', 'plant'])).code).toBe(3);
});

function descriptor() {
  return {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'a'.repeat(64)}`,
    size: 10,
  };
}

function layout(manifests: readonly object[]): void {
  const folder = join(desk.folder, 'empty');
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}
