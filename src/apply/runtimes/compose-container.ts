/**
 * One service as the engine wants it: the body of a container, its name and labels, and the hash by
 * which an unchanged one is known. Labels are those of Docker Compose, so that people's tools show the
 * project, and ours, which say whose it is. The hash covers what the service is, not where the package
 * happens to lie: a container whose inputs have not changed keeps running.
 */
import { shortHash } from '#apply/folder-name.ts';
import type { ComposeMount, ComposeService } from '#state/compose.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { ownVolume } from '#wire/compose.ts';
import type { ReadyComponent } from './compose-resolve.ts';
import { contentOf } from './compose-tree.ts';
import { parameterOf } from './compose-variables-of.ts';

export const LABEL = {
  project: 'com.docker.compose.project',
  service: 'com.docker.compose.service',
  number: 'com.docker.compose.container-number',
  oneoff: 'com.docker.compose.oneoff',
  hash: 'com.docker.compose.config-hash',
  volume: 'com.docker.compose.volume',
  network: 'com.docker.compose.network',
  store: 'io.holdfast.store',
  deployment: 'io.holdfast.deployment',
  component: 'io.holdfast.component',
} as const;

const NANO = 1_000_000;
const SLUG_LENGTH = 40;
const HASH_LENGTH = 6;
const OTHER = /[^a-z0-9]+/g;

/** From the ids of the deployment and of its component, the same on every device. */
export function projectName(deployment: string, component: string): string {
  const slug = (text: string) =>
    text.toLowerCase().replace(OTHER, '-').replace(/^-|-$/g, '').slice(0, SLUG_LENGTH);
  const hash = shortHash(`${deployment}\0${component}`).slice(0, HASH_LENGTH);
  return `${slug(deployment) || 'd'}-${slug(component) || 'c'}-${hash}`;
}

export function ownerLabels(storeId: string, id: string): Readonly<Record<string, string>> {
  return { [LABEL.store]: storeId, [LABEL.deployment]: id };
}

