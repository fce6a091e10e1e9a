/**
 * A device that runs a Margo manager's compose applications in a real engine: the engine, a registry, a
 * little manager, and the agent as a process of its own. Packages are made as other people's tools make
 * them, of one image with one static program.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { httpLink } from '#link/http.ts';
import { registry } from '#link/registry.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { ENGINES, type EngineUnderTest } from './container-engine.ts';
import { dockerRegistry, type RealRegistry, startRegistry } from './docker-registry.ts';
import { eventually } from './eventually.ts';
import { type MargoDevice, margoDevice } from './margo-device.ts';
import { type LittleManager, littleManager } from './margo-server.ts';
import { makeSvid, margoWorld, WFM } from './margo-world.ts';
import type { ContainerEngine, SeenContainer, TinyImage } from './podman.ts';
import { value } from './store.ts';

export const APP = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const PACKAGE = 'application/vnd.org.margo.component.compose';
const OCI = 'application/vnd.oci.image.manifest.v1+json';
const SERVICE = 'com.docker.compose.service';

/** Both engines, each with why it cannot be used. */
export const COMPOSE_ENGINES: readonly EngineUnderTest[] = ENGINES.map((one) => ({
  ...one,
  missing: one.missing ?? (dockerRegistry === null ? 'docker-registry is not installed' : null),
}));

type Pushed = Pick<TinyImage, 'blobs' | 'manifest'>;

export interface ComposeWorld {
  readonly engine: ContainerEngine;
  readonly registry: RealRegistry;
  /** HOST:PORT of the registry */
  readonly host: string;
  readonly manager: LittleManager;
  readonly device: MargoDevice;
  push(repository: string, tag: string, image: Pushed): Promise<Digest>;
  /** one top folder with compose.yaml and these files, in GNU tar's form */
  packaged(compose: string, files?: Readonly<Record<string, string>>): Pushed;
  /** An ApplicationDeployment of the one component `line`, its package at `repository`. */
  document(of: {
    readonly revision: string;
    readonly speed?: number;
    readonly id?: string;
    readonly repository?: string;
  }): string;
  /** until the manager has been told this */
  said(state: string, version: number, id?: string): Promise<unknown>;
  /** `state version code` of what the manager was told, in order */
  told(id?: string): readonly string[];
  /** the container of a service; without one its id is empty */
  service(name: string): Promise<SeenContainer>;
  /** what a command says in the container of a service */
  inside(service: string, ...command: readonly string[]): Promise<string>;
  /** containers, networks and volumes of this agent that are there */
  left(): { readonly networks: string; readonly volumes: string };
  remove(): Promise<void>;
}

export interface ComposeWorldOptions {
  readonly start: () => Promise<ContainerEngine>;
  readonly users?: Readonly<Record<string, string>>;
  /** keys of agent.yaml beside those of containers */
  settings?(at: {
    readonly folder: string;
    readonly host: string;
  }): Readonly<Record<string, unknown>>;
}

