/**
 * A manager with its own ways: packed answers, ETags that are none, 304 that says more, answers that are
 * errors, endless, or lie about their length. What may be understood is; the rest leaves the old state.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import {
  type Answer,
  digestOf,
  type LittleManager,
  littleManager,
} from '../support/margo-server.ts';
import {
  filesDocument,
  type MargoWorld,
  makeSvid,
  margoWorld,
  WFM,
} from '../support/margo-world.ts';

const A = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const B = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b02';
const MANIFEST = '/api/v1/deployments';
const TYPE = { 'content-type': 'application/vnd.margo.manifest.v1+json' };
const PROBLEM = { 'content-type': 'application/problem+json' };

let world: MargoWorld;
let manager: LittleManager;
let device: MargoDevice;
beforeAll(async () => {
  world = await margoWorld();
  const names = ['1', '2', '3', '4', '5', '6', '7'];
  for (const text of names) world.write(`files/${text}`, `speed=${text}`);
  for (const [index, text] of names.entries()) {
    const id = `0000000${index}-3b7e-4d0a-9a41-0d5f6c1e2b01`;
    const blob = `files/${text}`;
    world.write(`${id}.yaml`, filesDocument({ id, deviceId: 'x', target: `/opt/${text}`, blob }));
  }
  await world.publish();
  const folder = join(world.desk.folder, 'pki');
  manager = await littleManager(makeSvid(folder, 'little', world.ca, WFM), world.ca);
  device = margoDevice({
    ...{ folder: join(world.desk.folder, 'device'), root: world.root, url: manager.url },
    ...{ svid: world.svid('press-42'), trustBundle: world.bundle, registry: world.registry },
    settings: { schedule: { interval: '100ms', backoffMax: '100ms', jitter: 0 } },
  });
  device.start();
});
afterAll(async () => {
  await device.stop();
  await manager.close();
  await world.remove();
});

const file = (name: string, text: string, id = A): string =>
  filesDocument({
    ...{ id, deviceId: 'press-42', target: join(device.opt, name) },
    ...{ blob: `files/${text}`, content: `speed=${text}` },
  });
const reads = (text: string) =>
  eventually(`a is ${text}`, () => device.read('a') === `speed=${text}`);
let read = 0;
const logged = (text: string) =>
  eventually(text, () => {
    const at = device.log().indexOf(text, read);
    if (at >= 0) read = at + text.length;
    return at >= 0;
  });
const polls = () => manager.seen.filter(({ path }) => path === MANIFEST);
const more = (count: number): Promise<unknown> => {
  const before = polls().length;
  return eventually(`${count} polls`, () => polls().length >= before + count);
};
const packed = (path: string, body: string | Uint8Array, headers = {}): void => {
  const gzip = { 'content-encoding': 'gzip', ...headers };
  manager.faults.set(path, { status: 200, headers: gzip, body: gzipSync(body) });
};

describe('what is understood', () => {
  test('rule 37: packed answers, judged by what comes out of them', async () => {
    const text = manager.deploy(2, { [A]: file('a', '1') });
    const { bundle, deployments } = JSON.parse(text);
    packed(MANIFEST, text, TYPE);
    manager.faults.set(bundle.url, { status: 404, headers: PROBLEM, body: '{}' });
    packed(deployments[0].url, file('a', '1'));
    await reads('1');
    manager.faults.clear();
  });

  for (const [what, etag, body] of [
    ['unquoted', digestOf('x'), '2'],
    ['missing', null, '3'],
    ['weak', 'W/"abc"', '4'],
  ] as const) {
    test(`rule 22: an ETag that is ${what}: ${etag === null ? 'none is sent back' : 'sent back as it came'}`, async () => {
      const text = manager.deploy(Number(body) + 1, { [A]: file('a', body) });
      manager.serve(text, etag);
      await reads(body);
      await eventually(
        'the next poll',
        () => polls().at(-1)?.headers['if-none-match'] === (etag ?? undefined),
      );
      await more(2);
      expect(device.log()).not.toContain('trust.equivocation');
    });
  }

  test('rule 23: 304 with a body is 304; one that nobody asked for is an error', async () => {
    const text = manager.deploy(6, { [A]: file('a', '5') });
    await reads('5');
    await eventually(
      'the ETag',
      () => polls().at(-1)?.headers['if-none-match'] === `"${digestOf(text)}"`,
    );
    manager.faults.set(MANIFEST, { status: 304, headers: TYPE, body: '{"manifestVersion":1}' });
    await more(3);
    expect(device.log()).not.toContain('trust.rollback');
    manager.faults.clear();
    expect(device.read('a')).toBe('speed=5');
  });

  test('rule 43: one document that is missing alone comes by the bundle', async () => {
    const text = manager.deploy(7, { [A]: file('a', '6') });
    const [single] = JSON.parse(text).deployments;
    manager.faults.set(single.url, { status: 404, headers: PROBLEM, body: '{}' });
    await reads('6');
    manager.faults.clear();
  });

  test('rule 39: sizes that are wrong are hints, also beyond any that could be', async () => {
    const text = JSON.parse(manager.deploy(8, { [A]: file('a', '7') }));
    text.bundle.sizeBytes = 1;
    const body = JSON.stringify(text).replace(
      '"url":"/api/v1/deployments',
      '"sizeBytes":18446744073709551615,"url":"/api/v1/deployments',
    );
    manager.serve(body);
    await reads('7');
  });
});

describe('what leaves the old state as it is, in bounded time and memory', () => {
  const cases: readonly (readonly [string, string, () => Answer])[] = [
    ['a bomb', 'link.too-large', () => bomb()],
    ['bytes after the archive', 'link.encoding-refused', () => tail()],
    ['another encoding', 'link.encoding-refused', () => encoded('br')],
    ['a redirect to another origin', 'link.redirect-refused', () => redirect()],
    ['a manifest above its cap', 'link.too-large', () => large()],
    ['500 with Retry-After', 'answered 500', () => failing(500, { 'retry-after': '1' })],
    ['429 with Retry-After', 'answered 429', () => failing(429, { 'retry-after': '1' })],
    [
      'a megabyte of headers',
      '/manifestVersion',
      () => ({ ...failing(200, TYPE), headers: headers() }),
    ],
  ];
  const bomb = (): Answer => ({
    ...{ status: 200, headers: { ...TYPE, 'content-encoding': 'gzip' } },
    body: gzipSync(Buffer.alloc(64 * 1024 * 1024, 32)),
  });
  const tail = (): Answer => ({
    ...{ status: 200, headers: { ...TYPE, 'content-encoding': 'gzip' } },
    body: Buffer.concat([gzipSync('{}'), Buffer.from('tail')]),
  });
  const encoded = (name: string): Answer => ({
    ...{ status: 200, headers: { ...TYPE, 'content-encoding': name } },
    body: 'x',
  });
  const redirect = (): Answer => ({ status: 302, headers: { location: 'https://evil.example/' } });
  const large = (): Answer => ({ status: 200, headers: TYPE, body: ' '.repeat(8 * 1024 * 1024) });
  const failing = (status: number, headers: Record<string, string>): Answer => ({
    ...{ status, headers: { ...PROBLEM, ...headers } },
    body: '{"type":"about:blank","title":"Busy"}',
  });
  const headers = (): Record<string, string> => ({
    ...TYPE,
    ...Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`x-${i}`, 'y'.repeat(16_384)])),
  });

  for (const [what, mark, answer] of cases) {
    test(`rules 38, 40, 67: ${what}: ${mark}`, async () => {
      manager.faults.set(MANIFEST, answer());
      await logged(mark);
      await more(1);
      expect(device.read('a')).toBe('speed=7');
      manager.faults.clear();
    });
  }

  test('rules 35, 36, 40: other forms of digests, ids twice, aliases without end', async () => {
    const sound = JSON.parse(manager.deploy(9, { [A]: file('a', '1'), [B]: file('b', '2', B) }));
    const [first, second] = sound.deployments;
    const upper = { ...first, digest: first.digest.toUpperCase().replace('SHA', 'sha') };
    for (const [deployments, pointer] of [
      [[upper, second], '/deployments/0/digest'],
      [[{ ...first, digest: `sha512:${'a'.repeat(128)}` }, second], '/deployments/0/digest'],
      [[first, { ...second, deploymentId: A }], '/deployments/1/'],
      [[first, { ...second, deploymentId: A.toUpperCase() }], '/deployments/1/'],
    ] as const) {
      manager.serve(JSON.stringify({ ...sound, deployments }));
      await logged(`${pointer}`);
    }
    const grown = Array.from(
      { length: 30 },
      (_, i) => `a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}*a${i - 1}]`,
    );
    const aliases = ['a0: &a0 [x]', ...grown.slice(1), file('a', '1')].join('\n');
    manager.deploy(10, { [A]: aliases });
    await logged('expected no anchor');
    expect(device.read('a')).toBe('speed=7');
  });

  test('rules 38, 49: and the next sound manifest cures all of it', async () => {
    manager.deploy(11, { [A]: file('a', '2') });
    await reads('2');
    expect(manager.traffic.told()).toBeGreaterThan(40);
    expect(manager.traffic.misfits).toEqual([]);
  });
});
