/** A device for runtimes: real files and processes in a directory of its own, a real content store. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import type { FilesOptions } from '#apply/runtimes/files.ts';
import type { ProcessOptions } from '#apply/runtimes/process.ts';
import type { Files } from '#platform/files.ts';
import { systemClock } from '#platform/node/clock.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { systemProcesses } from '#platform/node/processes.ts';
import type { Deployment, FilesComponent, ProcessComponent } from '#state/deployment.ts';
import { sha256 } from '#state/digest.ts';
import { type Generation, type GenerationBlob, generationDigest } from '#state/generation.ts';
import { contentStore } from '#store/content.ts';
import { type TarEntry, writeTar } from '#wire/tar.ts';
import { scratch, value } from '../support/store.ts';

export type Content = string | Uint8Array | readonly TarEntry[];

/** `files` stands between the runtimes and the disk: to count, or to cut. */
export function runtimeWorld(files: Files = systemFiles()) {
  const directory = scratch('runtime');
  chmodSync(directory.path, 0o755);
  const root = `${directory.path}/opt`;
  const stateDir = `${directory.path}/state`;
  const runDir = `${directory.path}/run`;
  for (const path of [root, stateDir, runDir]) mkdirSync(path, { mode: 0o755 });
  chmodSync(stateDir, 0o700);
  const content = value(contentStore(systemFiles(), stateDir));
  const processes = systemProcesses();
  const logged: string[] = [];
  const options: FilesOptions & ProcessOptions = {
    files,
    processes,
    content,
    clock: systemClock(),
    inflate: systemInflate(),
    log: { write: (_level, event) => void logged.push(event) },
    stateDir,
    runDir,
    storeId: sha256(Buffer.from(directory.path)).slice(7, 23),
    roots: [root],
    protectedPaths: [stateDir, runDir],
    users: { defaultUser: null, allowRoot: true },
  };

  function blob(bytes: Content): GenerationBlob {
    const tree = typeof bytes !== 'string' && !(bytes instanceof Uint8Array);
    const plain = tree ? writeTar(bytes) : Buffer.from(bytes);
    const stored = tree ? systemInflate().gzip(plain) : plain;
    const digest = sha256(stored);
    value(content.putBlob(digest, stored));
    value(content.sync());
    return { digest, size: stored.length, unpackedSize: plain.length, tree };
  }

  return {
    path: directory.path,
    root,
    stateDir,
    runDir,
    content,
    processes,
    options,
    logged,
    blob,
    end: () => directory.remove(),

    /** A generation of `id`; its digest covers everything that is given. */
    generation(
      id: string,
      contents: Readonly<Record<string, Content>>,
      deployment: Partial<Deployment> & Pick<Deployment, 'profile'>,
    ): Generation {
      const blobs = new Map(Object.entries(contents).map(([name, bytes]) => [name, blob(bytes)]));
      const values = new Map(
        (deployment.parameters ?? []).flatMap(({ name, value: from }) =>
          from.kind === 'literal' ? [[name, from.text] as const] : [],
        ),
      );
      const documentDigest = sha256(Buffer.from(JSON.stringify({ id, deployment })));
      const plain = { dependsOn: [], parameters: [], health: [], data: [] };
      return {
        id,
        digest: generationDigest(documentDigest, blobs, values),
        documentDigest,
        deployment: { id, name: id, drift: 'repair', ...plain, ...deployment },
        blobs,
        values,
      };
    },
  };
}

export type RuntimeWorld = ReturnType<typeof runtimeWorld>;

/**
 * Live processes of this store. A program in the middle of an exec shows no environment for a
 * moment: while a recorded one is missing, the table is read again.
 */
export function livePrograms({ processes, options, runDir }: RuntimeWorld) {
  for (let look = 0; ; look += 1) {
    const found = value(processes.instances()).filter(({ instance }) =>
      instance.startsWith(`${options.storeId}/`),
    );
    const shown = new Set(found.map(({ identity }) => identity.pid));
    const hidden = recorded(runDir).some(
      (identity) => !shown.has(identity.pid) && processes.alive(identity),
    );
    if (!hidden || look === 500) return found;
    Bun.sleepSync(2);
  }
}

function recorded(runDir: string) {
  const folder = `${runDir}/processes`;
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(`${entry.parentPath}/${entry.name}`, 'utf8').trim().split(' '))
    .filter((fields) => fields.length === 5)
    .map(([, , pid, ticks, bootId = '']) => ({
      pid: Number(pid),
      startTicks: BigInt(ticks ?? 0),
      bootId,
    }));
}

export function file(
  target: string,
  blob: string,
  more: Partial<FilesComponent> = {},
): FilesComponent {
  const plain = { mode: 0o644, owner: null, adopt: false, once: false };
  return { name: blob.replaceAll('/', '-'), target, blob, ...plain, ...more };
}

export function program(blob: string, more: Partial<ProcessComponent> = {}): ProcessComponent {
  return {
    name: 'server',
    blob,
    command: [],
    env: {},
    user: null,
    workingDirectory: null,
    restart: { backoffMs: 50, backoffMaxMs: 200 },
    stop: { signal: 'SIGTERM', timeoutMs: 2_000 },
    aliveForMs: 100,
    logs: { maxBytes: 64 * 1024, files: 2 },
    ...more,
  };
}
