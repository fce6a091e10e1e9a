/** `holdfast lint`: what is planted in a fleet folder is found, at its place, and nothing else. */
import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openFleet } from '#publisher/fleet.ts';
import { lintFleet } from '#publisher/lint-fleet.ts';
import { LINT_RULES, type Remark } from '#publisher/remark.ts';
import { openDesk } from '../../support/desk.ts';

const desk = openDesk();
afterAll(() => desk.remove());
const at = (path: string) => join(desk.folder, 'plant', path);

function write(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
  chmodSync(at(path), mode);
}

const process = (id: string, more = '') => `apiVersion: holdfast/v1
kind: Deployment
id: ${id}
spec:
${more}  deploymentProfile:
    type: process
    components:
      - { name: main, properties: { blob: bin/run } }
`;
const HEALTHY = `  health:
    - { name: web, tcp: { host: 127.0.0.1, port: 80 } }
`;

async function lint(...flags: readonly string[]): Promise<readonly Remark[]> {
  const ran = await desk.run(['lint', at('.'), '-o', 'json', ...flags]);
  return JSON.parse(ran.out) as Remark[];
}

const codes = (remarks: readonly Remark[]) =>
  remarks.filter(({ gravity }) => gravity !== 'note').map(({ code }) => code);
const place = ({ file, line, column }: Remark) => `${file}:${line}:${column}`;

beforeEach(async () => {
  rmSync(at('.'), { recursive: true, force: true });
  const init = [
    'init',
    'plant',
    '--demo',
    '--no-passphrase',
    '--no-examples',
    '--channel',
    'stable',
  ];
  expect((await desk.run(init)).code).toBe(0);
  write('channels/stable/bin/run', '#!/bin/sh\nsleep 60\n', 0o755);
  write('channels/stable/good.yaml', process('good', HEALTHY));
});

test('a folder that is well says nothing and ends with 0', async () => {
  expect(codes(await lint())).toEqual([]);
  const ran = await desk.run(['lint', '--fleet', at('.'), '--strict']);
  expect(ran.code).toBe(0);
  expect(ran.out).toContain('0 errors, 0 warnings');
});

describe('what publish would refuse', () => {
  test('is told all at once, with file, line and column; the exit code is 2', async () => {
    write('channels/stable/a.yaml', process('other'));
    write('channels/stable/b.yaml', 'apiVersion: holdfast/v1\nkind: Deployment\nwhat: is this\n');
    write('channels/stable/c.yaml', process('c').replace('bin/run', 'bin/missing'));
    const remarks = (await lint()).filter(({ gravity }) => gravity === 'error');
    expect(remarks.map(place)).toEqual([
      'channels/stable/a.yaml:3:5',
      'channels/stable/b.yaml:3:1',
      'channels/stable/c.yaml:0:0',
    ]);
    expect(remarks[2]?.code).toBe('publish.blob-path');
    expect((await desk.run(['lint', at('.')])).code).toBe(2);
  });

  test('dependencies that are missing or circular', async () => {
    write('channels/stable/a.yaml', process('a', `  dependsOn: [b]\n${HEALTHY}`));
    expect(codes(await lint())).toEqual(['plan.unknown-dependency']);
    write('channels/stable/b.yaml', process('b', `  dependsOn: [a]\n${HEALTHY}`));
    expect(codes(await lint())).toEqual(['plan.dependency-cycle']);
  });
});

describe('values of one device', () => {
  const VALUES = `apiVersion: holdfast/v1
kind: Values
id: press-7
values:
  line: { value: a }
`;
  const errors = async () => (await lint()).filter(({ gravity }) => gravity === 'error');

  beforeEach(async () => {
    rmSync(at('.'), { recursive: true, force: true });
    const channels = ['--channel', 'stable', 'device.*'];
    const init = ['init', 'plant', '--demo', '--no-passphrase', '--no-examples', ...channels];
    expect((await desk.run(init)).code).toBe(0);
    write('channels/device.press-7/press-7.yaml', VALUES);
  });

  test('are read in each device’s channel, and are well', async () => {
    expect(await errors()).toEqual([]);
  });

  test('a mistake in them has its place', async () => {
    const wrong = VALUES.replace('press-7', 'press-8').replace('value: a', 'valu: a');
    write('channels/device.press-8/press-8.yaml', wrong);
    expect((await errors()).map(place)).toEqual(['channels/device.press-8/press-8.yaml:5:11']);
  });

  test('elsewhere, and deployments among them, are refused', async () => {
    write('channels/stable/press-7.yaml', VALUES);
    write('channels/device.press-7/other.yaml', process('other', HEALTHY));
    write('channels/device.press-7/bin/run', '#!/bin/sh\nsleep 60\n', 0o755);
    expect((await errors()).map(({ file, code }) => [file, code])).toEqual([
      ['channels/device.press-7', 'values.only'],
      ['channels/stable', 'values.elsewhere'],
    ]);
  });
});

