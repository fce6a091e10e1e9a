/** What `doctor` warns of, one weakness after the other, on directories of its own. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentConfig, parseConfig } from '#agent/config.ts';
import type { Finding } from '#agent/finding.ts';
import { weaknesses } from '#agent/weaknesses.ts';
import { systemFiles } from '#platform/node/files.ts';
import type { Processes } from '#platform/processes.ts';
import { isRoot } from '../../support/parts.ts';

const files = systemFiles();
const asRoot = isRoot ? test : test.skip;
const title = (what: string) => (isRoot ? what : `${what} (not root)`);
const SECURE = {
  url: 'https://registry.example/plant/state',
  tls: { ca: 'ca.pem', cert: 'device.pem', key: 'device.key' },
};

let folder = '';
beforeAll(() => {
  // Below /tmp, whose own mode is no weakness: it is sticky.
  folder = mkdtempSync(join(tmpdir(), 'holdfast-weak-'));
  for (const name of ['etc', 'state', 'run', 'opt']) mkdirSync(at(name), { mode: 0o755 });
  for (const name of ['agent.yaml', 'root.json', 'ca.pem', 'device.pem', 'holdfast']) {
    writeFileSync(at(`etc/${name}`), '', { mode: 0o644 });
  }
  writeFileSync(at('etc/device.key'), 'key', { mode: 0o600 });
  writeFileSync(at('etc/password'), 'secret', { mode: 0o600 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function at(path: string): string {
  return join(folder, path);
}

type Settings = Readonly<Record<string, unknown>>;

function configOf(settings: Settings): AgentConfig {
  const whole = {
    apiVersion: 'holdfast/v1',
    kind: 'Agent',
    stateDir: at('state'),
    runDir: at('run'),
    sockets: { statusMode: '0660' },
    trust: { root: 'root.json' },
    channels: [{ name: 'stable', allow: { roots: [at('opt')] } }],
    registries: [SECURE],
    runtimes: { process: { user: 'daemon' } },
    ...settings,
  };
  const read = parseConfig(Buffer.from(JSON.stringify(whole)), at('etc/agent.yaml'));
  if (!read.ok) throw new Error(read.fault.message);
  return read.value;
}

interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly findsOthers?: boolean;
  readonly clockDevices?: readonly string[];
}

/** Every one of them says what to do. */
function found(settings: Settings = {}, given: Given = {}): readonly Finding[] {
  const { findsOthers = true } = given;
  const self = { uid: given.uid ?? process.getuid?.() ?? 0, findsOthers };
  const findings = weaknesses({
    platform: { files, processes: { self } as Processes },
    config: configOf(settings),
    env: { PATH: '/bin', HOME: '/root', ...given.env },
    executable: at('etc/holdfast'),
    clockDevices: given.clockDevices ?? [at('etc/ca.pem')],
  });
  for (const { remedy } of findings) expect(remedy.length).toBeGreaterThan(10);
  return findings;
}

const told = (findings: readonly Finding[]) =>
  findings.map(({ severity, about, message }) => `${severity} ${about}: ${message}`);

test('a device in order has nothing to be told', () => {
  expect(told(found())).toEqual([]);
});

describe('L09: secrets', () => {
  test('that everybody can read, also behind a link', () => {
    chmodSync(at('etc/device.key'), 0o644);
    symlinkSync(at('etc/password'), at('etc/link'));
    const auth = { usernameFile: 'link', passwordFile: 'password' };
    const findings = found({ registries: [{ ...SECURE, auth }] });
    chmodSync(at('etc/device.key'), 0o600);
    rmSync(at('etc/link'));
    expect(told(findings)).toEqual([
      `warning secrets: ${at('etc/device.key')} can be read by everybody`,
    ]);
    expect(findings[0]?.remedy).toBe(`chmod 600 ${at('etc/device.key')}`);
  });

  test('that are not there', () => {
    const auth = { tokenFile: 'token' };
    expect(told(found({ registries: [{ ...SECURE, auth }] }))).toEqual([
      `warning secrets: ${at('etc/token')} does not exist`,
    ]);
  });
});

describe('links', () => {
  const plain = { url: 'http://registry.example/plant/state', insecure: true };
  for (const [what, settings, says] of [
    [
      'a plain registry',
      { registries: [plain] },
      'warning link: http://registry.example/plant/state is not encrypted',
    ],
    [
      'plain MQTT',
      { mqtt: { url: 'mqtt://broker.example', insecure: true } },
      'warning link: MQTT is not encrypted',
    ],
    [
      'a broker without a client certificate',
      { mqtt: { url: 'mqtts://broker.example' } },
      'warning link: mqtts://broker.example: no client certificate, the device is nobody there',
    ],
    [
      'a registry with a password alone',
      {
        registries: [
          { url: SECURE.url, auth: { usernameFile: 'password', passwordFile: 'password' } },
        ],
      },
      `note link: ${SECURE.url}: a secret that is sent along, no client certificate`,
    ],
    [
      'metrics for the network',
      { metrics: { listen: '0.0.0.0:9469' } },
      'warning link: metrics are for everybody who reaches 0.0.0.0:9469',
    ],
  ] as const) {
    test(what, () => expect(told(found(settings))).toContain(says));
  }

  test('metrics for this machine alone are none', () => {
    expect(told(found({ metrics: { listen: '127.0.0.1:9469' } }))).toEqual([]);
  });
});

