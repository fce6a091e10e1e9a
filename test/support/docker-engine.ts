/**
 * A real Docker Engine with a data folder of its own, in namespaces of its own: its bridges and rules
 * touch nothing of this machine, and whatever it started is gone with it, also when a test was killed.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { isRoot, program, ROOT } from './parts.ts';
import { askSocket, type ContainerEngine, seenContainers } from './podman.ts';

/** where scripts/docker-engine.ts unpacks it */
const UNPACKED = join(ROOT, '.cache/docker/usr');
const PATH = `${UNPACKED}/sbin:${UNPACKED}/bin:${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
const NEEDED = [
  'dockerd',
  'containerd',
  'docker-init',
  'docker',
  'runc',
  'iptables',
  'unshare',
  'ip',
];

/** Null: it can be run here; else why it cannot. */
export const noDocker: string | null = (() => {
  if (!isRoot) return 'not root';
  const missing = NEEDED.filter((name) => !Bun.which(name, { PATH }));
  if (missing.length > 0) return `no Docker Engine (${missing.join(', ')})`;
  return existsSync('/bin/busybox') ? null : 'busybox-static is not installed';
})();

export async function startDocker(): Promise<ContainerEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'hf-docker-'));
  const socket = join(folder, 'docker.sock');
  writeFileSync(join(folder, 'daemon.json'), '{}');
  const daemon = [
    ...['dockerd', '--log-level', 'error', '--config-file', join(folder, 'daemon.json')],
    ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
    ...['--pidfile', join(folder, 'pid'), '--host', `unix://${socket}`],
  ];
  const apart = ['--net', '--mount', '--propagation', 'slave', '--pid', '--fork', '--mount-proc'];
  const first = 'ip link set lo up && exec docker-init -- "$@"';
  const child: ChildProcess = spawn(
    program('unshare') ?? '',
    [...apart, '--kill-child', 'sh', '-c', first, 'sh', ...daemon],
    { env: { PATH, HOME: folder }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr?.on('data', (text) => {
    said = `${said}${text}`.slice(-4_000);
  });
  const ask = (method: string, path: string) => askSocket(socket, method, path);
  await eventually(
    'Docker Engine answers',
    () => {
      if (child.exitCode !== null) throw new Error(`Docker Engine ended: ${said}`);
      return ask('GET', '/version').then(
        () => true,
        () => false,
      );
    },
    30_000,
  );
  const env = { PATH, HOME: folder, DOCKER_HOST: `unix://${socket}` };
  return {
    ...{ kind: 'docker', folder, socket, ask, containers: () => seenContainers(ask) },
    run: (...args) =>
      execFileSync('docker', args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    async remove() {
      try {
        const ids = (await seenContainers(ask)).map(({ id }) => id);
        if (ids.length > 0) execFileSync('docker', ['rm', '--force', ...ids], { env });
      } catch {}
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
      // Its programs die with their namespace, a moment later.
      await eventually('its files are gone', () => {
        try {
          rmSync(folder, { recursive: true, force: true });
        } catch {}
        return !existsSync(folder);
      });
    },
  };
}
