/**
 * `holdfast enroll`: this device gets a credential of its own from a hub, by a one-time token or by
 * the approval of an operator who compares the fingerprint shown here. Ctrl-C and power cuts lose
 * nothing: the same command goes on. With an agent.yaml that is not there yet, it is written.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { readConfig } from '#agent/config.ts';
import { type EnrolInput, type EnrolOutcome, enrol, type Person } from '#agent/enrol.ts';
import { enrolledPaths } from '#agent/enrolled.ts';
import { agentSettings, linkSettings } from '#agent/enrolled-config.ts';
import { type RootOutcome, takeRoot } from '#agent/enrolled-root.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { replaceFile } from '#platform/replace-file.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import { type CredentialKind, fingerprintGroups, fingerprintWords } from '#state/enrolment.ts';
import { isDeviceId } from '#state/names.ts';
import { parseDuration } from '#state/quantity.ts';
import { readEnrolmentToken } from '#wire/enrolment.ts';
import { writeYaml } from '#wire/yaml.ts';
import type { CliContext } from './context.ts';
import { finish } from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { FORMATS, type Format, painter, pairs } from './render.ts';

interface Flags {
  readonly hub?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly hubFingerprint?: Digest;
  readonly rootDigest?: Digest;
  readonly config: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly deviceId?: string;
  readonly label: readonly string[];
  readonly credential: CredentialKind;
  readonly proxy?: string;
  readonly timeout: number;
  readonly output: Format;
}

interface View {
  readonly device: string;
  readonly hub: string;
  readonly fingerprint: string;
  readonly words: string;
  readonly credential: string;
  readonly notAfter: number;
  readonly already: boolean;
  readonly root: RootOutcome['kind'];
  readonly rootDigest: string | null;
  readonly config: string;
  readonly wroteConfig: boolean;
  /** what an agent.yaml that was there already wants added; empty: nothing */
  readonly lines: string;
}

const CONFIG = '/etc/holdfast/agent.yaml';
const DAY_MS = 86_400_000;
const TOKEN_FILE_MAX = 4_096;
const CA_MAX = 64 * 1024;

export function registerEnroll(program: Command, context: CliContext): void {
  const { env } = context;
  program
    .command('enroll')
    .description('get a credential for this device from a hub')
    .option('--hub <url>', 'https://host:port of the hub (default: the one in the token)')
    .addOption(
      new Option('--token <token>', 'one-time token')
        .env('HOLDFAST_ENROLL_TOKEN')
        .conflicts('tokenFile'),
    )
    .option('--token-file <file>', 'one-time token, alone in a file')
    .option('--ca <file>', 'the hub’s ca.pem, brought by hand')
    .option('--hub-fingerprint <digest>', 'of the hub’s authority, as the hub prints it', digest)
    .option('--root-digest <digest>', 'of the root document that may be taken from the hub', digest)
    .option(
      '-c, --config <file>',
      'agent.yaml: written when it is not there',
      env.HOLDFAST_CONFIG ?? CONFIG,
    )
    .addOption(
      new Option('--state-dir <dir>', 'where there is no agent.yaml yet')
        .env('HOLDFAST_STATE_DIR')
        .default('/var/lib/holdfast'),
    )
    .option(
      '--run-dir <dir>',
      'where there is no agent.yaml yet',
      env.HOLDFAST_RUN_DIR ?? '/run/holdfast',
    )
    .option('--device-id <id>', 'default: agent.yaml’s, else derived from the device key', deviceId)
    .option('--label <key=value...>', 'labels of this device, where agent.yaml has none', [])
    .addOption(
      new Option('--credential <kind>', 'a client certificate, or a secret for Basic')
        .choices(['certificate', 'token'])
        .default('certificate'),
    )
    .option('--proxy <url>', 'http://host:port')
    .option(
      '--timeout <duration>',
      'how long to wait for approval; 0s: not at all',
      wait,
      365 * DAY_MS,
    )
    .addOption(new Option('-o, --output <format>').choices([...FORMATS]).default('text'))
    .action((flags: Flags) => run(context, flags));
}

async function run(context: CliContext, flags: Flags): Promise<void> {
  const stopping = new AbortController();
  const off = context.onSignal('stop', () => stopping.abort());
  const view = await enrollDevice(context, flags, stopping.signal);
  off();
  finish(context, flags.output, view, {
    text: (told) => viewText(context, told),
    name: ({ device }) => `device/${device}\n`,
  });
}

