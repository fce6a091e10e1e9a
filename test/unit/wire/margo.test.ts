/** What is written for Margo is read back; what a hostile manager may send is refused with a pointer. */
import { describe, expect, test } from 'bun:test';
import { ok } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import { type MargoStatus, severest } from '#state/margo.ts';
import { MEDIA } from '#state/media-types.ts';
import { readMargoBundle, writeMargoBundle } from '#wire/margo-bundle.ts';
import { readMargoCapabilities, writeMargoCapabilities } from '#wire/margo-capabilities.ts';
import { readMargoManifest, writeMargoManifest } from '#wire/margo-manifest.ts';
import { readProblem, writePlainProblem, writeProblem } from '#wire/margo-problem.ts';
import { readMargoStatus, writeMargoStatus } from '#wire/margo-status.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const digest = sha256(new Uint8Array([1]));
const blob = { name: 'files/a', mediaType: MEDIA.file, digest, size: 3, unpackedSize: 3 };
const parts = {
  version: 2n ** 63n,
  bundle: { digest, size: 9 },
  deployments: [{ id: ID, digest, size: 5 }],
  blobs: [blob],
  prefix: '/api/v1/',
};
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const pointerOf = (body: string): string => {
  const read = readMargoManifest(text(body));
  return read.ok ? 'read' : (/manager: (\S*?):/.exec(read.fault.message)?.[1] ?? '');
};

test('a manifest is read as it was written, also the blobs of our own profiles', () => {
  const read = readMargoManifest(writeMargoManifest(parts));
  expect(read.ok && read.value).toEqual({
    version: 2n ** 63n,
    bundle: digest,
    deployments: [{ id: ID, digest, sizeHint: 5 }],
    blobs: [blob],
    warnings: [],
  });
});

describe('a manifest is refused at the member that is wrong', () => {
  const one = new TextDecoder().decode(writeMargoManifest(parts));
  for (const [what, body, pointer] of [
    ['a version of 0', '{"manifestVersion":0,"bundle":null,"deployments":[]}', '/manifestVersion'],
    ['1.0', '{"manifestVersion":1.0,"bundle":null,"deployments":[]}', '/manifestVersion'],
    ['1e3', '{"manifestVersion":1e3,"bundle":null,"deployments":[]}', '/manifestVersion'],
    ['no list', '{"manifestVersion":1,"bundle":null}', '/deployments'],
    ['no bundle member', '{"manifestVersion":1,"deployments":[]}', '/bundle'],
    ['another origin', one.replaceAll('/api/v1/dep', 'https://x/api/v1/dep'), '/deployments/0/url'],
    ['a way up in the id', one.replaceAll(ID, '../../etc'), '/deployments/0/deploymentId'],
    [
      'a blob that leaves its folder',
      one.replace('files/a', '../a'),
      '/x-holdfast-extensions/blobs/0',
    ],
  ] as const) {
    test(`${what}: ${pointer}`, () => expect(pointerOf(body)).toBe(pointer));
  }

  test('the same id twice, also in other letters', () => {
    const twice = writeMargoManifest({
      ...parts,
      deployments: [...parts.deployments, { id: ID.toUpperCase(), digest, size: 5 }],
    });
    expect(pointerOf(new TextDecoder().decode(twice))).toBe('/deployments/1/deploymentId');
  });

  test('a duplicate member', () => {
    const read = readMargoManifest(text('{"manifestVersion":1,"manifestVersion":2}'));
    expect(read.ok ? '' : read.fault.code).toBe('margo.manifest');
  });
});

