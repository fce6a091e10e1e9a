/**
 * compose.yaml as one device runs it: the services in the order of their needs, variables filled in,
 * everything that reaches beyond a container listed. Strict: one file, no anchors (yaml-document.ts),
 * nothing built, included or extended, and no member that would be passed over in silence. Pure: the
 * same bytes and variables give the same project.
 * @see https://github.com/compose-spec/compose-spec
 */
import { ok, type Result } from '#errors/fault.ts';
import type {
  ComposeNeed,
  ComposeNetwork,
  ComposeProject,
  ComposeService,
  ComposeVariables,
} from '#state/compose.ts';
import { type FileOf, readService } from './compose-service.ts';
import {
  type At,
  bad,
  child,
  entries,
  flag,
  items,
  matching,
  only,
  optionalText,
  packagePath,
  present,
  text,
  Unreadable,
} from './compose-values.ts';
import { openYaml } from './yaml-document.ts';

/** By this name, in this order: the first that is there. */
export const COMPOSE_FILES = [
  'compose.yaml',
  'compose.yml',
  'docker-compose.yaml',
  'docker-compose.yml',
];

const SERVICES_MAX = 128;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const TOP = ['version', 'name', 'services', 'networks', 'volumes', 'configs', 'secrets'];

export interface ComposeSource {
  readonly bytes: Uint8Array;
  /** for messages */
  readonly file: string;
  readonly variables: ComposeVariables;
  /** the text of another file of the package; null: there is none */
  read(path: readonly string[]): string | null;
}

/** `config.invalid` with line and column. */
export function readCompose(source: ComposeSource): Result<ComposeProject> {
  const document = openYaml(source.bytes, source.file);
  if (!document.ok) return document;
  const { variables } = source;
  try {
    return ok(
      project(
        { document: document.value, variables, path: [], value: document.value.value },
        source,
      ),
    );
  } catch (error) {
    if (error instanceof Unreadable) return error.refusal;
    throw error;
  }
}

function project(at: At, source: ComposeSource): ComposeProject {
  if (present(child(at, 'include'))) {
    bad(child(at, 'include'), 'one file: include is not followed on a device');
  }
  only(at, TOP);
  const networks = new Map(
    entries(child(at, 'networks')).map(([name, each]) => [name, network(name, each)]),
  );
  const volumes = entries(child(at, 'volumes')).map(([name, each]) => volume(name, each));
  const asked = entries(child(at, 'services'));
  if (asked.length === 0) bad(child(at, 'services'), 'at least one service');
  if (asked.length > SERVICES_MAX) bad(child(at, 'services'), `at most ${SERVICES_MAX} services`);
  const named = {
    networks: new Set([...networks.keys(), 'default']),
    volumes: new Set(volumes),
    services: new Set(asked.map(([name]) => name)),
    configs: filesOf(child(at, 'configs')),
    secrets: filesOf(child(at, 'secrets')),
    file: source.read,
  };
  const read = asked.flatMap(([name, each]) => readService(name, each, named) ?? []);
  const services = ordered(
    child(at, 'services'),
    read.map(({ service }) => service),
  );
  const used = new Set(services.flatMap((each) => each.networks.map(({ network: name }) => name)));
  const needs: ComposeNeed[] = read.flatMap((each) => each.needs);
  const plain = { internal: false, subnet: null };
  return {
    services,
    needs,
    networks: [...used].map((name) => networks.get(name) ?? { name, ...plain }),
    volumes: [...new Set([...volumes, ...ownVolumes(services)])],
  };
}

/** Volumes without a name get one from where they are mounted, so that they outlive a container. */
function ownVolumes(services: readonly ComposeService[]): readonly string[] {
  return services.flatMap(({ name, mounts }) =>
    mounts.flatMap((mount) =>
      mount.kind === 'volume' && mount.name.startsWith('.') ? [ownVolume(name, mount.target)] : [],
    ),
  );
}

export function ownVolume(service: string, target: string): string {
  return `${service}${target.replace(/[^A-Za-z0-9_.-]+/g, '_')}`;
}

function network(name: string, at: At): ComposeNetwork {
  if (!NAME.test(name)) bad(at, 'a name of letters, digits, ".", "_" and "-"');
  const own = 'a network of this project: what lies outside of it is not joined';
  if (present(child(at, 'external'))) bad(child(at, 'external'), own);
  if (present(child(at, 'name'))) bad(child(at, 'name'), own);
  only(at, ['driver', 'internal', 'ipam', 'labels', 'attachable', 'enable_ipv6']);
  const driver = optionalText(child(at, 'driver')) ?? 'bridge';
  if (driver !== 'bridge') bad(child(at, 'driver'), 'the driver bridge');
  const [first] = items(child(child(at, 'ipam'), 'config'));
  const subnet = first ? child(first, 'subnet') : null;
  return {
    name,
    internal: flag(child(at, 'internal')) ?? false,
    subnet:
      subnet && present(subnet)
        ? matching(subnet, /^[0-9.]+\/[0-9]{1,2}$/, 'an IPv4 subnet')
        : null,
  };
}

function volume(name: string, at: At): string {
  if (!NAME.test(name)) bad(at, 'a name of letters, digits, ".", "_" and "-"');
  const own = 'a volume of this project: what lies outside of it is not mounted';
  if (present(child(at, 'external'))) bad(child(at, 'external'), own);
  if (present(child(at, 'name'))) bad(child(at, 'name'), own);
  // With options the driver "local" mounts any directory or device.
  if (present(child(at, 'driver_opts'))) bad(child(at, 'driver_opts'), 'no options of a driver');
  only(at, ['driver', 'labels']);
  const driver = optionalText(child(at, 'driver')) ?? 'local';
  if (driver !== 'local') bad(child(at, 'driver'), 'the driver local');
  return name;
}

function filesOf(at: At): ReadonlyMap<string, FileOf> {
  return new Map(
    entries(at).map(([name, each]): [string, FileOf] => {
      only(each, ['file', 'environment']);
      const variable = child(each, 'environment');
      if (present(variable)) {
        return [
          name,
          { kind: 'variable', name: matching(variable, /^[A-Za-z_][A-Za-z0-9_]*$/, 'a name') },
        ];
      }
      const file = child(each, 'file');
      return [name, { kind: 'file', path: packagePath(file, text(file)) }];
    }),
  );
}

/** What is depended on comes first; otherwise as written. */
function ordered(at: At, services: readonly ComposeService[]): readonly ComposeService[] {
  const byName = new Map(services.map((service) => [service.name, service]));
  const done: ComposeService[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const visit = (service: ComposeService): void => {
    const seen = state.get(service.name);
    if (seen === 'done') return;
    if (seen === 'open') bad(child(at, service.name), 'no circle in depends_on');
    state.set(service.name, 'open');
    for (const needed of service.dependsOn) {
      const other = byName.get(needed.service);
      // Of a profile that nobody asked for.
      if (other) visit(other);
    }
    state.set(service.name, 'done');
    done.push(service);
  };
  for (const service of services) visit(service);
  return done;
}