interface Places {
  readonly stateDir: string;
  readonly runDir: string;
  readonly root: string;
  readonly deviceId: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** agent.yaml; null: it is not there */
  readonly config: string | null;
}

async function enrollDevice(
  context: CliContext,
  flags: Flags,
  signal: AbortSignal,
): Promise<Result<View>> {
  const file = resolvePath(context, flags.config);
  const places = placesOf(context, flags, file);
  if (!places.ok) return places;
  const input = inputOf(context, flags, places.value, signal);
  if (!input.ok) return input;
  const done = await enrol(input.value);
  if (!done.ok) return done;
  const { enrolled } = done.value;
  const root = await takeRoot({
    platform: context.platform,
    stateDir: places.value.stateDir,
    file: places.value.root,
    vouched: flags.rootDigest ?? enrolled.root,
    confirm: (offered) => confirm(context, rootQuestion(offered)),
  });
  if (!root.ok) return root;
  return configure(context, { done: done.value, root: root.value, places: places.value, file });
}

/** As agent.yaml has it, where it is there. */
function placesOf(context: CliContext, flags: Flags, file: string): Result<Places> {
  const labels = labelsOf(flags.label);
  if (!labels.ok) return labels;
  const there = context.platform.files.readFile(file, 1024 * 1024);
  if (!there.ok && there.fault.code === 'platform.missing') {
    return ok({
      stateDir: resolvePath(context, flags.stateDir),
      runDir: resolvePath(context, flags.runDir),
      root: `${file.slice(0, file.lastIndexOf('/'))}/root.json`,
      deviceId: flags.deviceId ?? null,
      labels: labels.value,
      config: null,
    });
  }
  const config = readConfig(context.platform.files, file);
  if (!config.ok) return config;
  const { stateDir, runDir, trust, device } = config.value;
  return ok({
    ...{ stateDir, runDir, root: trust.root },
    deviceId: device.id ?? flags.deviceId ?? null,
    labels: Object.keys(device.labels).length > 0 ? device.labels : labels.value,
    config: file,
  });
}

function inputOf(
  context: CliContext,
  flags: Flags,
  places: Places,
  signal: AbortSignal,
): Result<EnrolInput> {
  const token = tokenOf(context, flags);
  if (!token.ok) return token;
  const ca = caOf(context, flags);
  if (!ca.ok) return ca;
  const { platform, version } = context;
  const { stateDir, runDir, deviceId: id, labels } = places;
  return ok({
    ...{ platform, stateDir, runDir, deviceId: id, labels, signal },
    kind: flags.credential,
    hub: flags.hub ?? null,
    token: token.value,
    authority: flags.hubFingerprint ?? null,
    ca: ca.value,
    rootDigest: flags.rootDigest ?? null,
    proxy: flags.proxy ?? null,
    agentVersion: version.version,
    buildTime: version.buildTime,
    waitMs: flags.timeout,
    person: personOf(context),
  });
}

function tokenOf(context: CliContext, { token, tokenFile }: Flags): Result<EnrolInput['token']> {
  if (token === undefined && tokenFile === undefined) return ok(null);
  let text = token ?? '';
  if (tokenFile !== undefined) {
    const file = resolvePath(context, tokenFile);
    const bytes = context.platform.files.readFile(file, TOKEN_FILE_MAX);
    if (!bytes.ok) return bytes;
    text = Buffer.from(bytes.value).toString('utf8');
  }
  const read = readEnrolmentToken(text);
  return read.ok ? ok({ text: text.trim(), read: read.value }) : read;
}

function caOf(context: CliContext, { ca }: Flags): Result<string | null> {
  if (ca === undefined) return ok(null);
  const bytes = context.platform.files.readFile(resolvePath(context, ca), CA_MAX);
  return bytes.ok ? ok(Buffer.from(bytes.value).toString('latin1')) : bytes;
}

function personOf(context: CliContext): Person {
  const { terminal } = context;
  const paint = painter(terminal);
  return {
    confirmHub: (hub, found) =>
      confirm(context, `${hub} shows the authority\n  ${found}\nIs that what your hub prints?`),
    waits(id, key) {
      terminal.err(
        `${paint.strong(id)} waits for approval. Its key is\n` +
          `  ${paint.strong(fingerprintGroups(key))}\n  ${fingerprintWords(key)}\n` +
          `On the hub:  holdfast hub enroll approve "${fingerprintGroups(key)}"\n`,
      );
    },
    troubled: (message) => terminal.err(`${paint.warn('waiting')} ${message}\n`),
  };
}

