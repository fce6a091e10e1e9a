/** From a judged statement to a change: documents, plan, room (check 15). */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { changeOf, planCandidate } from '#agent/change.ts';
import { readConfig } from '#agent/config.ts';
import type { Candidate } from '#agent/found.ts';
import { emptyRow } from '#apply/journal.ts';
import { generationsOf } from '#apply/recover.ts';
import { ok } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { contentStore } from '#store/content.ts';
import { typedStore } from '#store/typed-store.ts';
import { writeDocuments } from '#wire/documents.ts';
import { memoryEngine } from '../../support/memory-engine.ts';
import { codeOf, FLEET, point, scratch, storePlatform, value } from '../../support/store.ts';

const DOCUMENT = `apiVersion: holdfast/v1
kind: Deployment
id: line
spec:
  deploymentProfile:
    type: files
    components: [{ name: conf, properties: { blob: conf, target: /opt/line } }]
`;
const bytes = Buffer.from(DOCUMENT);
const blob = Buffer.from('speed=1');
const never = new AbortController().signal;
let directory: ReturnType<typeof scratch>;
beforeEach(() => {
  directory = scratch('change');
});
afterEach(() => directory.remove());

function candidate(
  options: { readonly listed?: boolean; readonly layer?: Uint8Array } = {},
): Candidate {
  const layer = options.layer ?? writeDocuments([bytes]);
  const blobs = [
    { name: 'conf', mediaType: MEDIA.file, digest: sha256(blob), size: 7, unpackedSize: 7 },
  ];
  const { epoch, sequence, stateDigest } = point(1);
  return {
    state: {
      point: { epoch, sequence, digest: stateDigest },
      deployments: [
        { id: 'line', digest: sha256(bytes), size: bytes.length, mediaType: MEDIA.deployment },
      ],
      blobs: options.listed === false ? [] : blobs,
      documents: { digest: sha256(layer), size: layer.length },
      policy: { attemptsMax: 0, healthWindowMs: 0 },
    },
    envelope: { payloadType: '', payload: new Uint8Array(), signatures: [] },
    freshness: 'unknown',
    via: 'registry',
    manifestDigest: null,
    inline: new Map([[sha256(layer), layer]]),
    source: null,
    startedAt: 0,
    checks: [],
  } as unknown as Candidate;
}

function input(reserveBytes = 0) {
  const store = typedStore(
    memoryEngine(),
    { free: () => false, ensure: () => undefined, hasRoom: () => true },
    () => undefined,
  );
  const content = value(contentStore(storePlatform.files, directory.path));
  return {
    store,
    content,
    sources: [],
    downloads: { fetchAll: async () => ok(undefined) },
    device: { id: 'press-7', labels: {} },
    allow: { roots: ['/opt'], runtimes: ['files'], users: null, defaultUser: null },
    reserveBytes,
    followed: { fleet: FLEET, channels: new Set(['stable']) },
    wallMs: () => 0,
  };
}
const row = emptyRow(FLEET, 'stable');

describe('check 15: from a statement to a change', () => {
  test('the plan names what is missing; the change has what the transaction needs', async () => {
    const given = input();
    const planned = value(await planCandidate(given, candidate(), row, never));
    expect(planned.missing.map(({ name }) => name)).toEqual(['line/conf']);
    const change = value(await changeOf(given, planned, row, never));
    expect(change.steps).toHaveLength(1);
    expect(change.attemptsMax).toBe(3);
  });
  test('a blob that the statement does not list: plan.blob-missing', async () => {
    const planned = await planCandidate(input(), candidate({ listed: false }), row, never);
    expect(codeOf(planned)).toBe('plan.blob-missing');
  });
  test('a document that the layer lacks: plan.document-missing', async () => {
    const layer = writeDocuments([Buffer.from('another document')]);
    const planned = await planCandidate(input(), candidate({ layer }), row, never);
    expect(codeOf(planned)).toBe('plan.document-missing');
  });
  test('B09: what does not fit beside the reserve is not begun: apply.no-space, and it waits', async () => {
    const given = input(Number.MAX_SAFE_INTEGER);
    const planned = value(await planCandidate(given, candidate(), row, never));
    const change = await changeOf(given, planned, row, never);
    expect(codeOf(change)).toBe('apply.no-space');
    expect(!change.ok && change.fault.retry).toBe('later');
  });
  test('R14: of two heads that are offered each is judged alone; nothing of one is used for the other', async () => {
    const one = value(await planCandidate(input(), candidate(), row, never));
    const other = await planCandidate(input(), candidate({ listed: false }), row, never);
    expect(one.plan.steps).toHaveLength(1);
    expect(other.ok).toBe(false);
  });
});

test('a state row that another row names and the store lacks: store.row-missing', () => {
  const loaded = generationsOf(input(), row, point(1).stateDigest);
  expect(codeOf(loaded)).toBe('store.row-missing');
});

test('an agent.yaml that is not there: config.unreadable', () => {
  expect(codeOf(readConfig(storePlatform.files, `${directory.path}/agent.yaml`))).toBe(
    'config.unreadable',
  );
});