export async function composeWorld(options: ComposeWorldOptions): Promise<ComposeWorld> {
  const { start, users } = options;
  const scratch = mkdtempSync(join(tmpdir(), 'hf-compose-'));
  const [engine, real, world] = await Promise.all([
    start(),
    startRegistry(users ? { users } : {}),
    margoWorld(),
  ]);
  const host = `127.0.0.1:${real.port}`;
  const identity = makeSvid(join(world.desk.folder, 'pki'), 'little', world.ca, WFM);
  const manager = await littleManager(identity, world.ca);
  const folder = join(world.desk.folder, 'device');
  const channels = [
    { name: 'margo', allow: { roots: [join(folder, 'opt')], runtimes: ['compose'] } },
  ];
  const device = margoDevice({
    ...{ folder, root: world.root, url: manager.url, trustBundle: world.bundle },
    svid: world.svid('press-42'),
    settings: {
      channels,
      runtimes: { compose: { socket: engine.socket } },
      packages: { registries: [{ url: `http://${host}` }] },
      ...options.settings?.({ folder, host }),
    },
  });
  const service = async (name: string): Promise<SeenContainer> =>
    (await engine.containers()).find(({ labels }) => labels[SERVICE] === name) ?? {
      ...{ id: '', name: '', state: 'gone', labels: {} },
    };
  return {
    ...{ engine, registry: real, host, manager, device, service },
    push: pusher(host, users, scratch),
    packaged: (compose, files) => packaged(scratch, compose, files),
    document: (of) => documentOf(host, of),
    told: (id = APP) =>
      manager.seen
        .filter(({ method, path }) => method === 'POST' && path.includes(`/${id}/status`))
        .map(({ body }) => {
          const { status, adoptedManifestVersion } = JSON.parse(body);
          return `${status.state} ${adoptedManifestVersion} ${status.error?.code ?? ''}`.trim();
        }),
    said: (state, version, id = APP) =>
      eventually(
        `${state} at ${version}`,
        () => manager.statuses(id).some((one) => one.state === state && one.version === version),
        60_000,
      ),
    inside: async (name, ...command) =>
      engine.run('exec', (await service(name)).id, ...command).trim(),
    left() {
      const own = ['--quiet', '--filter', 'label=io.holdfast.store'];
      const [networks, volumes] = ['network', 'volume'].map((kind) =>
        engine.run(kind, 'ls', ...own).trim(),
      );
      return { networks: networks ?? '', volumes: volumes ?? '' };
    },
    async remove() {
      await device.stop();
      await manager.close();
      await Promise.all([engine.remove(), real.remove(), world.remove()]);
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

function pusher(
  host: string,
  users: Readonly<Record<string, string>> | undefined,
  scratch: string,
): ComposeWorld['push'] {
  const link = httpLink(bunPlatform({ logLevel: 'error', logFormat: 'json' }));
  const [first] = Object.entries(users ?? {});
  const file = (name: string, text: string): string => {
    writeFileSync(join(scratch, name), text);
    return join(scratch, name);
  };
  const auth = first
    ? {
        usernameFile: file('pusher', first[0]),
        passwordFile: file('pusher-password', first[1]),
      }
    : null;
  return async (repository, tag, image) => {
    const rest = { auth, tls: null, proxy: null, insecure: false };
    const at = registry(link, { url: `http://${host}/${repository}`, ...rest });
    for (const [digest, bytes] of image.blobs)
      value(await at.pushBlob(digest, bytes.length, bytes));
    return value(await at.putManifest(tag, image.manifest));
  };
}

function packaged(
  scratch: string,
  compose: string,
  files: Readonly<Record<string, string>> = {},
): Pushed {
  const folder = mkdtempSync(join(scratch, 'package-'));
  mkdirSync(join(folder, 'line'));
  for (const [name, text] of Object.entries({ 'compose.yaml': compose, ...files })) {
    writeFileSync(join(folder, 'line', name), text);
  }
  const layer = execFileSync('tar', ['-C', folder, '-czf', '-', 'line']);
  const config = Buffer.from('{}');
  const part = (mediaType: string, bytes: Buffer) => {
    return { mediaType, digest: sha256(bytes), size: bytes.length };
  };
  const manifest = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: OCI, artifactType: `${PACKAGE}+json` },
      config: part('application/vnd.oci.empty.v1+json', config),
      layers: [part(`${PACKAGE}.tar+gzip`, layer)],
    }),
  );
  const blobs = new Map([
    [sha256(config), config],
    [sha256(layer), layer],
  ]);
  return { blobs, manifest };
}

function documentOf(
  host: string,
  {
    revision,
    speed = 4,
    id = APP,
    repository = 'line/app',
  }: Parameters<ComposeWorld['document']>[0],
): string {
  return `
id: ${id}
metadata: { name: line, namespace: plant-a, deviceId: press-42 }
spec:
  applicationId: line
  deploymentProfile:
    type: compose
    components:
      - name: line
        properties:
          repository: oci://${host}/${repository}
          revision: ${revision}
          timeout: 0m40s
  parameters:
    speed: { value: ${speed}, targets: [{ pointer: ENV.SPEED, components: [line] }] }
`;
}

/** Two services, of which one keeps what it wrote and has a health check. */
export function twoServices(image: string, command = 'sleep 600'): string {
  return `
services:
  web:
    image: ${image}
    command: ${command}
    stop_signal: SIGKILL
    environment: { SPEED: "\${SPEED}" }
    depends_on: [db]
    volumes: ["./line.conf:/etc/line.conf"]
  db:
    image: ${image}
    command: sh -c "echo kept >> /data/log; exec sleep 600"
    stop_signal: SIGKILL
    volumes: ["data:/data"]
    healthcheck: { test: [CMD, test, -s, /data/log], interval: 1s, retries: 5 }
volumes: { data: {} }
`;
}
