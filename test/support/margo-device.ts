/** A device that follows a Margo manager: the agent from source as a process of its own. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExplainView, StatusView } from '#control/api.ts';
import type { CertificateFiles } from './certificates.ts';
import { ROOT } from './parts.ts';

export interface MargoDevice {
  readonly folder: string;
  /** the one target root */
  readonly opt: string;
  readonly stateDir: string;
  read(name: string): string | null;
  log(): string;
  /** over its status socket */
  status(): Promise<StatusView>;
  explain(): Promise<ExplainView>;
  /** a local command, to its end: exit code and what it printed */
  command(...args: readonly string[]): Promise<readonly [number, string]>;
  start(): void;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface MargoDeviceOptions {
  readonly folder: string;
  readonly root: string;
  readonly url: string;
  readonly svid: CertificateFiles;
  readonly trustBundle: string;
  readonly registry?: string;
  readonly id?: string;
  readonly margo?: Readonly<Record<string, unknown>>;
  /** what runs as `holdfast`; default: the source */
  readonly program?: readonly string[];
  /** keys of agent.yaml in place of those of a Margo device; undefined takes one out */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export function margoDevice(options: MargoDeviceOptions): MargoDevice {
  const { folder, id = 'press-42', svid } = options;
  const opt = join(folder, 'opt');
  const stateDir = join(folder, 'state');
  mkdirSync(opt, { recursive: true });
  const identity = { cert: svid.cert, key: svid.key, trustBundle: options.trustBundle };
  const config = {
    ...{ apiVersion: 'holdfast/v1', kind: 'Agent', device: { id } },
    ...{ stateDir, runDir: join(folder, 'run') },
    trust: { root: options.root, allowDemo: true },
    channels: [{ name: 'margo', allow: { roots: [opt] } }],
    registries: options.registry === undefined ? [] : [{ url: options.registry }],
    runtimes: { process: { allowRoot: true } },
    schedule: { interval: '300ms', backoffMax: '300ms', jitter: 0 },
    log: { level: 'debug', format: 'human' },
    margo: { url: options.url, authority: 'tls', identity, ...options.margo },
    ...options.settings,
  };
  const file = join(folder, 'agent.yaml');
  writeFileSync(file, JSON.stringify(config));
  let child: Bun.Subprocess | null = null;
  let log = '';
  const collect = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    for await (const chunk of stream) log += Buffer.from(chunk).toString();
  };
  const ask = async <T>(what: string): Promise<T> => {
    const unix = join(folder, 'run/status.sock');
    const response = await fetch(`http://agent/v1/${what}`, { unix } as RequestInit);
    return (await response.json()) as T;
  };
  return {
    ...{ folder, opt, stateDir },
    read(name) {
      try {
        return readFileSync(join(opt, name), 'utf8');
      } catch {
        return null;
      }
    },
    log: () => log,
    status: () => ask<StatusView>('status'),
    explain: () => ask<ExplainView>('explain'),
    async command(...args) {
      const argv = [process.execPath, `${ROOT}/src/main.ts`, ...args];
      const ran = Bun.spawn(argv, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
      const said = await Promise.all([
        new Response(ran.stdout).text(),
        new Response(ran.stderr).text(),
      ]);
      return [await ran.exited, said.join('')];
    },
    start() {
      const { program = [process.execPath, `${ROOT}/src/main.ts`] } = options;
      const command = [...program, 'agent', '--config', file];
      const started = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
      void collect(started.stdout);
      void collect(started.stderr);
      child = started;
    },
    async stop(signal = 'SIGTERM') {
      child?.kill(signal);
      await child?.exited;
      child = null;
    },
  };
}
