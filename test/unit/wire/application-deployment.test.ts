/** Margo's ApplicationDeployment: the example documents by their index, and profiles of our own. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the documents own placeholders
import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MEDIA } from '#state/media-types.ts';
import { readDeployment } from '#wire/deployment.ts';
import { bytesOf, codeOf, granted, messageOf } from '../../support/wire-samples.ts';

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../../shared');
const EXAMPLES = join(SHARED, 'margo/examples');
const present = existsSync(join(EXAMPLES, 'index.json'));

interface Example {
  readonly file: string;
  readonly expect: 'accept' | 'tolerate' | 'refuse-schema' | 'refuse-logic';
  readonly why: string;
}

const examples: readonly Example[] = present
  ? (JSON.parse(readFileSync(join(EXAMPLES, 'index.json'), 'utf8')) as readonly Example[]).filter(
      ({ file }) => file.startsWith('deployment/'),
    )
  : [];

const UUID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const read = (text: string, id = UUID) =>
  readDeployment(bytesOf(text), MEDIA.margoDeployment, { id, file: 'app.yaml' });
const idOf = (text: string) => /^ *id: (\S+)/m.exec(text)?.[1] ?? UUID;

describe("Margo's example documents", () => {
  test.skipIf(!present)(`there are some${present ? '' : ' (skipped: no examples here)'}`, () => {
    expect(examples.length).toBeGreaterThan(20);
  });
  for (const { file, expect: wanted, why } of examples) {
    test(`${file}: ${wanted}: ${why}`, () => {
      const text = readFileSync(join(EXAMPLES, file), 'utf8');
      const code = codeOf(read(text, idOf(text)));
      expect(code).toBe(wanted.startsWith('refuse') ? 'config.invalid' : 'ok');
    });
  }
});

const APP = `id: ${UUID}
metadata: { name: press-monitor, namespace: plant-a, deviceId: press-42 }
spec:
  applicationId: press-monitor
  deploymentProfile:
    type: custom
    components:
      - name: monitor
        properties: { repository: "oci://r.example/line/monitor", revision: 1.0.0 }
        x-otherworks-extensions: { priority: low }
    x-holdfast-extensions:
      type: process
      drift: report
      dependsOn: [line]
      components:
        - name: monitor
          properties: { blob: bin/monitor, command: [monitor, "\${poll}"] }
      health: [ { name: port, tcp: { host: 127.0.0.1, port: 80 } } ]
  parameters:
    poll: { value: 30, targets: [ { pointer: ENV.POLL, components: [monitor] } ] }
    list: { value: [1, 2], targets: [ { pointer: LIST, components: [monitor] } ] }
`;

describe('a profile of our own in a custom document', () => {
  test('has the vocabulary of the own dialect, and the parameters of the document', () => {
    const deployment = granted(read(APP));
    expect(deployment).toMatchObject({ id: UUID, name: 'press-monitor', drift: 'report' });
    expect(deployment.dependsOn).toEqual(['line']);
    expect(deployment.profile).toMatchObject({
      kind: 'process',
      components: [{ name: 'monitor', blob: 'bin/monitor', command: ['monitor', '${poll}'] }],
    });
    expect(deployment.parameters.map(({ name, value }) => [name, value])).toEqual([
      ['poll', { kind: 'literal', text: '30', typed: 30 }],
      ['list', { kind: 'literal', text: '[1,2]', typed: [1, 2] }],
    ]);
    expect(deployment.parameters[0]?.targets).toEqual([
      { pointer: 'POLL', components: ['monitor'] },
    ]);
  });

  test('rule 54: parameters of packages are what was written, of any type', () => {
    const document = (type: string): string => `metadata: { name: n, namespace: plant-a }
spec:
  deploymentProfile:
    type: ${type}
    components: [{ name: web, properties: { repository: 'oci://r/w', revision: 1.0.0 } }]
  parameters:
    port: { value: 8080, targets: [{ pointer: ENV.PORT, components: [web] }] }
    hosts: { value: [a, b], targets: [{ pointer: hosts, components: [web] }] }
    unset: { targets: [{ pointer: unset, components: [web] }] }
`;
    const of = (type: string) => granted(read(document(type)));
    const { parameters, profile } = of('helm');
    expect(profile).toMatchObject({ kind: 'other', type: 'helm', namespace: 'plant-a' });
    expect(parameters).toEqual([
      {
        ...{ name: 'port', value: { kind: 'literal', text: '8080', typed: 8080 } },
        targets: [{ pointer: 'ENV.PORT', components: ['web'] }],
      },
      {
        ...{ name: 'hosts', value: { kind: 'literal', text: '["a","b"]', typed: ['a', 'b'] } },
        targets: [{ pointer: 'hosts', components: ['web'] }],
      },
    ]);
    expect(of('compose').parameters[0]?.targets[0]?.pointer).toBe('PORT');
    expect(of('custom').parameters).toEqual([]);
  });

  test('compose, helm and a bare custom are types without a runtime here', () => {
    const bare = APP.replace(/ {4}x-holdfast-extensions:[\s\S]*?(?= {2}parameters:)/, '');
    expect(granted(read(bare)).profile).toMatchObject({ kind: 'other', type: 'custom' });
    for (const [type, kept] of [
      ['compose', 'compose'],
      ['helm', 'helm'],
      ['helm.v3', 'helm'],
      ['compose.v1', 'compose'],
    ] as const) {
      const text = bare.replace('type: custom', `type: ${type}`);
      expect(granted(read(text)).profile).toMatchObject({ kind: 'other', type: kept });
    }
  });

  for (const [title, from, to, reason] of [
    [
      'an unknown key of ours',
      'drift: report',
      'drfit: report',
      ':13:7: spec.deploymentProfile.x-holdfast-extensions: unknown key "drfit"',
    ],
    ['an unknown type of ours', 'type: process', 'type: quadlet', 'type: files or process'],
    ['a parameter that is not declared', '"${poll}"', '"${pull}"', '${pull} names no parameter'],
    [
      'a component that only Margo names',
      'name: monitor\n          properties: { blob',
      'name: other\n          properties: { blob',
      '"monitor" is no component',
    ],
    [
      'another id than the statement’s (Margo rule 47)',
      `id: ${UUID}`,
      'id: 6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b99',
      'as the statement says',
    ],
    [
      'an unknown key of the profile',
      'deploymentProfile:\n',
      'deploymentProfile:\n    extra: 1\n',
      'unknown key "extra"',
    ],
    [
      'a document of another kind',
      'metadata:',
      'kind: Deployment\nmetadata:',
      'expected ApplicationDeployment',
    ],
  ] as const) {
    test(`refused: ${title}`, () => {
      expect(APP).toContain(from);
      const result = read(APP.replace(from, () => to));
      expect(codeOf(result)).toBe('config.invalid');
      expect(messageOf(result)).toContain(reason);
    });
  }
});
