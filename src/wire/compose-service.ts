/**
 * One service of a compose file. Members that nothing here puts into force are refused by name, so
 * that what is applied is what was written. What a service wants of the device beside its container
 * is noted as a need, never judged here.
 * @see https://github.com/compose-spec/compose-spec/blob/main/05-services.md
 */
import type {
  ComposeAttachment,
  ComposeDependency,
  ComposeGrant,
  ComposeHealth,
  ComposeMount,
  ComposeNeed,
  ComposeService,
} from '#state/compose.ts';
import { hostOptions } from './compose-host.ts';
import {
  type At,
  bad,
  bytes,
  child,
  durationMs,
  entries,
  flag,
  insidePath,
  items,
  matching,
  mountFrom,
  oneOrMore,
  only,
  optionalText,
  pairs,
  ports,
  present,
  text,
  whole,
  words,
} from './compose-values.ts';

/** What else of the file a service may name. */
export interface Named {
  readonly networks: ReadonlySet<string>;
  readonly volumes: ReadonlySet<string>;
  readonly services: ReadonlySet<string>;
  /** `configs` and `secrets` of the file, by name: where their bytes are */
  readonly configs: ReadonlyMap<string, FileOf>;
  readonly secrets: ReadonlyMap<string, FileOf>;
  /** the text of a file of the package; null: there is none */
  file(path: readonly string[]): string | null;
}

export type FileOf =
  | { readonly kind: 'file'; readonly path: readonly string[] }
  | { readonly kind: 'variable'; readonly name: string };

/** Read as they are by compose-host.ts, or told apart below. */
const KNOWN = [
  ...['image', 'command', 'entrypoint', 'environment', 'env_file', 'labels', 'annotations'],
  ...['ports', 'expose', 'volumes', 'tmpfs', 'configs', 'secrets', 'networks', 'network_mode'],
  ...['restart', 'healthcheck', 'depends_on', 'stop_grace_period', 'stop_signal', 'deploy'],
  ...['scale', 'profiles', 'container_name', 'pull_policy', 'platform', 'attach'],
  ...['user', 'working_dir', 'hostname', 'domainname', 'tty', 'stdin_open', 'init', 'read_only'],
  ...['shm_size', 'ulimits', 'sysctls', 'extra_hosts', 'dns', 'dns_search', 'dns_opt'],
  ...['cap_add', 'cap_drop', 'devices', 'privileged', 'security_opt', 'pid', 'ipc', 'userns_mode'],
  ...['uts', 'group_add', 'mem_limit', 'mem_reservation', 'memswap_limit', 'cpus', 'cpu_shares'],
  ...['cpuset', 'pids_limit', 'oom_score_adj', 'logging', 'device_cgroup_rules', 'mac_address'],
];
const STOP_MS = 10_000;
const REPLICAS_MAX = 64;
const SERVICE = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/;
const NO_FURTHER = { extends: 'extends', build: 'build', include: 'include' } as const;

export interface ReadService {
  readonly service: ComposeService;
  readonly needs: readonly ComposeNeed[];
}

