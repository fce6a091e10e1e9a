/**
 * What an attacker on the device or on its network could use: the part of `holdfast doctor` that
 * asks nothing of the network and changes nothing. Each finding says how to end it; docs/threats.md
 * says what each of them would cost.
 */
import type { Platform } from '#platform/platform.ts';
import type { AgentConfig } from './config.ts';
import { targetRoots } from './config-channels.ts';
import type { AuthSettings, TlsSettings } from './config-peers.ts';
import { type Finding, note, weak, wrong } from './finding.ts';
import { type Guarded, writableAbove } from './writable-above.ts';

export interface WeaknessInput {
  readonly platform: Pick<Platform, 'files' | 'processes'>;
  readonly config: AgentConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** absolute: the program itself */
  readonly executable: string;
  /** where the kernel shows a clock that runs on a battery */
  readonly clockDevices?: readonly string[];
}

const WORLD = 0o007;
const CLOCK_DEVICES = ['/dev/rtc0', '/dev/rtc', '/sys/class/rtc/rtc0'];
/** They change what code runs or which authorities count, in this program or in its loader. */
const INTERPRETER =
  /^(BUN_(?!TMPDIR$|INSTALL$).*|NODE_(OPTIONS|PATH|EXTRA_CA_CERTS)|LD_(PRELOAD|LIBRARY_PATH|AUDIT)|JSC_.*|GCONV_PATH|SSL_CERT_(FILE|DIR))$/;

export function weaknesses(input: WeaknessInput): readonly Finding[] {
  return [
    ...secrets(input),
    ...links(input.config),
    ...realTimeClock(input),
    ...writableAbove(input.platform, guarded(input)),
    ...variables(input.env),
    ...rights(input),
  ];
}

/** Files that an outsider could read. */
function secrets({ platform, config }: WeaknessInput): readonly Finding[] {
  return secretFiles(config).flatMap((path) => secret(platform, path));
}

function secretFiles(config: AgentConfig): readonly string[] {
  const peers = [...config.registries, ...(config.mqtt ? [config.mqtt] : [])];
  return [...new Set(peers.flatMap(({ auth, tls }) => filesOf(auth, tls)))];
}

function filesOf(auth: AuthSettings, tls: TlsSettings | null): readonly string[] {
  const files = auth
    ? 'tokenFile' in auth
      ? [auth.tokenFile]
      : [auth.usernameFile, auth.passwordFile]
    : [];
  return tls?.key === undefined ? files : [...files, tls.key];
}

function secret({ files }: WeaknessInput['platform'], path: string): readonly Finding[] {
  const real = files.realPath(path);
  if (!real.ok) return [wrong('secrets', real.fault)];
  const slash = real.value.lastIndexOf('/');
  const directory = files.open(real.value.slice(0, slash) || '/', { follow: true });
  if (!directory.ok) return [wrong('secrets', directory.fault)];
  const entry = directory.value.stat(real.value.slice(slash + 1));
  directory.value.close();
  if (!entry.ok) return [wrong('secrets', entry.fault)];
  if (!entry.value)
    return [weak('secrets', `${path} does not exist`, 'Create it, or take it out of agent.yaml.')];
  if ((entry.value.mode & WORLD) === 0) return [];
  return [weak('secrets', `${path} can be read by everybody`, `chmod 600 ${path}`)];
}

/** What others on the network could read, or pretend to be. */
function links({ registries, mqtt, metricsListen }: AgentConfig): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { url, insecure } of registries) {
    if (url.startsWith('http:') && insecure) {
      findings.push(weak('link', `${url} is not encrypted`, 'Use https:// with a CA.'));
    }
  }
  if (mqtt?.insecure && /^(?:mqtt|ws):/.test(mqtt.url)) {
    findings.push(weak('link', 'MQTT is not encrypted', 'Use mqtts:// with a CA.'));
  }
  for (const { url, auth, tls } of [...registries, ...(mqtt ? [mqtt] : [])]) {
    if (tls?.cert !== undefined) continue;
    const remedy =
      'Give the device a certificate of its own: tls: { ca, cert, key } beside the url.';
    findings.push(
      auth
        ? note('link', `${url}: a secret that is sent along, no client certificate`, remedy)
        : weak('link', `${url}: no client certificate, the device is nobody there`, remedy),
    );
  }
  if (metricsListen !== null && !/^(127\.|localhost:|\[::1\])/.test(metricsListen)) {
    const remedy = 'Listen on 127.0.0.1 and let a local collector take them.';
    findings.push(weak('link', `metrics are for everybody who reaches ${metricsListen}`, remedy));
  }
  return findings;
}

function realTimeClock({ platform, clockDevices = CLOCK_DEVICES }: WeaknessInput) {
  if (clockDevices.some((path) => isThere(platform, path))) return [];
  const remedy =
    'Add one, or a time service: until it answers, ends of statements are judged by an estimate.';
  return [weak('clock', 'this device has no real-time clock: it starts without the time', remedy)];
}

function isThere({ files }: WeaknessInput['platform'], path: string): boolean {
  const slash = path.lastIndexOf('/');
  const directory = files.open(path.slice(0, slash) || '/', { follow: true });
  if (!directory.ok) return false;
  const entry = directory.value.stat(path.slice(slash + 1));
  directory.value.close();
  return entry.ok && entry.value !== null;
}

/** Whoever can replace one of these is the agent's master. */
function guarded({ config, executable }: WeaknessInput): readonly Guarded[] {
  return [
    { what: 'the program', path: executable },
    { what: 'the configuration', path: config.file },
    { what: 'the root document', path: config.trust.root },
    { what: 'stateDir', path: config.stateDir },
    { what: 'runDir', path: config.runDir },
    ...targetRoots(config.channels).map((path) => ({ what: 'a target root', path })),
    ...secretFiles(config).map((path) => ({ what: 'a secret', path })),
  ];
}

function variables(env: WeaknessInput['env']): readonly Finding[] {
  const names = Object.keys(env).filter(
    (name) => env[name] !== undefined && INTERPRETER.test(name),
  );
  return names.map((name) =>
    weak(
      'environment',
      `${name} is set: it can change what runs in this program or whom it trusts`,
      `Unset it where the agent is started (systemd: UnsetEnvironment=${name}).`,
    ),
  );
}

function rights({ platform, config }: WeaknessInput): readonly Finding[] {
  const findings: Finding[] = [];
  const programs = config.channels.some(({ allow }) => allow.runtimes.includes('process'));
  if (config.process.allowRoot && programs) {
    const remedy = 'Name a user in runtimes.process.user and take allowRoot out of agent.yaml.';
    findings.push(weak('rights', 'a signed state may run programs as root', remedy));
  }
  const { uid, findsOthers } = platform.processes.self;
  if (uid === 0 && !findsOthers && programs) {
    const message = 'root without CAP_SYS_PTRACE: a program of another user may be started twice';
    const remedy = 'Add the capability (docker run --cap-add SYS_PTRACE), or name no users.';
    findings.push(weak('rights', message, remedy));
  }
  if (uid !== 0 && config.process.user === null && programs) {
    const message = 'programs that name no user run as the agent and can read its key';
    const remedy =
      'Name another user in runtimes.process.user (docs/install.md, a user of its own).';
    findings.push(weak('rights', message, remedy));
  }
  if ((config.statusMode & 0o006) !== 0) {
    const remedy = 'Set sockets.statusMode to "0660" where local users should not read it.';
    findings.push(note('sockets', 'every local user can read the status of this device', remedy));
  }
  return findings;
}
