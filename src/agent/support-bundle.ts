/**
 * The support file of `holdfast doctor --bundle`: what somebody who is not at the device needs to find
 * out what is wrong, as one tar.gz of bounded size. Every text goes through redact.ts; keys, blobs and
 * the store's content are never read. Works without an agent: then what only the agent knows is left
 * out, and the list says so.
 */
import type { Route } from '#control/api.ts';
import { type Asked, ask } from '#control/client.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { writeTar } from '#wire/tar.ts';
import { writeYaml } from '#wire/yaml.ts';
import type { AgentConfig } from './config.ts';
import type { Finding } from './finding.ts';
import { knownSecrets } from './known-secrets.ts';
import { type Redactor, redactor } from './redact.ts';

export interface BundleInput {
  readonly platform: Platform;
  /** null: it could not be read; `file` then is looked at as it is */
  readonly config: AgentConfig | null;
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly findings: readonly Finding[];
  /** what this program is */
  readonly version: Readonly<Record<string, unknown>>;
}

export interface SupportBundle {
  readonly bytes: Uint8Array;
  readonly entries: readonly BundleEntry[];
  readonly redacted: number;
}

export interface BundleEntry {
  readonly name: string;
  readonly bytes: number;
  /** why it is not there; empty: it is */
  readonly missing: string;
}

const CONFIG_BYTES = 1024 * 1024;
/** bytes of the end of one log; logs */
const LOG_BYTES = 256 * 1024;
const LOGS_MAX = 32;
const FILES_MAX = 2_000;
const JOURNAL = ['/usr/bin/journalctl', '/bin/journalctl'];
const JOURNAL_MS = 10_000;

/** what the running agent is asked */
const ASKED: readonly (readonly [name: string, route: Route, asked: Asked])[] = [
  ['status', 'status', {}],
  ['explain', 'explain', {}],
  ['history', 'history', { query: { limit: '256' } }],
  ['events', 'events', {}],
  ['audit', 'audit', { query: { limit: '256' } }],
];

interface Making {
  readonly input: BundleInput;
  readonly redact: Redactor;
  readonly texts: Map<string, string>;
  readonly missing: Map<string, string>;
}

export async function supportBundle(input: BundleInput): Promise<SupportBundle> {
  const { platform, config, env, findings, version } = input;
  const redact = redactor(knownSecrets(platform.files, config, env));
  const making: Making = { input, redact, texts: new Map(), missing: new Map() };
  const { texts } = making;
  texts.set('version.yaml', writeYaml(version));
  texts.set('doctor.yaml', writeYaml(findings));
  texts.set('environment.txt', names(env));
  readWhole(making, 'agent.yaml', input.file);
  readWhole(making, 'mounts.txt', '/proc/self/mountinfo');
  readWhole(making, 'kernel.txt', '/proc/version');
  readWhole(making, 'system.txt', '/etc/os-release');
  await askAgent(making);
  if (config) {
    logsOf(making, config.stateDir);
    texts.set('store.txt', storeText(platform.files, config.stateDir));
  }
  await journal(making);
  return packed(making);
}

/** Names alone: a value may be a secret, its name says what is set. */
function names(env: BundleInput['env']): string {
  return `${Object.keys(env).sort().join('\n')}\n`;
}

function readWhole({ input, texts, missing }: Making, name: string, path: string): void {
  const bytes = input.platform.files.readFile(path, CONFIG_BYTES);
  if (bytes.ok) texts.set(name, Buffer.from(bytes.value).toString('utf8'));
  else missing.set(name, bytes.fault.message);
}

async function askAgent({ input, texts, missing }: Making): Promise<void> {
  const { platform, config } = input;
  for (const [name, route, asked] of ASKED) {
    if (!config) {
      missing.set(`${name}.yaml`, 'agent.yaml cannot be read');
      continue;
    }
    const answer = await ask<unknown>(platform.http, config.runDir, route, asked);
    if (answer.ok) texts.set(`${name}.yaml`, writeYaml(answer.value));
    else missing.set(`${name}.yaml`, answer.fault.message);
  }
}