/** Null: a profile that nobody asked for. */
export function readService(name: string, at: At, named: Named): ReadService | null {
  if (!SERVICE.test(name)) bad(at, 'a service name of letters, digits, ".", "_" and "-"');
  if (present(child(at, NO_FURTHER.build))) {
    bad(child(at, 'build'), 'an image: nothing is built on a device');
  }
  if (present(child(at, NO_FURTHER.extends))) {
    bad(child(at, 'extends'), 'the service written out: extends is not followed on a device');
  }
  only(at, KNOWN);
  if (items(child(at, 'profiles')).length > 0) return null;
  const needs: ComposeNeed[] = [];
  const need = (grant: ComposeGrant) => void needs.push({ kind: 'grant', grant, service: name });
  const mounts = mountsOf(at, named);
  for (const mount of mounts) {
    if (mount.kind === 'bind') needs.push({ kind: 'path', path: mount.path, service: name });
  }
  const networkMode = modeOf(child(at, 'network_mode'));
  if (networkMode === 'host') need('host-network');
  const { config, host } = hostOptions(at, need);
  const replicas = replicasOf(at);
  const containerName = optionalText(child(at, 'container_name'));
  if (containerName !== null && replicas > 1)
    bad(child(at, 'container_name'), 'no name for several');
  const service: ComposeService = {
    ...{ name, replicas, containerName, mounts, networkMode, config, host },
    image: matching(child(at, 'image'), /^[^\s]{1,512}$/, 'an image'),
    command: words(child(at, 'command')),
    entrypoint: words(child(at, 'entrypoint')),
    environment: { ...envFiles(child(at, 'env_file'), named), ...pairs(child(at, 'environment')) },
    labels: labelsOf(child(at, 'labels')),
    ports: networkMode === 'bridge' ? ports(child(at, 'ports')) : [],
    expose: items(child(at, 'expose')).map((item) =>
      matching(item, /^[0-9]{1,5}(?:\/(?:tcp|udp))?$/, 'a port'),
    ),
    networks: networkMode === 'bridge' ? attachments(child(at, 'networks'), named) : [],
    restart: restartOf(at),
    health: healthOf(child(at, 'healthcheck')),
    dependsOn: dependenciesOf(child(at, 'depends_on'), named),
    stopMs: present(child(at, 'stop_grace_period'))
      ? durationMs(child(at, 'stop_grace_period'))
      : STOP_MS,
  };
  return { service, needs };
}

/** Those of the engine and ours say whose a container is: nobody else writes them. */
function labelsOf(at: At): Readonly<Record<string, string>> {
  const labels = pairs(at);
  const taken = Object.keys(labels).find((key) => /^(?:com\.docker\.|io\.holdfast\.)/.test(key));
  return taken === undefined ? labels : bad(at, `no label ${taken}: it is the agent's own`);
}

function modeOf(at: At): ComposeService['networkMode'] {
  if (!present(at)) return 'bridge';
  const found = text(at);
  if (found === 'none' || found === 'host' || found === 'bridge') return found;
  return bad(at, 'bridge, none or host');
}

function replicasOf(at: At): number {
  const scale = child(at, 'scale');
  if (present(scale)) return whole(scale, 0, REPLICAS_MAX);
  const replicas = child(child(at, 'deploy'), 'replicas');
  return present(replicas) ? whole(replicas, 0, REPLICAS_MAX) : 1;
}

function restartOf(at: At): ComposeService['restart'] {
  const own = child(at, 'restart');
  if (present(own)) {
    const [, name = 'no', retries = '0'] =
      /^(no|false|always|unless-stopped|on-failure)(?::([0-9]{1,4}))?$/.exec(text(own)) ??
      bad(own, 'no, always, unless-stopped or on-failure[:N]');
    const plain = name === 'false' ? 'no' : name;
    return { name: plain as ComposeService['restart']['name'], retries: Number(retries) };
  }
  const condition = optionalText(child(child(child(at, 'deploy'), 'restart_policy'), 'condition'));
  if (condition === 'any') return { name: 'always', retries: 0 };
  return { name: condition === 'on-failure' ? 'on-failure' : 'no', retries: 0 };
}

function healthOf(at: At): ComposeHealth | null {
  if (!present(at)) return null;
  only(at, ['test', 'interval', 'timeout', 'start_period', 'start_interval', 'retries', 'disable']);
  const ms = (key: string, otherwise: number) =>
    present(child(at, key)) ? durationMs(child(at, key)) : otherwise;
  const test = child(at, 'test');
  const asked = Array.isArray(test.value)
    ? items(test).map(text)
    : present(test)
      ? ['CMD-SHELL', text(test)]
      : null;
  const off = flag(child(at, 'disable')) === true || asked?.[0] === 'NONE';
  if (asked && !off && asked[0] !== 'CMD' && asked[0] !== 'CMD-SHELL') {
    bad(test, 'a test that begins with CMD, CMD-SHELL or NONE');
  }
  return {
    test: off ? ['NONE'] : asked,
    intervalMs: ms('interval', 30_000),
    timeoutMs: ms('timeout', 30_000),
    startMs: ms('start_period', 0),
    retries: present(child(at, 'retries')) ? whole(child(at, 'retries'), 1, 1_000) : 3,
  };
}

