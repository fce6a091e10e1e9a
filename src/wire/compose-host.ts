/**
 * Members of a service that the engine takes as they are, by the names of its API. What reaches out
 * of the container calls `need`; whether it may is the owner's to say.
 * @see https://docs.docker.com/reference/api/engine/version/v1.40/#tag/Container/operation/ContainerCreate
 */
import type { ComposeGrant } from '#state/compose.ts';
import {
  type At,
  bad,
  bytes,
  child,
  entries,
  flag,
  items,
  matching,
  oneOrMore,
  only,
  optionalText,
  pairs,
  present,
  text,
  whole,
} from './compose-values.ts';

type Members = Record<string, unknown>;
type Need = (grant: ComposeGrant) => void;

/** Of one container's log, where the file says nothing: a log must not fill the disk. */
const LOG = { 'max-size': '10m', 'max-file': '3' };
const LOG_DRIVERS = ['json-file', 'local', 'journald', 'k8s-file', 'none'];
const NANO = 1_000_000_000;

export function hostOptions(at: At, need: Need): { config: Members; host: Members } {
  const config: Members = {};
  const host: Members = {};
  plain(at, config, host);
  limits(at, host);
  reaching(at, host, need);
  host.LogConfig = logging(child(at, 'logging'));
  return { config, host };
}

function plain(at: At, config: Members, host: Members): void {
  const set = (into: Members, name: string, value: unknown) => {
    if (value !== null) into[name] = value;
  };
  set(config, 'User', optionalText(child(at, 'user')));
  set(config, 'WorkingDir', optionalText(child(at, 'working_dir')));
  set(config, 'Hostname', optionalText(child(at, 'hostname')));
  set(config, 'Domainname', optionalText(child(at, 'domainname')));
  set(config, 'StopSignal', optionalText(child(at, 'stop_signal')));
  set(config, 'Tty', flag(child(at, 'tty')));
  set(config, 'OpenStdin', flag(child(at, 'stdin_open')));
  set(host, 'Init', flag(child(at, 'init')));
  set(host, 'ReadonlyRootfs', flag(child(at, 'read_only')));
  const lists = { dns: 'Dns', dns_search: 'DnsSearch', dns_opt: 'DnsOptions' } as const;
  for (const [key, name] of Object.entries(lists)) {
    if (present(child(at, key))) host[name] = oneOrMore(child(at, key));
  }
  if (present(child(at, 'cap_drop'))) host.CapDrop = items(child(at, 'cap_drop')).map(text);
  if (present(child(at, 'group_add'))) host.GroupAdd = items(child(at, 'group_add')).map(text);
  if (present(child(at, 'sysctls'))) host.Sysctls = pairs(child(at, 'sysctls'));
  if (present(child(at, 'extra_hosts'))) host.ExtraHosts = extraHosts(child(at, 'extra_hosts'));
  if (present(child(at, 'ulimits'))) {
    host.Ulimits = entries(child(at, 'ulimits')).map(([Name, limit]) => {
      const single = typeof limit.value !== 'object';
      const one = (key: string) => whole(single ? limit : child(limit, key), -1, 2 ** 53);
      return { Name, Soft: one('soft'), Hard: one('hard') };
    });
  }
}

/** `host:address`, `host=address`, or a mapping. */
function extraHosts(at: At): readonly string[] {
  const found = Array.isArray(at.value)
    ? items(at).map((item) => text(item).replace('=', ':'))
    : entries(at).map(([name, address]) => `${name}:${text(address)}`);
  const odd = found.find((entry) => !/^[A-Za-z0-9._-]+:[0-9a-fA-F.:[\]a-z-]+$/.test(entry));
  return odd === undefined ? found : bad(at, 'host:address');
}