describe('what is unwise', () => {
  test('a program without a check, and checks that always pass', async () => {
    write('channels/stable/a.yaml', process('a'));
    expect((await lint()).map((one) => [one.code, place(one)])).toEqual([
      ['no-health-check', 'channels/stable/a.yaml:6:5'],
    ]);
    for (const command of [
      '["/bin/true"]',
      '["/bin/sh", "-c", "curl localhost || true"]',
      '["/bin/echo", "fine"]',
    ]) {
      const health = `  health:\n    - { name: x, exec: { command: ${command} } }\n`;
      write('channels/stable/a.yaml', process('a', health));
      expect(codes(await lint())).toEqual(['check-always-passes', 'no-health-check']);
    }
    const asks = `  health:\n    - { name: x, exec: { command: ["/bin/sh", "-c", "curl -f localhost"] } }\n`;
    write('channels/stable/a.yaml', process('a', asks));
    expect(codes(await lint())).toEqual([]);
  });

  const files = (properties: string) => `apiVersion: holdfast/v1
kind: Deployment
id: a
spec:
  deploymentProfile:
    type: files
    components:
      - name: one
        properties: ${properties}
`;

  test('targets elsewhere, secrets that everybody may read, keys in blobs', async () => {
    write('channels/stable/conf', 'x');
    write('channels/stable/a.yaml', files('{ blob: conf, target: /etc/plc/conf }'));
    expect(codes(await lint())).toEqual(['unusual-target']);
    write('channels/stable/a.yaml', files('{ blob: conf, target: /opt/plc/db-password }'));
    expect(codes(await lint())).toEqual(['readable-secret']);
    write(
      'channels/stable/a.yaml',
      files('{ blob: conf, target: /opt/plc/db-password, mode: "0600" }'),
    );
    expect(codes(await lint())).toEqual([]);
    write('channels/stable/conf', '-----BEGIN EC PRIVATE KEY-----\nx\n');
    expect(codes(await lint())).toEqual(['secret-in-blob']);
  });

  test('images that a tag names', async () => {
    const compose = (image: string) =>
      files('')
        .replace('type: files', 'type: compose')
        .replace('properties: ', `properties: { image: "${image}" }`);
    write('channels/stable/a.yaml', compose('registry.example/plc/app:latest'));
    expect(codes(await lint())).toEqual(['mutable-name']);
    write('channels/stable/a.yaml', compose(`registry.example/plc/app@sha256:${'a'.repeat(64)}`));
    expect(codes(await lint())).toEqual([]);
  });

  test('files and folders that nothing names', async () => {
    write('channels/stable/old/notes.txt', 'x');
    write('channels/stable/README.md', 'x');
    write('channels/gone/a.yaml', process('a'));
    expect((await lint()).map((one) => [one.code, one.file])).toEqual([
      ['unused-folder', 'channels/gone'],
      ['unused-file', 'channels/stable/old/notes.txt'],
    ]);
  });

  test('fleet.yaml: plain transport, a password in it, a signer that is no key', async () => {
    const text = readFileSync(at('fleet.yaml'), 'utf8')
      .replace('signers: [stable]', 'signers: [stable, nobody]')
      .concat(
        'registry: { url: "http://r.example/a/b", insecure: true, auth: { username: a, password: b } }\n',
      );
    write('fleet.yaml', text);
    expect(codes(await lint()).toSorted()).toEqual([
      'not-encrypted',
      'secret-in-fleet-yaml',
      'signer-missing',
    ]);
  });

  test('keys that others can read, and one root key for a fleet that is real', async () => {
    chmodSync(at('keys/signing/stable.pem'), 0o644);
    expect((await lint()).map((one) => [one.code, one.file])).toEqual([
      ['open-key', 'keys/signing/stable.pem'],
    ]);
    rmSync(at('.'), { recursive: true });
    await desk.run(['init', 'plant', '--no-passphrase', '--no-examples', '--channel', 'stable']);
    const remarks = await lint();
    expect(remarks.map(({ gravity, code }) => `${gravity} ${code}`)).toEqual([
      'note one-signature',
      'warning one-key-root',
    ]);
    const ran = await desk.run(['lint', at('.'), '--strict']);
    expect(ran.code).toBe(1);
  });

  test('a root and a key that are near their ends, and a root that has ended', () => {
    const opened = openFleet(desk.platform, at('.'), 0);
    if (!opened.ok) throw new Error(opened.fault.message);
    const fleet = opened.value;
    const now = fleet.time.estimateMs;
    const day = 86_400_000;
    const signing = fleet.root.roles.find(({ name }) => name === 'channel.stable')?.keyids ?? [];
    const ending = (days: number) => {
      const keys = fleet.root.keys.map((key) =>
        signing.includes(key.keyid) ? { ...key, notAfter: now + days * day } : key,
      );
      const root = { ...fleet.root, notAfter: now + days * day, keys };
      const told = lintFleet(desk.platform.files, { ...fleet, root });
      return told.map(({ gravity, code }) => `${gravity} ${code}`);
    };
    expect(ending(90)).toEqual([]);
    expect(ending(20)).toEqual(['warning root-ends', 'warning key-ends']);
    expect(ending(-1)).toEqual(['error root-ends', 'warning key-ends']);
  });
});

test('one channel alone, an unknown channel, and names for editors', async () => {
  write('channels/stable/a.yaml', process('a'));
  chmodSync(at('keys/signing/stable.pem'), 0o644);
  expect(codes(await lint('--channel', 'stable'))).toEqual(['no-health-check']);
  const none = await desk.run(['lint', at('.'), '--channel', 'beta']);
  expect(none.err).toContain('publish.channel-unknown');
  const names = await desk.run(['lint', at('.'), '-o', 'name']);
  expect(names.out).toContain('channels/stable/a.yaml:6:5\n');
});

test('publish says what is unwise in the documents that it takes, and takes them', async () => {
  for (const id of ['a', 'b', 'c', 'd']) write(`channels/stable/${id}.yaml`, process(id));
  const bundle = join(desk.folder, 'bundle');
  const ran = await desk.run(['publish', '-C', at('.'), '-y', '--to', `oci:${bundle}`]);
  expect(ran.code).toBe(0);
  expect(ran.err).toContain('warning no-health-check: channels/stable/a.yaml:6:5: ');
  expect(ran.err).toContain('1 more; what to do: holdfast lint');
});

test('each rule says what to do', () => {
  for (const remedy of Object.values(LINT_RULES)) expect(remedy.length).toBeGreaterThan(20);
});