test('no real-time clock', () => {
  expect(told(found({}, { clockDevices: [at('no/rtc0'), at('etc/rtc0')] }))).toEqual([
    'warning clock: this device has no real-time clock: it starts without the time',
  ]);
});

describe('directories that others can change', () => {
  test('above the state, by everybody: once, with all that lies below', () => {
    chmodSync(folder, 0o777);
    const findings = told(found());
    chmodSync(folder, 0o700);
    expect(findings).toEqual([
      `warning directories: ${folder} can be changed by everybody: with it the program, the configuration, the root document, stateDir, runDir, a target root, a secret`,
    ]);
  });

  test('a sticky one protects what is there, not what is missing', () => {
    chmodSync(folder, 0o1777);
    const findings = told(found({ stateDir: at('not-yet') }));
    chmodSync(folder, 0o700);
    expect(findings).toEqual([
      `warning directories: ${folder} can be changed by everybody: with it stateDir`,
    ]);
  });

  test('a target root, the configuration, the program', () => {
    for (const name of ['opt', 'etc/agent.yaml', 'etc/holdfast']) chmodSync(at(name), 0o666);
    const findings = told(found());
    chmodSync(at('opt'), 0o755);
    for (const name of ['etc/agent.yaml', 'etc/holdfast']) chmodSync(at(name), 0o644);
    expect(findings).toEqual([
      `warning directories: ${at('etc/holdfast')} can be changed by everybody: with it the program`,
      `warning directories: ${at('etc/agent.yaml')} can be changed by everybody: with it the configuration`,
      `warning directories: ${at('opt')} can be changed by everybody: with it a target root`,
    ]);
  });

  asRoot(title('one of another user or group'), () => {
    chownSync(at('opt'), 65_500, 0);
    chownSync(at('etc'), 0, 65_501);
    chmodSync(at('etc'), 0o775);
    const findings = told(found());
    chownSync(at('opt'), 0, 0);
    chownSync(at('etc'), 0, 0);
    chmodSync(at('etc'), 0o755);
    expect(findings).toEqual([
      `warning directories: ${at('etc')} can be changed by group 65501: with it the program, the configuration, the root document, a secret`,
      `warning directories: ${at('opt')} can be changed by user 65500: with it a target root`,
    ]);
  });

  asRoot(title('not the state of the agent’s own user'), () => {
    chownSync(at('state'), 65_500, 65_500);
    const findings = told(found());
    chownSync(at('state'), 0, 0);
    expect(findings).toEqual([]);
  });

  test('where a link leads counts as well as where it lies', () => {
    mkdirSync(at('open/real'), { recursive: true });
    chmodSync(at('open'), 0o777);
    symlinkSync(at('open/real'), at('way'));
    const findings = told(found({ channels: [{ name: 'stable', allow: { roots: [at('way')] } }] }));
    rmSync(at('way'));
    rmSync(at('open'), { recursive: true });
    expect(findings).toEqual([
      `warning directories: ${at('open')} can be changed by everybody: with it a target root`,
    ]);
  });
});

describe('variables that change what runs', () => {
  for (const name of [
    'LD_PRELOAD',
    'LD_AUDIT',
    'NODE_OPTIONS',
    'NODE_EXTRA_CA_CERTS',
    'BUN_CONFIG_FILE',
    'BUN_INSPECT',
    'SSL_CERT_FILE',
  ]) {
    test(name, () => {
      const [finding, ...more] = found({}, { env: { [name]: 'x' } });
      expect(more).toEqual([]);
      expect(finding).toMatchObject({ severity: 'warning', about: 'environment' });
      expect(finding?.message).toStartWith(`${name} is set`);
    });
  }

  test('not where the native part is placed', () => {
    expect(found({}, { env: { BUN_TMPDIR: '/run/holdfast', TMPDIR: '/tmp', LANG: 'C' } })).toEqual(
      [],
    );
  });
});

describe('rights', () => {
  test('programs as root', () => {
    const runtimes = { process: { allowRoot: true, user: 'daemon' } };
    expect(told(found({ runtimes }))).toEqual([
      'warning rights: a signed state may run programs as root',
    ]);
    const channels = [{ name: 'stable', allow: { roots: [at('opt')], runtimes: ['files'] } }];
    expect(found({ runtimes, channels })).toEqual([]);
  });

  asRoot(title('programs as the agent’s own user, which can read its key'), () => {
    chownSync(at('state'), 65_500, 65_500);
    const findings = told(found({ runtimes: {} }, { uid: 65_500 }));
    chownSync(at('state'), 0, 0);
    expect(findings).toEqual([
      'warning rights: programs that name no user run as the agent and can read its key',
    ]);
  });

  test('root that does not find programs of other users again', () => {
    const findings = told(found({}, { uid: 0, findsOthers: false }));
    expect(findings).toContain(
      'warning rights: root without CAP_SYS_PTRACE: a program of another user may be started twice',
    );
  });

  test('the status for every local user is a note', () => {
    expect(told(found({ sockets: {} }))).toEqual([
      'note sockets: every local user can read the status of this device',
    ]);
  });
});