function limits(at: At, host: Members): void {
  const deploy = child(at, 'deploy');
  only(deploy, [
    'replicas',
    'restart_policy',
    'resources',
    'labels',
    'mode',
    'update_config',
    'endpoint_mode',
  ]);
  const resources = child(deploy, 'resources');
  const size = (name: string, ...places: At[]) => {
    const place = places.find(present);
    if (place) host[name] = bytes(place);
  };
  size('Memory', child(at, 'mem_limit'), child(child(resources, 'limits'), 'memory'));
  size(
    'MemoryReservation',
    child(at, 'mem_reservation'),
    child(child(resources, 'reservations'), 'memory'),
  );
  size('MemorySwap', child(at, 'memswap_limit'));
  size('ShmSize', child(at, 'shm_size'));
  const cpus = [child(at, 'cpus'), child(child(resources, 'limits'), 'cpus')].find(present);
  if (cpus) {
    const count = Number(matching(cpus, /^[0-9]{1,4}(?:\.[0-9]{1,9})?$/, 'a number of CPUs'));
    host.NanoCpus = Math.round(count * NANO);
  }
  const pids = [child(at, 'pids_limit'), child(child(resources, 'limits'), 'pids')].find(present);
  if (pids) host.PidsLimit = whole(pids, -1, 2 ** 31);
  if (present(child(at, 'cpu_shares'))) host.CpuShares = whole(child(at, 'cpu_shares'), 0, 2 ** 18);
  if (present(child(at, 'cpuset'))) host.CpusetCpus = text(child(at, 'cpuset'));
  const score = child(at, 'oom_score_adj');
  if (present(score)) host.OomScoreAdj = whole(score, 0, 1_000);
}

function reaching(at: At, host: Members, need: Need): void {
  if (flag(child(at, 'privileged')) === true) {
    need('privileged');
    host.Privileged = true;
  }
  const capabilities = items(child(at, 'cap_add')).map(text);
  if (capabilities.length > 0) {
    need('capabilities');
    host.CapAdd = capabilities;
  }
  const options = items(child(at, 'security_opt')).map(text);
  if (options.some((option) => !/^no-new-privileges(?:[:=]true)?$/.test(option))) {
    need('security-options');
  }
  if (options.length > 0) host.SecurityOpt = options;
  const modes = { pid: 'PidMode', ipc: 'IpcMode', userns_mode: 'UsernsMode', uts: 'UTSMode' };
  for (const [key, name] of Object.entries(modes)) {
    const mode = optionalText(child(at, key));
    if (mode === null) continue;
    if (mode !== 'host' && mode !== 'private' && mode !== 'shareable' && mode !== 'none') {
      bad(child(at, key), 'host or private');
    }
    if (mode === 'host') need('host-namespaces');
    host[name] = mode;
  }
  const devices = items(child(at, 'devices'));
  if (devices.length > 0 || present(child(at, 'device_cgroup_rules'))) need('devices');
  if (devices.length > 0) host.Devices = devices.map(device);
  const rules = items(child(at, 'device_cgroup_rules')).map(text);
  if (rules.length > 0) host.DeviceCgroupRules = rules;
}

function device(at: At): unknown {
  const [, from, to, mode] =
    /^(\/dev\/[^:\0]+)(?::(\/[^:\0]+))?(?::([rwm]{1,3}))?$/.exec(text(at)) ??
    bad(at, '/dev/NAME[:/dev/NAME[:rwm]]');
  return { PathOnHost: from, PathInContainer: to ?? from, CgroupPermissions: mode ?? 'rwm' };
}

function logging(at: At): unknown {
  only(at, ['driver', 'options']);
  const driver = optionalText(child(at, 'driver')) ?? 'json-file';
  if (!LOG_DRIVERS.includes(driver)) bad(child(at, 'driver'), `one of ${LOG_DRIVERS.join(', ')}`);
  const bounded = driver === 'json-file' || driver === 'local' || driver === 'k8s-file';
  return { Type: driver, Config: { ...(bounded ? LOG : {}), ...pairs(child(at, 'options')) } };
}