function dependenciesOf(at: At, named: Named): readonly ComposeDependency[] {
  if (Array.isArray(at.value)) {
    return items(at).map((item) => ({ service: known(item, named.services), until: 'started' }));
  }
  return entries(at).map(([service, item]) => {
    if (!named.services.has(service)) bad(item, 'a service of this file');
    only(item, ['condition', 'restart', 'required']);
    const condition = optionalText(child(item, 'condition')) ?? 'service_started';
    const [, until] =
      /^service_(started|healthy|completed)(?:_successfully)?$/.exec(condition) ??
      bad(
        child(item, 'condition'),
        'service_started, service_healthy or service_completed_successfully',
      );
    return { service, until: until as ComposeDependency['until'] };
  });
}

function known(at: At, names: ReadonlySet<string>): string {
  const name = text(at);
  return names.has(name)
    ? name
    : bad(at, `one of this file: ${[...names].join(', ') || 'there is none'}`);
}

function attachments(at: At, named: Named): readonly ComposeAttachment[] {
  if (!present(at)) return [{ network: 'default', aliases: [], address: null }];
  if (Array.isArray(at.value)) {
    return items(at).map((item) => ({
      network: known(item, named.networks),
      ...{ aliases: [], address: null },
    }));
  }
  return entries(at).map(([network, item]) => {
    if (!named.networks.has(network)) bad(item, 'a network of this file');
    only(item, ['aliases', 'ipv4_address', 'priority']);
    const address = child(item, 'ipv4_address');
    return {
      network,
      aliases: items(child(item, 'aliases')).map((alias) =>
        matching(alias, SERVICE, 'a host name'),
      ),
      address: present(address) ? matching(address, /^[0-9.]{7,15}$/, 'an IPv4 address') : null,
    };
  });
}

function mountsOf(at: At, named: Named): readonly ComposeMount[] {
  return [
    ...items(child(at, 'volumes')).map((item) => volumeMount(item, named)),
    ...oneOrMore(child(at, 'tmpfs')).map((found): ComposeMount => {
      const [target = '', options = ''] = found.split(':');
      if (!target.startsWith('/')) bad(child(at, 'tmpfs'), 'an absolute path');
      const size = /(?:^|,)size=([0-9]+)([kmg]?)/i.exec(options);
      const unit = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[size?.[2]?.toLowerCase() ?? ''] ?? 1;
      return { kind: 'tmpfs', target, bytes: Number(size?.[1] ?? 0) * unit };
    }),
    ...items(child(at, 'configs')).map((item) => fileMount(item, named.configs, '/')),
    ...items(child(at, 'secrets')).map((item) => fileMount(item, named.secrets, '/run/secrets/')),
  ];
}

function volumeMount(at: At, named: Named): ComposeMount {
  const mount = typeof at.value === 'object' ? longVolume(at) : shortVolume(at);
  if (mount.kind === 'volume' && !named.volumes.has(mount.name) && !mount.name.startsWith('.')) {
    bad(at, `a volume that "volumes" of this file names; ${mount.name} is none`);
  }
  return mount;
}

/** `[source:]target[:options]`; without a source it is a volume with a name of its own. */
function shortVolume(at: At): ComposeMount {
  const parts = text(at).split(':');
  const [first = '', second, options = ''] = parts;
  if (parts.length > 3) bad(at, 'source:target or source:target:ro');
  const target = insidePath({ ...at, value: second ?? first });
  const modes = options.split(',').filter((mode) => mode !== '');
  const unknown = modes.find(
    (mode) => !['ro', 'rw', 'z', 'Z', 'cached', 'delegated'].includes(mode),
  );
  if (unknown !== undefined) bad(at, `no option ${unknown}`);
  if (second === undefined) return { kind: 'volume', name: `.${target}`, target, readOnly: false };
  return mountFrom(at, first, { target, readOnly: modes.includes('ro') });
}

