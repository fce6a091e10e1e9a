/** A real registry (distribution, Debian's docker-registry) on a free loopback port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { program } from './parts.ts';

export const dockerRegistry = program('docker-registry');

export interface RegistryOptions {
  /** who may pull and push; none: anyone */
  readonly users?: Readonly<Record<string, string>>;
  /** the token service that it sends everyone to */
  readonly token?: { readonly realm: string; readonly certBundle: string };
  /** the address of the registry that this one caches (pull through) */
  readonly upstream?: string;
  /** paths of PEM files */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
}

/** The file in which it keeps a blob: whoever can write there serves what he likes. */
export function blobFile({ folder }: Pick<RealRegistry, 'folder'>, digest: string): string {
  const hex = digest.slice('sha256:'.length);
  return join(folder, 'data/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
}

export interface RealRegistry {
  readonly port: number;
  /** of its configuration and data */
  readonly folder: string;
  /** what it wrote to its log so far */
  log(): string;
  /** Ends it and starts it again, on the same port, with what its files hold now. */
  restart(): Promise<void>;
  remove(): Promise<void>;
}

export async function startRegistry(options: RegistryOptions = {}): Promise<RealRegistry> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-registry-'));
  const port = await freePort();
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(configOf(options, folder, port)));
  let child: ChildProcess;
  let log = '';
  async function start(): Promise<void> {
    const from = log.length;
    child = spawn(dockerRegistry ?? '', ['serve', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH ?? '', OTEL_TRACES_EXPORTER: 'none' },
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text) => {
        log += text;
      });
    await eventually('the registry listens', async () => {
      if (child.exitCode !== null) throw new Error(log);
      return log.includes('listening on', from);
    });
  }
  async function stop(): Promise<void> {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
  await start();
  return {
    port,
    folder,
    log: () => log,
    async restart() {
      await stop();
      await start();
    },
    async remove() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** YAML reads JSON. */
function configOf(
  { users, token, tls, upstream }: RegistryOptions,
  folder: string,
  port: number,
): unknown {
  const htpasswd = join(folder, 'htpasswd');
  if (users !== undefined) {
    const lines = Object.entries(users).map(
      ([name, password]) =>
        `${name}:${Bun.password.hashSync(password, { algorithm: 'bcrypt', cost: 4 })}`,
    );
    writeFileSync(htpasswd, `${lines.join('\n')}\n`);
  }
  const basic = users === undefined ? {} : { htpasswd: { realm: 'holdfast', path: htpasswd } };
  const bearer =
    token === undefined
      ? {}
      : {
          token: {
            realm: token.realm,
            service: 'holdfast-registry',
            issuer: 'holdfast-tests',
            rootcertbundle: token.certBundle,
          },
        };
  const secure =
    tls === undefined
      ? {}
      : {
          tls: {
            certificate: tls.cert,
            key: tls.key,
            ...(tls.clientCa === undefined ? {} : { clientcas: [tls.clientCa] }),
          },
        };
  return {
    version: 0.1,
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    ...(users === undefined && token === undefined ? {} : { auth: { ...basic, ...bearer } }),
    ...(upstream === undefined ? {} : { proxy: { remoteurl: upstream } }),
    http: { addr: `127.0.0.1:${port}`, secret: 'of this test', ...secure },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
