/**
 * A real Podman with storage of its own: the service on a socket below its folder, its containers seen
 * by nobody else. Images are made here, of one static program and without a registry.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import { eventually } from './eventually.ts';
import { isRoot, program } from './parts.ts';

export const podman = program('podman');
const busybox = '/bin/busybox';

/** Null: containers can be run here; else why they cannot. */
export const noContainers =
  podman === null || program('runc') === null
    ? 'podman and runc are not installed'
    : !isRoot
      ? 'not root'
      : existsSync(busybox)
        ? null
        : 'busybox-static is not installed';

export interface ContainerEngine {
  readonly kind: 'podman' | 'docker';
  readonly folder: string;
  readonly socket: string;
  /** a request to its API: the JSON of the answer */
  ask(method: string, path: string): Promise<unknown>;
  /** names, ids and states of all containers */
  containers(): Promise<readonly SeenContainer[]>;
  /** its own program: both take the same words here */
  run(...args: readonly string[]): string;
  remove(): Promise<void>;
}

export interface Podman extends ContainerEngine {
  /** what an agent is given that has to start the service itself */
  readonly env: Readonly<Record<string, string>>;
}

export interface SeenContainer {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
}

export async function startPodman(): Promise<Podman> {
  const folder = mkdtempSync(join(tmpdir(), 'hf-podman-'));
  const socket = join(folder, 'podman.sock');
  const conf = join(folder, 'containers.conf');
  writeFileSync(
    conf,
    [
      '[containers]',
      'default_ulimits=["nofile=20000:20000","nproc=10000:10000"]',
      '[engine]',
      'runtime="runc"',
      'cgroup_manager="cgroupfs"',
      'events_logger="file"',
      `network_config_dir="${folder}/networks"`,
      '[network]',
      `network_config_dir="${folder}/networks"`,
    ].join('\n'),
  );
  const storage = join(folder, 'storage.conf');
  writeFileSync(
    storage,
    ['[storage]', 'driver="overlay"', `graphroot="${folder}/root"`, `runroot="${folder}/run"`].join(
      '\n',
    ),
  );
  mkdirSync(join(folder, 'networks'));
  const env = {
    ...{ PATH: process.env.PATH ?? '', HOME: folder, CONTAINERS_CONF: conf },
    ...{ CONTAINERS_STORAGE_CONF: storage },
  };
  const service = ['--log-level', 'error', 'system', 'service', '--time', '0', `unix://${socket}`];
  const child: ChildProcess = spawn(podman ?? '', service, { env, stdio: 'ignore' });
  const ask = (method: string, path: string) => askSocket(socket, method, path);
  await eventually('podman answers', () =>
    ask('GET', '/version').then(
      () => true,
      () => false,
    ),
  );
  const containers = () => seenContainers(ask);
  const run = (...args: readonly string[]) =>
    execFileSync(podman ?? '', args, {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  return {
    ...{ kind: 'podman', folder, socket, env, ask, containers, run },
    async remove() {
      try {
        run('rm', '--all', '--force', '--time', '0');
        run('network', 'prune', '--force');
      } catch {}
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
      try {
        execFileSync('umount', [join(folder, 'root/overlay')], { stdio: 'ignore' });
      } catch {}
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function seenContainers(
  ask: ContainerEngine['ask'],
): Promise<readonly SeenContainer[]> {
  const all = (await ask('GET', '/v1.40/containers/json?all=1')) as readonly {
    readonly Id: string;
    readonly Names: readonly string[];
    readonly State: string;
    readonly Labels: Readonly<Record<string, string>>;
  }[];
  return all.map(({ Id, Names, State, Labels }) => ({
    ...{ id: Id, name: (Names[0] ?? '').replace(/^\//, ''), state: State, labels: Labels },
  }));
}

export function askSocket(socketPath: string, method: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        try {
          resolve(text === '' ? null : JSON.parse(text));
        } catch (error) {
          reject(error);
        }
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** An image of one static program, as a registry and as an archive have it. */
export interface TinyImage {
  /** digest → bytes: configuration and layers */
  readonly blobs: ReadonlyMap<Digest, Buffer>;
  readonly manifest: Buffer;
  readonly manifestDigest: Digest;
  /** of the configuration: the image's id */
  readonly id: Digest;
}

const APPLETS = ['sh', 'sleep', 'cat', 'echo', 'test', 'true', 'false', 'touch', 'httpd', 'env'];
let layer: { readonly packed: Buffer; readonly plain: Digest } | null = null;

/** @param mark  what tells one version from another */
export function tinyImage(mark: string, config: Readonly<Record<string, unknown>> = {}): TinyImage {
  layer ??= makeLayer();
  const { packed, plain } = layer;
  const made = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Env: ['PATH=/bin', `MARK=${mark}`], Cmd: ['sleep', '600'], ...config },
      rootfs: { type: 'layers', diff_ids: [plain] },
    }),
  );
  const [id, packedDigest] = [sha256(made), sha256(packed)];
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: {
        ...{ mediaType: 'application/vnd.oci.image.config.v1+json', digest: id },
        size: made.length,
      },
      layers: [
        {
          ...{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: packedDigest },
          size: packed.length,
        },
      ],
    }),
  );
  const blobs = new Map([
    [id, made],
    [packedDigest, packed],
  ]);
  return { blobs, manifest, manifestDigest: sha256(manifest), id };
}

function makeLayer(): { readonly packed: Buffer; readonly plain: Digest } {
  const folder = mkdtempSync(join(tmpdir(), 'hf-layer-'));
  mkdirSync(join(folder, 'bin'));
  execFileSync('cp', [busybox, join(folder, 'bin/busybox')]);
  for (const name of APPLETS) execFileSync('ln', ['-s', 'busybox', join(folder, 'bin', name)]);
  const args = [
    '--sort=name',
    '--mtime=@0',
    '--owner=0',
    '--group=0',
    '-C',
    folder,
    '-cf',
    '-',
    '.',
  ];
  const plain = execFileSync('tar', args, { maxBuffer: 64 * 1024 * 1024 });
  rmSync(folder, { recursive: true });
  return { packed: gzipSync(plain, { level: 1 }), plain: sha256(plain) };
}

/** An OCI layout in a tar, the images under these names. */
export function imageArchive(images: Readonly<Record<string, TinyImage>>): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'hf-archive-'));
  const place = join(folder, 'blobs/sha256');
  mkdirSync(place, { recursive: true });
  const manifests = Object.entries(images).map(([name, image]) => {
    for (const [digest, bytes] of image.blobs) writeFileSync(join(place, hexOf(digest)), bytes);
    writeFileSync(join(place, hexOf(image.manifestDigest)), image.manifest);
    return {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: image.manifestDigest,
      size: image.manifest.length,
      annotations: { 'org.opencontainers.image.ref.name': name },
    };
  });
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  const args = ['--format=ustar', '-C', folder, '-cf', '-', 'oci-layout', 'index.json', 'blobs'];
  const made = execFileSync('tar', args, { maxBuffer: 64 * 1024 * 1024 });
  rmSync(folder, { recursive: true });
  return made;
}