async function confirm({ terminal }: CliContext, question: string): Promise<boolean> {
  const answer = await terminal.ask(`${question} [y/N] `);
  return answer !== null && /^(?:y|yes)$/i.test(answer.trim());
}

function rootQuestion(offered: Digest): string {
  return `The hub offers a root document with the digest\n  ${offered}\nIs it your fleet’s (sha256sum)?`;
}

interface Configuring {
  readonly done: EnrolOutcome;
  readonly root: RootOutcome;
  readonly places: Places;
  readonly file: string;
}

/** Writes agent.yaml where there is none and all that it needs is known. */
function configure(context: CliContext, { done, root, places, file }: Configuring): Result<View> {
  const { enrolled, credential, deviceKey, already } = done;
  const { stateDir, runDir } = places;
  const paths = enrolledPaths(stateDir);
  const settings = agentSettings({ enrolled, paths, stateDir, runDir, root: places.root });
  const writes = places.config === null && settings !== null && root.kind !== 'none';
  if (writes) {
    const written = writeConfig(context, file, writeYaml(settings));
    if (!written.ok) return written;
  }
  return ok({
    device: enrolled.deviceId,
    hub: enrolled.hub,
    fingerprint: fingerprintGroups(deviceKey),
    words: fingerprintWords(deviceKey),
    credential: credential.kind,
    notAfter: credential.notAfter,
    already,
    root: root.kind,
    rootDigest: root.kind === 'written' ? root.digest : null,
    config: file,
    wroteConfig: writes,
    lines: writes || already ? '' : writeYaml(linkSettings({ enrolled, paths })),
  });
}

function writeConfig({ platform }: CliContext, file: string, text: string): Result<undefined> {
  const slash = file.lastIndexOf('/');
  const path = file.slice(0, slash) || '/';
  const folder = platform.files.open(path, { create: 0o755, follow: true });
  if (!folder.ok) return folder;
  const head = '# Written by `holdfast enroll`. Yours from now on: it is never written again.\n';
  const bytes = Buffer.from(head + text);
  const written = replaceFile(folder.value, file.slice(slash + 1), bytes, 0o644);
  folder.value.close();
  return written;
}

function viewText(context: CliContext, view: View): string {
  const paint = painter(context.terminal);
  const until = view.notAfter === 0 ? 'an unknown day' : new Date(view.notAfter).toISOString();
  const state = view.already ? 'is enrolled already' : paint.good('is enrolled');
  const head = pairs([
    ['device', `${paint.strong(view.device)} ${state}`],
    ['hub', view.hub],
    ['key', `${view.fingerprint}  ${paint.dim(view.words)}`],
    ['credential', `${view.credential}, until ${until}; the agent renews it`],
    ...(view.rootDigest ? [['root', view.rootDigest] as const] : []),
  ]);
  if (view.wroteConfig) return `${head}\nNext:  holdfast agent --config ${view.config}\n`;
  if (view.lines === '') return head;
  const missing =
    view.root === 'none' ? 'The hub has no root document to give: set trust.root yourself.\n' : '';
  return `${head}\n${missing}Add to ${view.config}:\n\n${view.lines}`;
}

function labelsOf(texts: readonly string[]): Result<Readonly<Record<string, string>>> {
  const labels: Record<string, string> = {};
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) {
      const reason = `the label ${JSON.stringify(text)} is not KEY=VALUE`;
      return refuse('enroll.request', { reason });
    }
    labels[text.slice(0, at)] = text.slice(at + 1);
  }
  return ok(labels);
}

function digest(text: string): Digest {
  const plain = text.trim().toLowerCase();
  const parsed = parseDigest(plain.startsWith('sha256:') ? plain : `sha256:${plain}`);
  if (!parsed) throw new InvalidArgumentError('64 hexadecimal digits of SHA-256.');
  return parsed;
}

function deviceId(text: string): string {
  if (isDeviceId(text)) return text;
  throw new InvalidArgumentError('A device id: a-z 0-9 . -, at most 56 characters.');
}

function wait(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw new InvalidArgumentError('A time like 30m, or 0s.');
  return ms;
}