/** The ends of what programs printed. */
function logsOf({ input, texts, missing }: Making, stateDir: string): void {
  const directory = input.platform.files.open(`${stateDir}/logs`, { follow: true });
  if (!directory.ok) {
    missing.set('logs/', directory.fault.message);
    return;
  }
  const found = directory.value.list();
  const logs = (found.ok ? found.value : []).filter((name) => name.endsWith('.log')).sort();
  for (const name of logs.slice(0, LOGS_MAX)) {
    const text = tailOf(directory.value, name);
    if (text !== null) texts.set(`logs/${name}`, text);
  }
  directory.value.close();
}

function tailOf(directory: Directory, name: string): string | null {
  const file = directory.openFile(name);
  if (!file.ok) return null;
  const from = Math.max(0, file.value.size - LOG_BYTES);
  const bytes = file.value.read(from, LOG_BYTES);
  file.value.close();
  if (!bytes.ok) return null;
  const text = Buffer.from(bytes.value).toString('utf8');
  // Not from the middle of a line: half a secret would not be known as one.
  return from === 0 ? text : text.slice(text.indexOf('\n') + 1);
}

/** Names, sizes and modes below stateDir: how much there is of what; no content. */
function storeText(files: Files, stateDir: string): string {
  const lines: string[] = [];
  const visit = (path: string, shown: string, levels: number): void => {
    const directory = files.open(path, { follow: shown === '' });
    if (!directory.ok) return void lines.push(`${shown}: ${directory.fault.message}`);
    const space = shown === '' ? directory.value.freeSpace() : null;
    if (space?.ok) lines.push(`free: ${space.value.bytes} bytes, ${space.value.inodes} inodes`);
    const listed = directory.value.list();
    for (const name of listed.ok ? [...listed.value].sort() : []) {
      if (lines.length >= FILES_MAX) break;
      const entry = directory.value.stat(name);
      if (!entry.ok || !entry.value) continue;
      const { kind, size, mode, uid } = entry.value;
      const below = shown === '' ? name : `${shown}/${name}`;
      lines.push(`${kind} ${mode.toString(8)} ${uid} ${size} ${below}`);
      if (kind === 'directory' && levels > 0) visit(`${path}/${name}`, below, levels - 1);
    }
    directory.value.close();
  };
  visit(stateDir, '', 2);
  return `${lines.join('\n')}\n`;
}

/** The end of the agent's own log where systemd keeps it. */
async function journal({ input, texts, missing }: Making): Promise<void> {
  const { files, processes } = input.platform;
  const program = JOURNAL.find((path) => isThere(files, path));
  if (program === undefined) {
    missing.set('logs/agent.txt', 'there is no journalctl; the agent writes its log to stderr');
    return;
  }
  const command = [program, '-u', 'holdfast', '-n', '300', '--no-pager', '-o', 'short-iso'];
  const ran = await processes.run({ command, env: {}, directory: '/' }, JOURNAL_MS);
  if (ran.ok && ran.value.code === 0) {
    const { output } = ran.value;
    texts.set('logs/agent.txt', output.slice(output.indexOf('\n') + 1));
  } else missing.set('logs/agent.txt', ran.ok ? 'journalctl failed' : ran.fault.message);
}

function isThere(files: Files, path: string): boolean {
  const cut = path.lastIndexOf('/');
  const directory = files.open(path.slice(0, cut), { follow: true });
  if (!directory.ok) return false;
  const entry = directory.value.stat(path.slice(cut + 1));
  directory.value.close();
  return entry.ok && entry.value !== null;
}

function packed({ input, redact, texts, missing }: Making): SupportBundle {
  const { inflate } = input.platform;
  const clean = [...texts].map(([name, text]) => ({ name, text: redact.text(text) }));
  const absent = [...missing].map(([name, why]) => ({ name, bytes: 0, missing: redact.text(why) }));
  const listed = clean.map(({ name, text }) => ({
    name,
    bytes: Buffer.byteLength(text),
    missing: '',
  }));
  const entries = [...listed, ...absent].sort((a, b) => (a.name < b.name ? -1 : 1));
  const list = { redacted: redact.count(), entries };
  const files = [...clean, { name: 'contents.yaml', text: writeYaml(list) }];
  const tar = writeTar(
    files.map(({ name, text }) => ({
      ...{ path: `holdfast-support/${name}`, mode: 0o600, kind: 'file' as const },
      bytes: Buffer.from(text),
    })),
  );
  return { bytes: inflate.gzip(tar), entries, redacted: redact.count() };
}
