/** Deployments in Holdfast's dialect: what they decode to, and each rule that refuses one. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the documents own placeholders
import { describe, expect, test } from 'bun:test';
import { MEDIA } from '#state/media-types.ts';
import { blobNames, readDeployment } from '#wire/deployment.ts';
import { bytesOf, codeOf, granted, messageOf } from '../../support/wire-samples.ts';

const FILES = `apiVersion: holdfast/v1
kind: Deployment
id: line
metadata: { name: "Line configuration", labels: { team: a } }
spec:
  dependsOn: [base]
  drift: report
  deploymentProfile:
    type: files
    components:
      - name: conf
        properties: { blob: files/plc.conf, target: /opt/line/plc.conf, mode: "0600", owner: "plc:plc", adopt: true, once: true }
      - name: tree
        properties: { blob: recipes, target: /opt/line/recipes, owner: 1000 }
    hooks: { reload: { command: [/bin/kill, -HUP, "1"], timeout: 3s } }
  parameters:
    site: { valueFrom: { deviceLabel: site } }
    who: { valueFrom: { device: id } }
    secret: { valueFrom: { deviceValue: pin } }
  health:
    - { name: web, http: { url: "http://127.0.0.1:8080/", status: 200 }, startPeriod: 5s, interval: 1s, timeout: 500ms, retries: 5 }
    - { name: port, tcp: { host: "::1", port: 8080 } }
    - { name: script, exec: { command: [/opt/line/check, -v] } }
  data: [ { path: /srv/line, mode: "0700", owner: plc, onRemove: purge }, { path: /srv/log } ]
`;

const PROCESS = `apiVersion: holdfast/v1
kind: Deployment
id: pager
spec:
  deploymentProfile:
    type: process
    components:
      - name: server
        properties:
          blob: bin/pager
          command: [pager, --port, "\${port}", "$\${literal}"]
          env: { MODE: "\${mode}" }
          user: plc
          workingDirectory: /srv/line
          restart: { backoff: 2s, backoffMax: 2m }
          stop: { signal: SIGINT, timeout: 20s }
          aliveFor: 3s
          logs: { maxSize: 2Mi, files: 5 }
      - name: helper
        properties: { blob: bin/helper }
  parameters:
    port: { value: 8080, targets: [ { pointer: ENV.PORT, components: [server, helper] } ] }
    mode: { value: true }
`;

const read = (text: string, id = 'line') =>
  readDeployment(bytesOf(text), MEDIA.deployment, { id, file: 'line.yaml' });
const fault = (result: ReturnType<typeof read>) => [codeOf(result), messageOf(result)] as const;

describe('documents are decoded', () => {
  test('files, with every field set', () => {
    const deployment = granted(read(FILES));
    expect(deployment).toEqual({
      id: 'line',
      name: 'Line configuration',
      dependsOn: ['base'],
      drift: 'report',
      profile: {
        kind: 'files',
        components: [
          {
            name: 'conf',
            blob: 'files/plc.conf',
            target: '/opt/line/plc.conf',
            mode: 0o600,
            owner: { user: 'plc', group: 'plc' },
            adopt: true,
            once: true,
          },
          {
            name: 'tree',
            blob: 'recipes',
            target: '/opt/line/recipes',
            mode: 0o644,
            owner: { user: '1000', group: null },
            adopt: false,
            once: false,
          },
        ],
        reload: { command: ['/bin/kill', '-HUP', '1'], timeoutMs: 3_000 },
      },
      parameters: [
        { name: 'site', value: { kind: 'device-label', label: 'site' }, targets: [] },
        { name: 'who', value: { kind: 'device-id' }, targets: [] },
        { name: 'secret', value: { kind: 'device-value', name: 'pin' }, targets: [] },
      ],
      health: [
        {
          name: 'web',
          probe: { kind: 'http', url: 'http://127.0.0.1:8080/', status: 200 },
          startPeriodMs: 5_000,
          intervalMs: 1_000,
          timeoutMs: 500,
          retries: 5,
        },
        {
          name: 'port',
          probe: { kind: 'tcp', host: '::1', port: 8_080 },
          startPeriodMs: 0,
          intervalMs: 2_000,
          timeoutMs: 2_000,
          retries: 3,
        },
        {
          name: 'script',
          probe: { kind: 'exec', command: ['/opt/line/check', '-v'] },
          startPeriodMs: 0,
          intervalMs: 2_000,
          timeoutMs: 2_000,
          retries: 3,
        },
      ],
      data: [
        { path: '/srv/line', mode: 0o700, owner: { user: 'plc', group: null }, onRemove: 'purge' },
        { path: '/srv/log', mode: 0o750, owner: null, onRemove: 'keep' },
      ],
    });
    expect(blobNames(deployment)).toEqual(['files/plc.conf', 'recipes']);
  });

  test('process, with every field set and with none', () => {
    const deployment = granted(read(PROCESS, 'pager'));
    expect(deployment.name).toBe('pager');
    expect(deployment.profile).toEqual({
      kind: 'process',
      components: [
        {
          name: 'server',
          blob: 'bin/pager',
          command: ['pager', '--port', '${port}', '$${literal}'],
          env: { MODE: '${mode}' },
          user: 'plc',
          workingDirectory: '/srv/line',
          restart: { backoffMs: 2_000, backoffMaxMs: 120_000 },
          stop: { signal: 'SIGINT', timeoutMs: 20_000 },
          aliveForMs: 3_000,
          logs: { maxBytes: 2_097_152, files: 5 },
        },
        {
          name: 'helper',
          blob: 'bin/helper',
          command: ['helper'],
          env: {},
          user: null,
          workingDirectory: null,
          restart: { backoffMs: 1_000, backoffMaxMs: 60_000 },
          stop: { signal: 'SIGTERM', timeoutMs: 10_000 },
          aliveForMs: 1_000,
          logs: { maxBytes: 1_048_576, files: 3 },
        },
      ],
    });
    expect(deployment.parameters).toEqual([
      {
        name: 'port',
        value: { kind: 'literal', text: '8080', typed: 8080 },
        targets: [{ pointer: 'PORT', components: ['server', 'helper'] }],
      },
      { name: 'mode', value: { kind: 'literal', text: 'true', typed: true }, targets: [] },
    ]);
  });

  test('a profile type of the format without a runtime here is kept by its name', () => {
    const text = FILES.replace('type: files', 'type: systemd');
    expect(granted(read(text)).profile).toMatchObject({ kind: 'other', type: 'systemd' });
    expect(blobNames(granted(read(text)))).toEqual(['files/plc.conf', 'recipes']);
  });
});

describe('documents that are refused', () => {
  const target = 'target: /opt/line/plc.conf';
  for (const [title, from, to, reason] of [
    [
      'another api version',
      'holdfast/v1',
      'holdfast/v2',
      ':1:13: apiVersion: expected holdfast/v1',
    ],
    ['another kind', 'kind: Deployment', 'kind: Fleet', ':2:7: kind: expected Deployment'],
    [
      'another id than the statement’s',
      'id: line',
      'id: other',
      ':3:5: expected line, as the statement',
    ],
    ['an unknown key', 'drift: report', 'drfit: report', ':7:3: spec: unknown key "drfit"'],
    ['an unknown key of a component', 'adopt: true', 'adapt: true', 'unknown key "adapt"'],
    ['a profile type that is no name', 'type: files', 'type: "../x"', 'expected '],
    [
      'another drift',
      'drift: report',
      'drift: ignore',
      'expected repair or report, found "ignore"',
    ],
    ['a target that is relative', target, 'target: opt/x', 'expected an absolute path'],
    ['a target with .. (D01)', target, 'target: /opt/../etc/passwd', 'expected an absolute path'],
    ['a target with . in it', target, 'target: /opt/./x', 'expected an absolute path'],
    ['a target with two slashes', target, 'target: /opt//x', 'expected an absolute path'],
    ['a target that ends in a slash', target, 'target: /opt/x/', 'expected an absolute path'],
    ['the root as target', target, 'target: /', 'expected an absolute path'],
    [
      'a target with a parameter that is not there',
      target,
      `target: "/opt/\${where}/plc.conf"`,
      `\${where} names no parameter; there are: `,
    ],
    [
      'a target with .. beside a parameter',
      target,
      `target: "/opt/\${site}/../plc.conf"`,
      'expected an absolute path',
    ],
    [
      'a target whose parameter has no name',
      target,
      'target: "/opt/${}/plc.conf"',
      "expected a parameter's name",
    ],
    ['a target with a control (D17)', target, 'target: "/opt/a\\tb"', 'expected an absolute path'],
    [
      'a target twice',
      '/opt/line/recipes',
      '/opt/line/plc.conf',
      '"/opt/line/plc.conf" stands twice',
    ],
    ['a component twice', 'name: tree', 'name: conf', ':13:15: "conf" stands twice'],
    ['a component name with a dot', 'name: tree', 'name: tree.x', 'expected a name'],
    [
      'a blob outside the folder (D01)',
      'blob: recipes',
      'blob: ../recipes',
      'expected a relative path',
    ],
    ['an absolute blob (D02)', 'blob: recipes', 'blob: /etc/shadow', 'expected a relative path'],
    ['a mode without quotes (P10)', 'mode: "0600"', 'mode: 0600', 'expected quotes around "0600"'],
    ['a mode as a number', 'mode: "0600"', 'mode: 600', 'expected a mode in quotes'],
    ['setuid in a mode (D09)', 'mode: "0600"', 'mode: "4755"', 'expected a mode in quotes'],
    ['an owner with a slash', '"plc:plc"', '"../plc"', 'expected an owner'],
    ['an owner of three parts', '"plc:plc"', '"a:b:c"', 'expected an owner'],
    ['a relative hook', '/bin/kill', 'bin/kill', 'absolute path'],
    ['a hook without a command', 'command: [/bin/kill, -HUP, "1"]', 'command: []', 'absolute path'],
    ['an argument that is a number', '-HUP, "1"', '-HUP, 1', 'expected text'],
    [
      'a check of two kinds',
      'tcp: { host: "::1", port: 8080 }',
      'tcp: { host: "::1", port: 80 }, exec: { command: [/a] }',
      'one of http, tcp and exec',
    ],
    ['a check of no kind', ', tcp: { host: "::1", port: 8080 }', '', 'one of http, tcp and exec'],
    ['a check twice', 'name: port', 'name: web', '"web" stands twice'],
    ['the name alive', 'name: port', 'name: alive', 'another name than "alive"'],
    ['port 0', 'port: 8080 }', 'port: 0 }', 'from 1 to 65535'],
    ['a port with a fraction', 'port: 8080 }', 'port: 80.5 }', 'from 1 to 65535'],
    ['a file URL', '"http://127.0.0.1:8080/"', '"file:///etc/passwd"', 'expected a URL'],
    [
      'credentials in a URL (N07)',
      '"http://127.0.0.1:8080/"',
      '"http://a:b@127.0.0.1/"',
      'expected a URL',
    ],
    [
      'a parameter in a URL',
      '"http://127.0.0.1:8080/"',
      `"http://127.0.0.1/\${site}"`,
      'nothing to be filled in',
    ],
    ['a check every 0 ms', 'interval: 1s', 'interval: 0s', 'at least 100ms'],
    ['a data directory twice', '/srv/log', '/srv/line', '"/srv/line" stands twice'],
    ['data to be deleted', 'onRemove: purge', 'onRemove: delete', 'keep or purge'],
    ['a dependency on itself', '[base]', '[line]', 'cannot need itself'],
    ['a dependency twice', '[base]', '[base, base]', '"base" stands twice'],
    ['a dependency that is no id', '[base]', '[../base]', 'expected an id'],
    [
      'a parameter with two values',
      '{ device: id }',
      '{ device: id, deviceLabel: x }',
      'one of device',
    ],
    [
      'a parameter without a value',
      'who: { valueFrom: { device: id } }',
      'who: {}',
      'one of value and valueFrom',
    ],
    ['a parameter name with a space', 'who:', '"w o":', 'expected a name'],
    [
      'a value that is a mapping',
      'who: { valueFrom: { device: id } }',
      'who: { value: {a: 1} }',
      'expected text, a number',
    ],
    ['no components', 'components:\n', 'components: []\n    others:\n', 'unknown key "others"'],
    ['a name of two lines', '"Line configuration"', '"a\\nb"', 'expected a line of text'],
  ] as const) {
    test(title, () => {
      expect(FILES).toContain(from);
      const [code, message] = fault(read(FILES.replace(from, to)));
      expect(code).toBe('config.invalid');
      expect(message).toStartWith('line.yaml:');
      expect(message).toContain(reason);
    });
  }

  for (const [title, from, to, reason] of [
    [
      'a parameter that is not declared',
      '"${port}"',
      '"${prot}"',
      ':11:36: ${prot} names no parameter; there are: port, mode',
    ],
    [
      'one that is not declared, in the environment',
      '"${mode}"',
      `"\${a}\${nope}"`,
      `:12:24: \${a} names no parameter`,
    ],
    ['a parameter that is not closed', '"${port}"', '"${port"', "expected a parameter's name"],
    ['the program as a parameter', '[pager,', '["${port}",', 'cannot be a parameter'],
    ['a program with .. (D01)', '[pager,', '[../pager,', 'starts with a path'],
    [
      'a command that is a string',
      '[pager, --port, "${port}", "$${literal}"]',
      'pager',
      'expected a list of arguments',
    ],
    ['a reserved variable', '{ MODE:', '{ HOLDFAST_INSTANCE:', 'HOLDFAST_'],
    ['a variable with =', '{ MODE:', '{ "A=B":', 'variable name'],
    ['a variable set twice', '{ MODE:', '{ PORT:', 'PORT is set twice there'],
    [
      'a target that sets a reserved variable',
      'ENV.PORT',
      'HOLDFAST_COMPONENT',
      'the name of a variable',
    ],
    [
      'a target that is no component (Margo rule 54)',
      '[server, helper]',
      '[server, ghost]',
      '"ghost" is no component',
    ],
    ['a backoff above its maximum', 'backoff: 2s', 'backoff: 3m', 'a backoffMax not below backoff'],
    ['a backoff of nothing', 'backoff: 2s', 'backoff: 0s', 'at least 100ms'],
    ['SIGKILL to stop with', 'SIGINT', 'SIGKILL', 'SIGTERM, SIGINT'],
    ['a log of 1 KiB', '2Mi', '1Ki', 'at least 4Ki'],
    ['no log files', 'files: 5', 'files: 0', 'from 1 to 100'],
    [
      'hooks, which processes do not have',
      'type: process',
      'type: process\n    hooks: {}',
      'unknown key "hooks"',
    ],
    ['a relative working directory', '/srv/line', 'srv/line', 'an absolute path'],
    ['a user with a slash', 'user: plc', 'user: a/b', 'a user name or number'],
  ] as const) {
    test(`process: ${title}`, () => {
      expect(PROCESS).toContain(from);
      const [code, message] = fault(
        read(
          PROCESS.replace(from, () => to),
          'pager',
        ),
      );
      expect(code).toBe('config.invalid');
      expect(message).toContain(reason);
    });
  }

  test('another media type, values of a device among them', () => {
    for (const type of [MEDIA.values, 'text/yaml', `${MEDIA.deployment}; charset=utf-8`]) {
      const result = readDeployment(bytesOf(FILES), type, { id: 'line', file: 'f' });
      expect(codeOf(result)).toBe('format.media-type');
    }
  });

  test('more than 256 KiB', () => {
    expect(messageOf(read(`# ${'x'.repeat(262_144)}\n`))).toContain('at most 262144 bytes');
  });
});

test('a further runtime gets its components as they were written, and their blobs', () => {
  const text = `apiVersion: holdfast/v1
kind: Deployment
id: line
spec:
  deploymentProfile:
    type: plc-program
    components:
      - { name: main, properties: { blob: main.st, slot: 3, tasks: [fast, slow] } }
`;
  const where = { id: 'line', file: 'line.yaml' };
  const read = readDeployment(Buffer.from(text), MEDIA.deployment, where);
  expect(read.ok && read.value.profile).toEqual({
    kind: 'other',
    type: 'plc-program',
    components: [
      {
        name: 'main',
        blob: 'main.st',
        properties: { blob: 'main.st', slot: 3, tasks: ['fast', 'slow'] },
      },
    ],
  });
  expect(read.ok && blobNames(read.value)).toEqual(['main.st']);
});