function longVolume(at: At): ComposeMount {
  only(at, ['type', 'source', 'target', 'read_only', 'tmpfs', 'volume', 'bind']);
  const type = optionalText(child(at, 'type')) ?? 'volume';
  const target = insidePath(child(at, 'target'));
  const readOnly = flag(child(at, 'read_only')) ?? false;
  if (type === 'tmpfs') {
    const size = child(child(at, 'tmpfs'), 'size');
    return { kind: 'tmpfs', target, bytes: present(size) ? bytes(size) : 0 };
  }
  if (type !== 'volume' && type !== 'bind') bad(child(at, 'type'), 'volume, bind or tmpfs');
  const source = child(at, 'source');
  if (!present(source) && type === 'volume') {
    return { kind: 'volume', name: `.${target}`, target, readOnly };
  }
  const mount = mountFrom(source, text(source), { target, readOnly });
  if ((mount.kind === 'volume') !== (type === 'volume')) bad(source, `a source of type ${type}`);
  return mount;
}

function fileMount(at: At, files: ReadonlyMap<string, FileOf>, below: string): ComposeMount {
  const long = typeof at.value === 'object';
  if (long) only(at, ['source', 'target', 'mode', 'uid', 'gid']);
  const source = long ? child(at, 'source') : at;
  const name = text(source);
  const file = files.get(name) ?? bad(source, `one of this file; ${name} is none`);
  const asked = (long ? optionalText(child(at, 'target')) : null) ?? name;
  const target = asked.startsWith('/') ? asked : `${below}${asked}`;
  if (/(?:^|\/)\.\.(?:\/|$)/.test(target)) bad(at, 'a target without ".."');
  if (file.kind === 'file') return { kind: 'package', path: file.path, target };
  const number = (key: string, otherwise: number) =>
    long && present(child(at, key)) ? whole(child(at, key), 0, 2 ** 31) : otherwise;
  const owner = { uid: number('uid', 0), gid: number('gid', 0) };
  const mode = long && present(child(at, 'mode')) ? modeBits(child(at, 'mode')) : 0o444;
  return { kind: 'secret', variable: file.name, target, mode, ...owner };
}

/** YAML reads 0440 as text here (ambiguous numbers are refused), 288 as a number. */
function modeBits(at: At): number {
  if (typeof at.value === 'number') return whole(at, 0, 0o777);
  return Number.parseInt(matching(at, /^0?[0-7]{3}$/, 'a mode such as "0440"'), 8);
}

const ENV_LINE = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)$/;

/** Files of the package, in order; later ones win. */
function envFiles(at: At, named: Named): Readonly<Record<string, string>> {
  const read: Record<string, string> = Object.create(null);
  const list = Array.isArray(at.value) ? items(at) : present(at) ? [at] : [];
  for (const item of list) {
    const long = typeof item.value === 'object';
    if (long) only(item, ['path', 'required', 'format']);
    const from = long ? child(item, 'path') : item;
    const mount = mountFrom(from, text(from).replace(/^(?![./~])/, './'), {
      ...{ target: '/', readOnly: true },
    });
    if (mount.kind !== 'package') return bad(from, 'a file inside the folder of compose.yaml');
    const found = named.file(mount.path);
    if (found === null && !(long && flag(child(item, 'required')) === false)) {
      bad(from, 'a file that is there, inside the folder of compose.yaml');
    }
    Object.assign(read, readEnv(found ?? ''));
  }
  return read;
}

/** `NAME=value` a line; quotes around a value are taken off, `#` begins a comment. */
export function readEnv(found: string): Readonly<Record<string, string>> {
  const read: Record<string, string> = Object.create(null);
  for (const line of found.split(/\r?\n/)) {
    const [, name, raw = ''] = ENV_LINE.exec(line.trim()) ?? [];
    if (name === undefined) continue;
    const quoted = /^(["'])(.*?)\1\s*(?:#.*)?$/.exec(raw);
    read[name] = quoted ? (quoted[2] ?? '') : raw.replace(/\s+#.*$/, '').trim();
  }
  return read;
}
