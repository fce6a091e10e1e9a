/** compose.yaml as a device reads it: what it means, and what is refused with its place. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: compose files have variables of their own
import { describe, expect, test } from 'bun:test';
import { checkCompose } from '#plan/compose-allow.ts';
import type { ComposeProject } from '#state/compose.ts';
import { readCompose } from '#wire/compose.ts';
import { composeBlobs, readComposeComponent } from '#wire/compose-component.ts';
import { fillIn } from '#wire/compose-variables.ts';
import { imageText, readImageName, readPackageName } from '#wire/image-name.ts';
import { codeOf, value } from '../../support/store.ts';

const vars = (plain: Readonly<Record<string, string>> = {}, sealed: readonly string[] = []) => ({
  plain: new Map(Object.entries(plain)),
  sealed: new Set(sealed),
});

function read(text: string, plain: Readonly<Record<string, string>> = {}, files = {}) {
  const known: Readonly<Record<string, string>> = files;
  return readCompose({
    ...{ bytes: Buffer.from(text), file: 'compose.yaml', variables: vars(plain, ['SECRET']) },
    read: (path) => known[path.join('/')] ?? null,
  });
}

const service = (members: string, top = '') =>
  `services:\n  web:\n    image: app:1\n${members.replace(/^/gm, '    ')}\n${top}`;
const web = (members: string, plain = {}, top = '', files = {}) => {
  const { services } = value(read(service(members, top), plain, files));
  return services.find(({ name }) => name === 'web');
};

describe('variables', () => {
  for (const [text, made] of [
    ['plain', 'plain'],
    ['$A-${A}', 'a-a'],
    ['$$A', '$A'],
    ['${NONE}', ''],
    ['${NONE:-x}${EMPTY:-y}${EMPTY-z}', 'xy'],
    ['${A:+set}${NONE:+not}', 'set'],
    ['${NONE:-${A}b}', 'ab'],
  ] as const)
    test(`${text} is "${made}"`, () => {
      expect(fillIn(text, vars({ A: 'a', EMPTY: '' }))).toEqual({ text: made });
    });

  for (const text of [
    '${NONE:?must be}',
    '${',
    '$ ',
    '${1}',
    '${A!}',
    `${'${X:-'.repeat(12)}${'}'.repeat(12)}`,
  ])
    test(`${text} is refused`, () => {
      expect(fillIn(text, vars({ A: 'a' }))).toHaveProperty('reason');
    });

  test('a sealed value stands nowhere that others read', () => {
    expect(fillIn('${SECRET}', vars({}, ['SECRET']))).toHaveProperty('reason');
    expect(codeOf(read(service('environment: { A: "${SECRET}" }')))).toBe('config.invalid');
    const secret = web('secrets: [key]', {}, 'secrets: { key: { environment: SECRET } }');
    expect(secret?.mounts).toEqual([
      {
        kind: 'secret',
        variable: 'SECRET',
        target: '/run/secrets/key',
        mode: 0o444,
        uid: 0,
        gid: 0,
      },
    ]);
  });

  test('a value is never read as YAML: it adds no member', () => {
    const image = 'x"\n    privileged: true';
    expect(codeOf(read(service('').replace('app:1', '"${I}"'), { I: image }))).toBe(
      'config.invalid',
    );
  });
});

describe('a service', () => {
  test('has its ports in every short and long form', () => {
    const ports = web(
      'ports: ["80", "8080:80", "127.0.0.1:53:53/udp", "9000-9001:90-91", { target: 1, published: "2" }]',
    )?.ports.map(({ container, protocol, host, address }) => [container, protocol, host, address]);
    expect(ports).toEqual([
      [80, 'tcp', '', ''],
      [80, 'tcp', '8080', ''],
      [53, 'udp', '53', '127.0.0.1'],
      [90, 'tcp', '9000', ''],
      [91, 'tcp', '9001', ''],
      [1, 'tcp', '2', ''],
    ]);
  });

  test('has its mounts: of volumes, of its package read-only, of the device', () => {
    const mounts = web(
      'volumes: ["data:/data", "./conf/a:/a", "/srv/x:/x:ro", "/own", { type: tmpfs, target: /t, tmpfs: { size: 1m } }]',
      {},
      'volumes: { data: {} }',
    )?.mounts;
    expect(mounts).toEqual([
      { kind: 'volume', name: 'data', target: '/data', readOnly: false },
      { kind: 'package', path: ['conf', 'a'], target: '/a' },
      { kind: 'bind', path: '/srv/x', target: '/x', readOnly: true },
      { kind: 'volume', name: './own', target: '/own', readOnly: false },
      { kind: 'tmpfs', target: '/t', bytes: 1024 * 1024 },
    ]);
  });

  test('splits its command as a shell would, and takes its environment from files and parameters', () => {
    expect(web(`command: sh -c 'a "b" $$c' "d e"`)?.command).toEqual([
      'sh',
      '-c',
      'a "b" $c',
      'd e',
    ]);
    const files = { 'a.env': '# no\nA=1\nexport B="two words"\nC=3 # not\n' };
    const environment = web(
      'env_file: a.env\nenvironment: [ "C=${PORT}", D ]',
      { PORT: '80', D: 'given' },
      '',
      files,
    )?.environment;
    expect({ ...environment }).toEqual({ A: '1', B: 'two words', C: '80', D: 'given' });
  });

  test('comes after what it depends on, and carries health, limits and bounded logs', () => {
    const project = value(
      read(
        service(
          'depends_on: { db: { condition: service_healthy } }\nhealthcheck: { test: curl x, interval: 1m30s, retries: 2 }\ndeploy: { resources: { limits: { cpus: "0.5", memory: 64M } } }',
          '  db: { image: db }\n',
        ),
      ),
    );
    expect(project.services.map(({ name }) => name)).toEqual(['db', 'web']);
    const [, one] = project.services;
    expect(one?.health).toMatchObject({
      test: ['CMD-SHELL', 'curl x'],
      intervalMs: 90_000,
      retries: 2,
    });
    expect(one?.host).toMatchObject({ NanoCpus: 5e8, Memory: 64 * 2 ** 20 });
    expect(one?.host.LogConfig).toMatchObject({ Config: { 'max-size': '10m' } });
  });

  for (const members of [
    ...['build: .', 'extends: { service: x }', 'network_mode: "container:x"', 'ipc: "container:x"'],
    ...['volumes: ["../up:/x"]', 'volumes: ["/srv/../etc:/x"]', 'volumes: ["none:/x"]'],
    ...['env_file: /etc/passwd', 'env_file: ../up', 'env_file: not-there', 'ports: ["0:99999"]'],
    ...[
      'unheard_of: 1',
      'labels: { io.holdfast.store: x }',
      'labels: ["com.docker.compose.project=x"]',
    ],
    ...['depends_on: [nobody]', 'depends_on: [web]', 'networks: [nobody]', 'scale: 1000'],
    ...['devices: [/etc/shadow]', 'logging: { driver: syslog }', 'restart: sometimes'],
    ...['healthcheck: { test: [x] }', 'command: "a \\"b"', 'configs: [nobody]', 'mem_limit: lots'],
  ])
    test(`${members} is refused with its place`, () => {
      const refused = read(service(members));
      expect(codeOf(refused)).toBe('config.invalid');
      expect(refused.ok ? '' : refused.fault.message).toMatch(/^compose\.yaml:\d+:\d+: /);
    });

  for (const top of [
    ...[
      'include: [other.yaml]',
      'volumes: { a: { external: true } }',
      'networks: { a: { driver: host } }',
    ],
    ...[
      'volumes: { a: { driver_opts: { type: none, o: bind, device: /etc } } }',
      'volumes: { a: { name: b } }',
    ],
    ...[
      'networks: { a: { external: true } }',
      'configs: { a: { file: ../x } }',
      'secrets: { a: { file: /x } }',
    ],
    ...['services: {}', 'models: {}'],
  ])
    test(`${top} is refused at the top`, () => {
      const text = top.startsWith('services') ? top : service('', top);
      expect(codeOf(read(text))).toBe('config.invalid');
    });
});

describe('what reaches beyond a container', () => {
  const places = {
    real: (path: string) => (path === '/srv/link' ? '/etc' : path),
    protectedPaths: ['/var/lib/holdfast'],
  };
  const allow = (more = {}) => ({
    ...{ roots: ['/srv'], runtimes: ['compose'], users: null, defaultUser: null },
    ...more,
  });
  const judged = (members: string, more = {}) => {
    const { needs }: ComposeProject = value(read(service(members)));
    const result = checkCompose('line', needs, allow(more), places);
    return result.ok ? 'allowed' : codeOf(result);
  };
  const grant = (...grants: readonly string[]) => ({ compose: { grants, paths: [] } });

  for (const [members, name] of [
    ['privileged: true', 'privileged'],
    ['network_mode: host', 'host-network'],
    ['pid: host', 'host-namespaces'],
    ['cap_add: [SYS_ADMIN]', 'capabilities'],
    ['devices: ["/dev/ttyUSB0"]', 'devices'],
    ['security_opt: ["seccomp=unconfined"]', 'security-options'],
  ] as const)
    test(`${members} needs the owner's grant ${name}`, () => {
      expect(judged(members)).toBe('compose.not-allowed');
      expect(judged(members, grant('devices-of-others'))).toBe('compose.not-allowed');
      expect(judged(members, grant(name))).toBe('allowed');
    });

  test('paths lie below the roots or are named, links followed, and are never the agent’s own', () => {
    expect(judged('volumes: ["/srv/a:/a"]')).toBe('allowed');
    expect(judged('volumes: ["/srv:/a"]')).toBe('compose.not-allowed');
    expect(judged('volumes: ["/srv/link:/a"]')).toBe('compose.not-allowed');
    expect(judged('volumes: ["/var/run/docker.sock:/s"]')).toBe('compose.not-allowed');
    const paths = (...named: readonly string[]) => ({ compose: { grants: [], paths: named } });
    expect(judged('volumes: ["/dev/shm:/s"]', paths('/dev/shm'))).toBe('allowed');
    expect(judged('volumes: ["/var:/v"]', paths('/var'))).toBe('apply.protected-path');
  });

  test('no-new-privileges takes and gives nothing', () => {
    expect(judged('security_opt: ["no-new-privileges:true"]')).toBe('allowed');
  });
});

test('a component says where it comes from, how long it may take, what stays', () => {
  const component = (properties: Readonly<Record<string, unknown>>) =>
    readComposeComponent('line', { name: 'web', blob: null, properties });
  const from = { repository: 'oci://r.example/web', revision: '1.0.0' };
  expect(value(component({ ...from, timeout: '2m30s', wait: 'false', onRemove: 'purge' }))).toEqual(
    {
      ...{ name: 'web', from: { kind: 'package', ...from }, images: [] },
      ...{ wait: false, timeoutMs: 150_000, purge: true },
    },
  );
  expect(value(component({ blob: 'app' })).timeoutMs).toBe(300_000);
  for (const properties of [
    ...[
      {},
      { repository: 'oci://x/y' },
      { packageLocation: 'https://x' },
      { ...from, timeout: 'x' },
    ],
    ...[
      { ...from, images: 'x' },
      { ...from, onRemove: 'x' },
      { ...from, unheard: 1 },
    ],
  ])
    expect(codeOf(component(properties))).toBe('compose.file');
  const components = [{ name: 'a', blob: 'app', properties: { blob: 'app', images: ['i'] } }];
  const profile = { kind: 'other', type: 'compose', components } as const;
  const plain = { dependsOn: [], parameters: [], health: [], data: [], drift: 'repair' } as const;
  expect(composeBlobs({ id: 'x', name: 'x', profile, ...plain })).toEqual(['i']);
});

test('names of images are read as registries do, and nothing odd becomes part of a request', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  for (const [text, made] of [
    ['nginx', 'docker.io/library/nginx:latest'],
    ['a/b:1', 'docker.io/a/b:1'],
    ['localhost:5000/a', 'localhost:5000/a:latest'],
    [`r.example/a/b:1@${digest}`, `r.example/a/b:1@${digest}`],
    [`r.example/a@${digest}`, `r.example/a@${digest}`],
  ] as const) {
    const name = readImageName(text);
    expect(name && imageText(name)).toBe(made);
  }
  for (const text of [
    '',
    'A',
    'a b',
    'a@sha256:1',
    'r.example/../a',
    'a:1:2',
    'x?y',
    `a@${digest}x`,
  ])
    expect(readImageName(text)).toBeNull();
  expect(readPackageName('oci://r.example:5000/a/b')).toEqual({
    host: 'r.example:5000',
    repository: 'a/b',
  });
  for (const text of ['https://r/a', 'oci://r', 'oci://r/A', 'oci://u@r/a'])
    expect(readPackageName(text)).toBeNull();
});