/** What a container of the service needs beside its image, when it starts. */
export interface WantedContainer {
  readonly name: string;
  readonly component: string;
  readonly project: string;
  readonly service: ComposeService;
  readonly number: number;
  readonly image: Digest;
  readonly hash: string;
  /** networks beyond the first, joined after it was made */
  readonly also: readonly { readonly network: string; readonly body: unknown }[];
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ContainerContext {
  readonly storeId: string;
  readonly of: Generation;
  readonly ready: ReadyComponent;
  /** where the file of a secret lies */
  secretPath(component: string, service: string, variable: string): string;
  /** paths that the image itself declares as volumes */
  readonly declared: ReadonlyMap<Digest, readonly string[]>;
}

export function wantedContainers(context: ContainerContext): readonly WantedContainer[] {
  const { ready } = context;
  return ready.project.services.flatMap((service) =>
    Array.from({ length: service.replicas }, (_, index) => wanted(context, service, index + 1)),
  );
}

function wanted(
  context: ContainerContext,
  service: ComposeService,
  number: number,
): WantedContainer {
  const { of, ready, storeId } = context;
  const component = ready.component.name;
  const project = projectName(of.id, component);
  const image = ready.images[service.image] as Digest;
  const mounts = mountsOf(context, service, image);
  const attachments = service.networks.map(({ network, aliases, address }) => ({
    network: networkName(project, network),
    body: {
      Aliases: [...new Set([service.name, ...aliases])],
      ...(address && { IPAMConfig: { IPv4Address: address } }),
    },
  }));
  const [first, ...also] = attachments;
  const body = bodyOf(service, {
    image,
    first: first ?? null,
    mounts: mounts.map(({ mount }) => mount),
  });
  const networks = ready.project.networks.filter(({ name }) =>
    service.networks.some(({ network }) => network === name),
  );
  // Where the package lies is no part of what the service is.
  const same = bodyOf(service, { image, first: first ?? null, mounts: mounts.map(({ is }) => is) });
  const hash = hexOf(sha256(Buffer.from(JSON.stringify([same, also, networks]))));
  const Labels = {
    ...service.labels,
    ...ownerLabels(storeId, of.id),
    [LABEL.component]: component,
    [LABEL.project]: project,
    [LABEL.service]: service.name,
    [LABEL.number]: String(number),
    [LABEL.oneoff]: 'False',
    [LABEL.hash]: hash,
  };
  const name = service.containerName ?? `${project}-${service.name}-${number}`;
  return {
    ...{ name, component, project, service, number, image, hash, also },
    body: { ...body, Labels },
  };
}

export function networkName(project: string, network: string): string {
  return `${project}_${network}`;
}

export function volumeName(project: string, volume: string): string {
  return `${project}_${volume}`;
}

interface Mounted {
  readonly mount: unknown;
  /** the same for two packages with the same content */
  readonly is: unknown;
}

function mountsOf(
  context: ContainerContext,
  service: ComposeService,
  image: Digest,
): readonly Mounted[] {
  const { of, ready, declared } = context;
  const project = projectName(of.id, ready.component.name);
  const taken = new Set(service.mounts.map(({ target }) => target));
  // A volume that the image declares would go with its container: it gets a name as well.
  const own = (declared.get(image) ?? []).filter((path) => !taken.has(path));
  return [
    ...service.mounts.map((mount) => mounted(context, service, mount)),
    ...own.map((Target) => {
      const Source = volumeName(project, ownVolume(service.name, Target));
      return alike({ Type: 'volume', Source, Target, ReadOnly: false });
    }),
  ];
}

function mounted(
  { of, ready, secretPath }: ContainerContext,
  service: ComposeService,
  mount: ComposeMount,
): Mounted {
  const component = ready.component.name;
  const { kind, target: Target } = mount;
  switch (kind) {
    case 'volume': {
      const project = projectName(of.id, component);
      const name = mount.name.startsWith('.') ? ownVolume(service.name, Target) : mount.name;
      const made = { Type: 'volume', Source: volumeName(project, name), Target };
      return alike({ ...made, ReadOnly: mount.readOnly });
    }
    case 'bind':
      return alike({ Type: 'bind', Source: mount.path, Target, ReadOnly: mount.readOnly });
    case 'tmpfs': {
      const options = mount.bytes > 0 ? { TmpfsOptions: { SizeBytes: mount.bytes } } : {};
      return alike({ Type: 'tmpfs', Target, ...options });
    }
    case 'package': {
      const Source = [ready.tree.path, ...mount.path].join('/');
      const content = contentOf(ready.tree, mount.path);
      const plain = { Type: 'bind', Target, ReadOnly: true };
      return { mount: { ...plain, Source }, is: { ...plain, content } };
    }
    case 'secret': {
      const Source = secretPath(component, service.name, mount.variable);
      const parameter = parameterOf(of, component, mount.variable) ?? '';
      const value = of.secrets?.get(parameter)?.tag ?? of.values.get(parameter) ?? '';
      const plain = { Type: 'bind', Source, Target, ReadOnly: true };
      return { mount: plain, is: { ...plain, value: sha256(Buffer.from(value)) } };
    }
  }
}

function alike(mount: unknown): Mounted {
  return { mount, is: mount };
}

function bodyOf(
  service: ComposeService,
  {
    image,
    first,
    mounts,
  }: {
    readonly image: Digest;
    readonly first: { readonly network: string; readonly body: unknown } | null;
    readonly mounts: readonly unknown[];
  },
): Readonly<Record<string, unknown>> {
  const { command, entrypoint, environment, health, ports, expose, restart, stopMs } = service;
  const exposed = [
    ...ports.map(({ container, protocol }) => `${container}/${protocol}`),
    ...expose.map((port) => (port.includes('/') ? port : `${port}/tcp`)),
  ];
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { container, protocol, host, address } of ports) {
    const key = `${container}/${protocol}`;
    bindings[key] = [...(bindings[key] ?? []), { HostIp: address, HostPort: host }];
  }
  return {
    ...service.config,
    Image: image,
    ...(command && { Cmd: command }),
    ...(entrypoint && { Entrypoint: entrypoint }),
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])),
    StopTimeout: Math.ceil(stopMs / 1_000),
    ...(health && { Healthcheck: healthcheck(health) }),
    HostConfig: {
      ...service.host,
      NetworkMode:
        service.networkMode === 'bridge' ? (first?.network ?? 'none') : service.networkMode,
      RestartPolicy: { Name: restart.name, MaximumRetryCount: restart.retries },
      PortBindings: bindings,
      Mounts: mounts,
    },
    ...(first && { NetworkingConfig: { EndpointsConfig: { [first.network]: first.body } } }),
  };
}

function healthcheck({
  test,
  intervalMs,
  timeoutMs,
  startMs,
  retries,
}: NonNullable<ComposeService['health']>) {
  if (test?.[0] === 'NONE') return { Test: ['NONE'] };
  return {
    ...(test && { Test: test }),
    Interval: intervalMs * NANO,
    Timeout: timeoutMs * NANO,
    StartPeriod: startMs * NANO,
    Retries: retries,
  };
}
