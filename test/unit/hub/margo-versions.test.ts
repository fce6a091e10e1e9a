/**
 * A number of a manifest is told once: whatever the hub serves, in which order, and however often it is
 * restarted, no client sees one version with two contents, or a version that goes back.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Result, refuse } from '#errors/fault.ts';
import { type MargoApiInput, margoApi } from '#hub/margo-api.ts';
import { openMargoClients } from '#hub/margo-clients.ts';
import type { Published } from '#hub/margo-published.ts';
import { openServedFloor } from '#hub/margo-served.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { sha256 } from '#state/digest.ts';
import { readMargoManifest, writeMargoManifest } from '#wire/margo-manifest.ts';
import { granted } from '../../support/margo-world.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { bytesOf } from '../../support/wire-samples.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const files = systemFiles();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-versions-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a hub serves: nothing, what must not be served, a statement of ours, a signed manifest. */
interface Serving {
  readonly shared: boolean;
  readonly published: Published | 'refused' | null;
}

const documentOf = (text: string) => {
  const bytes = bytesOf(text);
  return { id: ID, digest: sha256(bytes), bytes, deviceId: null, blobs: [] };
};
const stateOf = (sequence: bigint) =>
  ({
    point: { epoch: 1n, sequence, digest: sha256(bytesOf(`${sequence}`)) },
    audience: { kind: 'everyone' },
  }) as unknown as Published['state'];
const ours = (sequence: bigint, text: string): Published => ({
  ...{ state: stateOf(sequence), documents: [documentOf(text)], signed: null },
});
function signed(version: bigint, text: string): Published {
  const document = documentOf(text);
  const deployments = [{ ...document, size: document.bytes.length }];
  const manifest = writeMargoManifest({
    version,
    bundle: null,
    deployments,
    blobs: [],
    prefix: '/api/v1/',
  });
  const envelope = bytesOf('{}');
  const beside = { envelope, manifest, bundle: null, roots: [] };
  return { state: stateOf(version), documents: [document], signed: beside };
}

interface Asked {
  readonly status: number;
  readonly version: bigint;
  readonly digest: string;
}

function hubOn(name: string, log: string[] = []) {
  const clients = granted(openMargoClients(files, join(folder, name)));
  let serving: Serving = { shared: false, published: null };
  const handle = margoApi({
    log: {
      write: (_level: string, event: string) => log.push(event),
    } as unknown as MargoApiInput['log'],
    ...{ inflate: systemInflate(), clients },
    published: {
      get shared() {
        return serving.shared;
      },
      read() {
        const { published } = serving;
        if (published !== 'refused') return { ok: true, value: published };
        return refuse('trust.rollback', { offered: '1.1', floor: '1.2' });
      },
    },
    caller: () => ({ name: 'spiffe://d/margo/wfm/w/client/c' }),
    trust: { bundle: () => bytesOf('{}'), discovery: () => '{}' },
  });
  const request = async (method: string, target: string, text = '') => {
    const body = (async function* () {
      yield bytesOf(text);
    })();
    const { signal } = new AbortController();
    return handle({ method, target, headers: {}, body, signal });
  };
  return {
    clients,
    serve(next: Serving) {
      serving = next;
    },
    tell: () =>
      request(
        'PUT',
        '/api/v1/capabilities/c',
        '{"properties":{"id":"c","vendor":"v","modelNumber":"m","serialNumber":"s"}}',
      ),
    async ask(): Promise<Asked> {
      const answer = await request('GET', '/api/v1/deployments');
      const bytes = answer.status === 200 ? (answer.body as Uint8Array) : null;
      const version = bytes ? granted(readMargoManifest(bytes)).version : 0n;
      return { status: answer.status, version, digest: bytes ? sha256(bytes) : '' };
    },
  };
}

