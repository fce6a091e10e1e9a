/** What a gateway lays into the folders of its children, and what they say of it. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '#agent/config.ts';
import type { ChildDeployment } from '#agent/margo-child-folder.ts';
import { judgeChild } from '#agent/margo-child-rules.ts';
import { type MargoChildren, margoChildren } from '#agent/margo-children.ts';
import { childCapabilities, relayOnly } from '#agent/margo-children-config.ts';
import { ok, refuse } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import { readMargoCapabilities, writeMargoCapabilities } from '#wire/margo-capabilities.ts';
import { readMargoChildStatus } from '#wire/margo-child-status.ts';
import { type RuntimeWorld, runtimeWorld } from '../../contract/runtime-world.ts';
import { eventually } from '../../support/eventually.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';
import { bytesOf, granted, messageOf } from '../../support/wire-samples.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b31';
const HOSTING =
  '{ vendor: W, modelNumber: M, serialNumber: "1", memory: 1Gi, storage: 8Gi, cpus: [{ cores: 2 }], supportedDeploymentTypes: [compose] }';
const AGENT = `apiVersion: holdfast/v1
kind: Agent
trust: { root: root.json }
channels: [{ name: margo }]
margo:
  url: https://wfm.example
  authority: tls
  identity: { cert: svid.pem, key: svid.key, trustBundle: bundle.json }
`;
const read = (more: string) => parseConfig(bytesOf(AGENT + more), '/etc/holdfast/agent.yaml');
const childLine = (more = '', properties = HOSTING) =>
  `  children: [{ id: cell, folder: /srv/cell, properties: ${properties}${more} }]\n`;

describe('agent.yaml', () => {
  test('a child that hosts names what it can do, in a form that managers take', () => {
    const { margo } = granted(read(childLine()));
    const known = childCapabilities(margo?.children ?? [], 'gw').get('gw/cell');
    if (!known) throw new Error('no child');
    expect(readMargoCapabilities(writeMargoCapabilities(known), 'gw/cell').kind).toBe('read');
    expect(known.properties).toMatchObject({ otelCollector: true, supportedRuntimes: ['oci'] });
  });

  test('rule 17: a relay and a child that only passes on name no resources', () => {
    const plain = '{ vendor: W, modelNumber: M, serialNumber: "1" }';
    const { margo } = granted(read(`  relay: true\n${childLine('', plain)}`));
    const known = childCapabilities(margo?.children ?? [], 'gw').get('gw/cell');
    const own = {
      properties: { id: 'gw', vendor: 'V', modelNumber: 'M', serialNumber: 'S', memory: '1Gi' },
    };
    for (const said of [known, relayOnly(own, {})]) {
      expect(Object.keys(said?.properties ?? {}).toSorted()).toEqual([
        'id',
        'modelNumber',
        'serialNumber',
        'vendor',
      ]);
    }
    expect(margo?.relay).toBe(true);
  });

  test('what does not hold together is refused with its place', () => {
    for (const [text, expected] of [
      [childLine('', HOSTING.replace('memory: 1Gi, ', '')), 'all of memory'],
      [childLine().replace('/srv/cell', 'srv'), 'an absolute path'],
      [childLine(', command: [bridge]'), 'absolute path'],
      [childLine().replace('id: cell', 'id: a/b'), 'letters, digits'],
      [childLine().replace(/\[(.*)\]\n/, '[$1, $1]\n'), 'each id once'],
    ] as const) {
      expect(messageOf(read(text))).toContain(expected);
    }
  });
});

test('the example of docs/margo.md reads', () => {
  const page = readFileSync(join(import.meta.dir, '../../../docs/margo.md'), 'utf8');
  const [, section = ''] = /^```\nmargo:\n([\s\S]*?)^```/m.exec(page) ?? [];
  const { margo } = granted(read(section));
  expect(margo?.children[0]).toMatchObject({ id: 'cell-3', folder: '/srv/children/cell-3' });
});

describe('whom a deployment is for', () => {
  const children = childCapabilities(granted(read(childLine())).margo?.children ?? [], 'gw');
  const judge = (deviceId: string, type = 'compose', rules: never[] = []) => {
    const { child, refused } = judgeChild('gw', children, ID, { deviceId, type, rules });
    return [child, refused?.code ?? 'ok'];
  };
  test('a child, one that nobody knows, any child, another gateway’s', () => {
    expect(judge('gw/cell')).toEqual(['gw/cell', 'ok']);
    expect(judge('gw/other')).toEqual(['gw/other', 'margo.child-unknown']);
    expect(judge('gw/*')).toEqual(['gw', 'margo.no-placement']);
    expect(judge('gw2/cell')).toEqual([null, 'margo.not-this-device']);
    expect(
      judgeChild('gw', new Map(), ID, { deviceId: 'gw/cell', type: 'compose', rules: [] }).child,
    ).toBeNull();
  });
  test('rules 52, 55: it offers the type and fits, or fails alone', () => {
    expect(judge('gw/cell', 'helm')).toEqual(['gw/cell', 'margo.unsupported']);
    const rule = {
      properties: [],
      labels: [{ key: 'x', operator: 'Exists', values: [], items: [] }],
    };
    expect(judge('gw/cell', 'compose', [rule as never])[1]).toBe('margo.not-eligible');
  });
});

describe('what a child says', () => {
  const digest = sha256(Buffer.from('document'));
  const said = (value: unknown) =>
    readMargoChildStatus(
      Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
      digest,
    );
  test('counts for the document that it names', () => {
    expect(said({ digest, state: 'installed' })).toEqual({
      state: 'installed',
      code: '',
      message: '',
    });
    expect(
      said({ digest, state: 'failed', error: { code: 'E7', message: 'x'.repeat(5_000) } }),
    ).toEqual({
      ...{ state: 'failed', code: 'E7', message: 'x'.repeat(1_000) },
    });
  });
  test('and counts for nothing otherwise', () => {
    for (const odd of [
      '',
      '{',
      '[]',
      { state: 'installed' },
      { digest, state: 'fine' },
      { digest: sha256(Buffer.from('old')), state: 'installed' },
      `{"digest":"${digest}","digest":"${digest}","state":"installed"}`,
    ]) {
      expect(said(odd)).toBeNull();
    }
  });
});

describe('the folder of a child', () => {
  let world: RuntimeWorld;
  let clock: ManualClock;
  let folder: string;
  let desired: ChildDeployment[];
  let fetched: unknown[];
  let may: boolean;
  let children: MargoChildren;
  beforeEach(() => {
    world = runtimeWorld();
    clock = manualClock();
    folder = join(world.path, 'cell');
    mkdirSync(folder);
    desired = [];
    fetched = [];
    may = true;
    children = open();
  });
  afterEach(() => {
    children.stop();
    world.end();
  });

  function open(command: readonly string[] | null = null): MargoChildren {
    const { files, processes, log } = world.options;
    return margoChildren({
      platform: { files, processes, clock, log },
      content: world.content,
      downloads: {
        async fetchAll(wanted) {
          fetched.push(...wanted);
          return wanted.length > 0 ? refuse('package.missing', { name: 'x' }) : ok(undefined);
        },
      },
      children: [
        {
          ...{ id: 'cell', folder, command, timeoutMs: 5_000, labels: {} },
          properties: { vendor: 'W', modelNumber: 'M', serialNumber: '1' },
        },
      ],
      sources: () => [],
      gateway: () => ok('gw'),
      desired: () => new Map([['gw/cell', desired]]),
      mayChange: () => may,
      changed: () => undefined,
    });
  }
  const document = (text: string, contents: readonly string[] = []): ChildDeployment => ({
    ...{ id: ID, digest: sha256(Buffer.from(text)), document: Buffer.from(text) },
    blobs: contents.map((content) => {
      const { digest, size } = world.blob(content);
      return { name: `files/${content}`, digest, size, unpackedSize: size, mediaType: 'x' };
    }),
  });
  const state = () => children.stateOf(ID)?.state;
  const settle = (wanted: string | undefined) =>
    eventually(`${wanted}`, async () => {
      await clock.advance(2_000);
      return state() === wanted;
    });
  const say = (status: Readonly<Record<string, unknown>>): void => {
    mkdirSync(join(folder, 'status'), { recursive: true });
    writeFileSync(join(folder, 'status', `${ID}.json`), JSON.stringify(status));
  };
  const text = (path: string) => readFileSync(join(folder, ID, path), 'utf8');

  test('holds document and contents, byte for byte, and is told of as the child says', async () => {
    const first = document('one', ['a', 'b']);
    desired = [first];
    children.note();
    await settle('installing');
    expect([text('deployment.yaml'), text('content/files/a'), text('digest')]).toEqual([
      ...['one', 'a', `${first.digest}\n`],
    ]);
    say({ digest: first.digest, state: 'installed' });
    await settle('installed');
    expect(fetched).toEqual([]);
  });

  test('is replaced in one step; what the child said of the old one counts no more', async () => {
    const [first, second] = [document('one'), document('two')];
    desired = [first];
    children.note();
    await settle('installing');
    say({ digest: first.digest, state: 'installed' });
    await settle('installed');
    const before = readlinkSync(join(folder, ID));
    desired = [second];
    children.note();
    await settle('installing');
    expect(text('deployment.yaml')).toBe('two');
    expect(existsSync(join(folder, before))).toBe(false);
  });

  test('is empty again after a removal, which is told while it lasts', async () => {
    desired = [document('one')];
    children.note();
    await settle('installing');
    desired = [];
    children.note();
    expect(children.isLeaving(ID, 'gw/cell')).toBe(true);
    await eventually('gone', async () => {
      await clock.advance(2_000);
      return !children.isLeaving(ID, 'gw/cell');
    });
    expect(readdirSync(folder)).toEqual(['.holdfast']);
    expect(readdirSync(join(folder, '.holdfast'))).toEqual([]);
  });

  test('that is emptied by somebody is filled again; a restart changes nothing', async () => {
    desired = [document('one')];
    children.note();
    await settle('installing');
    const link = readlinkSync(join(folder, ID));
    children.stop();
    children = open();
    children.note();
    await settle('installing');
    expect(readlinkSync(join(folder, ID))).toBe(link);
    rmSync(join(folder, ID));
    rmSync(join(folder, '.holdfast'), { recursive: true });
    children.note();
    await eventually('it is back', async () => {
      await clock.advance(2_000);
      return existsSync(join(folder, ID, 'deployment.yaml'));
    });
  });

  test('margo.child-unreachable: that is not there, or lacks contents, is tried again', async () => {
    const away = `${folder}-away`;
    renameSync(folder, away);
    desired = [document('one')];
    children.note();
    await settle('failed');
    expect(children.stateOf(ID)?.why?.code).toBe('margo.child-unreachable');
    expect(existsSync(folder)).toBe(false);
    renameSync(away, folder);
    await clock.advance(30_000);
    await settle('installing');
    const missing = document('two', ['c']);
    for (const { digest } of missing.blobs) world.content.dropBlob(digest);
    desired = [missing];
    children.note();
    await settle('failed');
    expect([fetched.length > 0, text('deployment.yaml')]).toEqual([true, 'one']);
  });

  test('rule 69: outside of the owner’s window nothing in it changes', async () => {
    may = false;
    desired = [document('one')];
    children.note();
    await settle('pending');
    expect(readdirSync(folder)).toEqual([]);
    may = true;
    await settle('installing');
  });

  test('what is somebody’s own there is not replaced', async () => {
    writeFileSync(join(folder, ID), 'mine');
    desired = [document('one')];
    children.note();
    await settle('failed');
    expect(readFileSync(join(folder, ID), 'utf8')).toBe('mine');
  });

  test('a command is run once for each document; its exit code is the state', async () => {
    const script = join(world.path, 'bridge');
    const log = join(world.path, 'ran');
    writeFileSync(
      script,
      `#!/bin/sh\necho "$HOLDFAST_DEVICE $1" >> ${log}\necho told; exit $(cat ${log}.code)\n`,
    );
    chmodSync(script, 0o755);
    const ends = (code: number) => writeFileSync(`${log}.code`, `${code}`);
    const ran = () => readFileSync(log, 'utf8').trim().split('\n');
    children.stop();
    children = open([script]);
    ends(75);
    const first = document('one');
    desired = [first];
    children.note();
    await settle('failed');
    expect(children.stateOf(ID)?.why?.code).toBe('margo.child-unreachable');
    // It stays so until the next try: the looks between say nothing new.
    await clock.advance(10_000);
    expect(children.stateOf(ID)?.why?.code).toBe('margo.child-unreachable');
    ends(0);
    await clock.advance(30_000);
    await settle('installed');
    const times = ran().length;
    children.note();
    await clock.advance(10_000);
    expect(ran()).toHaveLength(times);
    ends(3);
    desired = [document('two')];
    children.note();
    await settle('failed');
    expect(children.stateOf(ID)?.why).toEqual({ code: 'exit-3', message: 'exit code 3: told' });
    desired = [];
    children.note();
    await eventually('gone', async () => {
      await clock.advance(2_000);
      return !existsSync(join(folder, ID));
    });
    expect([ran()[0], ran().at(-1)]).toEqual(['gw/cell install', 'gw/cell remove']);
  });
});
