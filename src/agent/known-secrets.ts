/**
 * What is known to be secret on this device, so that it can be taken out of a support file: the files
 * that agent.yaml names, user information in its URLs, values opened for programs, variables by their
 * names. Read here, kept in memory while one file is made, written nowhere.
 */
import type { Files } from '#platform/files.ts';
import type { AgentConfig } from './config.ts';
import type { AuthSettings } from './config-peers.ts';

const SECRET_BYTES = 64 * 1024;
const VALUES_MAX = 1_024;
const NAMED = /pass|pwd|secret|token|credential|key|auth/i;

type Env = Readonly<Record<string, string | undefined>>;

export function knownSecrets(
  files: Files,
  config: AgentConfig | null,
  env: Env,
): readonly string[] {
  const named = Object.entries(env)
    .filter(([name, value]) => NAMED.test(name) && value !== undefined && value.length >= 4)
    .flatMap(([, value = '']) => (value.startsWith('/') ? [] : [value]));
  if (!config) return named;
  const peers = [...config.registries, ...(config.mqtt ? [config.mqtt] : [])];
  const ofPeers = peers.flatMap(({ auth, tls, proxy, proxyAuth }) => [
    ...ofAuth(files, auth),
    ...(tls?.key === undefined ? [] : read(files, tls.key)),
    ...userInfo(proxy),
    ...ofAuth(files, proxyAuth ?? null),
  ]);
  return [...named, ...ofPeers, ...below(files, `${config.runDir}/secrets`, 3)];
}

/** The pair as well, as HTTP sends it. */
function ofAuth(files: Files, auth: AuthSettings): readonly string[] {
  if (!auth) return [];
  if ('tokenFile' in auth) return read(files, auth.tokenFile);
  const [user = ''] = read(files, auth.usernameFile);
  const passwords = read(files, auth.passwordFile);
  return passwords.flatMap((password) => [password, `${user.trim()}:${password.trim()}`]);
}

function userInfo(proxy: string | null): readonly string[] {
  if (proxy === null || !URL.canParse(proxy)) return [];
  const { username, password } = new URL(proxy);
  const plain = [username, password].map((part) => safeDecode(part));
  return [...plain.slice(1), `${plain[0]}:${plain[1]}`, password].filter((text) => text.length > 1);
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function read(files: Files, path: string): readonly string[] {
  const bytes = files.readFile(path, SECRET_BYTES);
  return bytes.ok ? [Buffer.from(bytes.value).toString('utf8')] : [];
}

/** Files below a folder, a bounded number of levels and files. */
function below(files: Files, path: string, levels: number): readonly string[] {
  const directory = files.open(path, { follow: true });
  if (!directory.ok) return [];
  const names = directory.value.list();
  const found: string[] = [];
  for (const name of names.ok ? names.value : []) {
    if (found.length >= VALUES_MAX) break;
    const entry = directory.value.stat(name);
    const kind = entry.ok ? entry.value?.kind : undefined;
    if (kind === 'file') found.push(...read(files, `${path}/${name}`));
    else if (kind === 'directory' && levels > 0)
      found.push(...below(files, `${path}/${name}`, levels - 1));
  }
  directory.value.close();
  return found;
}