test('a bundle is read as it was written, and holds nothing beside what is listed', () => {
  const documents = [ID, 'other'].map((id) => ({ id, bytes: text(id) }));
  const tar = [ok(writeMargoBundle(documents))];
  const wanted = new Set(documents.map(({ bytes }) => sha256(bytes)));
  const read = readMargoBundle(tar, wanted);
  expect(read.ok && [...read.value.keys()].sort()).toEqual([...wanted].sort());
  const fewer = readMargoBundle(tar, new Set([sha256(text(ID))]));
  expect(fewer.ok ? 'ok' : fewer.fault.code).toBe('margo.bundle');
  const more = readMargoBundle(tar, new Set([...wanted, digest]));
  expect(more.ok ? 'ok' : more.fault.code).toBe('margo.bundle');
});

const status: MargoStatus = {
  deploymentId: ID,
  deviceId: null,
  adoptedVersion: 2n ** 64n - 1n,
  state: 'failed',
  error: { code: 'apply.health-failed', source: 'press', message: 'it ended' },
  components: [
    { name: 'a', state: 'installed', error: null },
    { name: 'b', state: 'failed', error: null },
  ],
};

for (const version of [
  '"b"',
  '"-1"',
  '"0"',
  '""',
  '" 1"',
  '1.5',
  '0',
  'null',
  '18446744073709551616',
]) {
  test(`a status that adopted version ${version} is refused by its member`, () => {
    const json = new TextDecoder().decode(writeMargoStatus(status, 'rc3'));
    const body = json.replace(
      /"adoptedManifestVersion":\d+/,
      `"adoptedManifestVersion":${version}`,
    );
    const read = readMargoStatus(text(body), ID, 'rc3');
    expect(read.kind).not.toBe('read');
    expect(JSON.stringify(read)).toContain('adoptedManifestVersion');
  });
}

test('a status is read as it was written, its version to the last digit', () => {
  const read = readMargoStatus(writeMargoStatus(status, 'rc3'), ID, 'rc3');
  expect(read).toEqual({ kind: 'read', value: status });
  const old = readMargoStatus(writeMargoStatus(status, 'rc2'), ID, 'rc2');
  expect(old).toEqual({ kind: 'read', value: { ...status, adoptedVersion: null } });
});

test('a manager takes an empty error and a version as text', () => {
  const body = `{"deploymentId":"${ID}","adoptedManifestVersion":"7","components":[],
    "status":{"state":"installed","error":{"code":"","source":"","message":""}}}`;
  const read = readMargoStatus(text(body), ID, 'rc3');
  expect(read.kind === 'read' && [read.value.error, read.value.adoptedVersion]).toEqual([null, 7n]);
});

test('the whole is as severe as its worst component', () => {
  expect(severest(['installed', 'removed', 'installing'])).toBe('installing');
  expect(severest([])).toBe('installed');
  const mild = new TextDecoder().decode(writeMargoStatus({ ...status, state: 'installed' }, 'rc3'));
  expect(readMargoStatus(text(mild), ID, 'rc3').kind).toBe('wrong');
});

test('capabilities that name some resources and not all are told every missing one', () => {
  const properties = { id: 'd', vendor: 'v', modelNumber: 'm', serialNumber: 's' };
  const relay = writeMargoCapabilities({ properties });
  expect(readMargoCapabilities(relay, 'd').kind).toBe('read');
  expect(readMargoCapabilities(relay, 'e').kind).toBe('wrong');
  const half = writeMargoCapabilities({ properties: { ...properties, memory: '4 Gi' } });
  const read = readMargoCapabilities(half, 'd');
  expect(read.kind === 'wrong' && read.errors.length).toBe(7);
  expect(readMargoCapabilities(text('{'), 'd').kind).toBe('unreadable');
});

test('problems name their type, and are read whatever they hold', () => {
  const body = writeProblem('semantic-error', 'x', [{ field: 'a.0', message: 'missing' }]);
  expect(JSON.parse(body)).toMatchObject({ status: 422, title: 'Semantic Error' });
  expect(readProblem(text(body)).kind).toBe('semantic-error');
  expect(readProblem(text(writePlainProblem(503, 'Busy', 7))).retryAfterSeconds).toBe(7);
  expect(readProblem(text('<html>')).title).toBe('');
});
