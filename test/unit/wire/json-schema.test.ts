/** The schemas for editors say what the readers say: same documents fit, same mistakes do not. */
import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { schemas } from '#cli/schema.ts';
import { exampleFiles, fleetYaml } from '#publisher/examples.ts';
import { schemaText } from '#publisher/schemas.ts';
import { openYaml } from '#wire/yaml-document.ts';
import { misfit } from '../../support/json-schema.ts';
import { ROOT } from '../../support/parts.ts';

const known = schemas();
function judge(kind: string, text: string): string | null {
  const document = openYaml(Buffer.from(text), kind);
  if (!document.ok) return document.fault.message;
  const plain: unknown = JSON.parse(JSON.stringify(document.value.value));
  return misfit(known.get(kind) ?? {}, plain);
}

test('docs/schemas is what `npm run generate` makes', () => {
  const folder = join(ROOT, 'docs/schemas');
  expect(readdirSync(folder).sort()).toEqual(
    [...known.keys()].map((kind) => `${kind}.schema.json`).sort(),
  );
  for (const [kind, schema] of known) {
    expect(readFileSync(join(folder, `${kind}.schema.json`), 'utf8')).toBe(schemaText(schema));
  }
});

describe('what init and the targets bring fits', () => {
  const fleet = {
    name: 'plant',
    channels: ['a', 'b'],
    registry: 'https://r/x',
    mqtt: null,
    insecure: false,
  };
  test('fleet.yaml', () => expect(judge('fleet', fleetYaml(fleet))).toBeNull());
  for (const { path, text } of exampleFiles('a').filter((file) => file.path.endsWith('.yaml'))) {
    test(path, () => expect(judge('deployment', text)).toBeNull());
  }
  for (const name of readdirSync(join(ROOT, 'targets'))) {
    const file = join(ROOT, 'targets', name, 'agent.yaml');
    test(`targets/${name}/agent.yaml`, () =>
      expect(judge('agent', readFileSync(file, 'utf8'))).toBeNull());
  }
});

describe('a mistake does not fit', () => {
  const [, files = ''] = exampleFiles('a').map(({ text }) => text);
  const [first = ''] = exampleFiles('a').map(({ text }) => text);
  const process =
    exampleFiles('a').find(({ path }) => path.endsWith('hello-process.yaml'))?.text ?? '';
  for (const [kind, text, why] of [
    ['deployment', first.replace('kind: Deployment', 'kind: Deploy'), '$.kind'],
    ['deployment', first.replace('metadata:', 'metdata:'), '$.metdata is not known'],
    ['deployment', first.replace('target: /opt/hello/site', 'taget: /opt'), 'target is missing'],
    ['deployment', process.replace('stop: {', 'stop: { hard: true,'), 'hard is not known'],
    ['deployment', process.replace('blob: bin/hello', ''), 'blob is missing'],
    ['agent', 'apiVersion: holdfast/v1\nkind: Agent\nchannels: []\n', '$.trust is missing'],
    [
      'agent',
      'apiVersion: holdfast/v1\nkind: Agent\ntrust: { root: a, clock: fast }\nchannels: []\n',
      '$.trust.clock',
    ],
    [
      'agent',
      'apiVersion: holdfast/v1\nkind: Agent\ntrust: { root: a }\nchannels: []\nkeep: { generations: 99 }\n',
      'out of range',
    ],
    [
      'fleet',
      'apiVersion: holdfast/v1\nkind: Fleet\nname: a\nchannels: { a: {} }\n',
      'signers is missing',
    ],
  ] as const) {
    test(`${kind}: ${why}`, () => expect(judge(kind, text)).toContain(why));
  }
  test('a file of a blob is no document', () => expect(judge('deployment', files)).not.toBeNull());
});

test('an editor can show what is expected and what is the default', () => {
  const agent = JSON.stringify(known.get('agent'));
  expect(agent).toContain('"default":"/var/lib/holdfast"');
  expect(agent).toContain('a device id');
  expect(JSON.stringify(known.get('deployment'))).toContain('a mode in quotes');
});