describe('rules 26, 31: no version is told with two contents', () => {
  test('before the first signed publish nothing is told, so the first number is the publisher’s', async () => {
    const log: string[] = [];
    const hub = hubOn('first', log);
    hub.serve({ shared: true, published: null });
    expect((await hub.ask()).status).toBe(503);
    expect((await hub.tell()).status).toBe(201);
    hub.clients.close();
    // What the client told of itself is there after a restart, without any manifest.
    const again = hubOn('first', log);
    again.serve({ shared: true, published: null });
    expect((await again.tell()).status).toBe(200);
    again.serve({ shared: true, published: signed(1n, 'a') });
    expect(await again.ask()).toMatchObject({ status: 200, version: 1n });
    expect(log).not.toContain('hub.margo-held');
    again.clients.close();
  });

  test('hub.margo-held: a signed number that was told for something else waits until it is above', async () => {
    const log: string[] = [];
    const hub = hubOn('held', log);
    hub.serve({ shared: false, published: ours(1n, 'a') });
    await hub.tell();
    hub.serve({ shared: false, published: ours(2n, 'b') });
    const told = await hub.ask();
    for (const version of [1n, told.version]) {
      hub.serve({ shared: true, published: signed(version, 'c') });
      expect(await hub.ask()).toEqual(told);
    }
    expect(log.filter((one) => one === 'hub.margo-held')).toHaveLength(2);
    hub.serve({ shared: true, published: signed(told.version + 1n, 'c') });
    expect((await hub.ask()).version).toBe(told.version + 1n);
    hub.clients.close();
  });

  test('a tag that is gone takes nothing away', async () => {
    const hub = hubOn('gone');
    hub.serve({ shared: false, published: ours(1n, 'a') });
    await hub.tell();
    const told = await hub.ask();
    for (const serving of [null, 'refused'] as const) {
      for (const shared of [false, true]) {
        hub.serve({ shared, published: serving });
        expect(await hub.ask()).toEqual(told);
      }
    }
    hub.clients.close();
  });

  for (const seed of [1, 2, 3, 4, 5, 6]) {
    test(`in any order of what is served, with restarts (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const pick = <T>(of: readonly T[]): T => of[Math.floor(random.unit() * of.length)] as T;
      const name = `any-${seed}`;
      let hub = hubOn(name);
      await hub.tell();
      const seen = new Map<bigint, string>();
      let last = 0n;
      for (let step = 0; step < 60; step += 1) {
        const number = BigInt(1 + Math.floor(random.unit() * 30));
        const text = pick(['a', 'b', 'c']);
        hub.serve(
          pick([
            { shared: false, published: ours(number, text) },
            { shared: true, published: signed(number, text) },
            { shared: pick([true, false]), published: pick([null, 'refused' as const]) },
          ]),
        );
        if (random.unit() < 0.2) {
          hub.clients.close();
          hub = hubOn(name);
          continue;
        }
        const { status, version, digest } = await hub.ask();
        if (status !== 200) continue;
        expect(seen.get(version) ?? digest).toBe(digest);
        expect(version).toBeGreaterThanOrEqual(last);
        seen.set(version, digest);
        last = version;
      }
      expect(seen.size).toBeGreaterThan(3);
      hub.clients.close();
    });
  }
});

describe('the highest statement that was served', () => {
  const of = { repository: 'plant/state', channel: 'stable', fleet: 'f' };
  const point = (sequence: bigint, text = `${sequence}`) => ({
    ...{ epoch: 1n, sequence, digest: sha256(bytesOf(text)) },
  });
  const open = (name: string, more = {}) =>
    openServedFloor(files, join(folder, name), { ...of, ...more });
  const openFloor = () => open('floor');
  const codeOf = (result: Result<unknown>) => (result.ok ? 'served' : result.fault.code);

  test('stays over a restart: what is below it, or other bytes under its number, is not served', () => {
    const floor = granted(openFloor());
    expect(codeOf(floor.raise(point(5n)))).toBe('served');
    floor.close();
    const again = granted(openFloor());
    expect(codeOf(again.raise(point(4n)))).toBe('trust.rollback');
    expect(codeOf(again.raise(point(5n, 'other')))).toBe('trust.equivocation');
    expect(codeOf(again.raise(point(5n)))).toBe('served');
    expect(codeOf(again.raise({ ...point(1n), epoch: 2n }))).toBe('served');
    again.close();
  });

  test('is of one fleet and channel; a damaged record is told, never begun anew', () => {
    const floor = granted(openFloor());
    floor.raise({ ...point(9n), epoch: 3n });
    floor.close();
    const other = granted(open('floor', { channel: 'canary' }));
    expect(codeOf(other.raise(point(1n)))).toBe('served');
    other.close();
    const file = join(folder, 'floor/served.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"sequence":"1"', '"sequence":"x"'));
    const damaged = open('floor', { channel: 'canary' });
    expect(damaged.ok ? 'opened' : damaged.fault.code).toBe('hub.record-damaged');
  });
});
