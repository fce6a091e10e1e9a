/**
 * Tells systemd that the service is ready (sd_notify(3)). Bun has no unix datagrams, so the tool
 * that comes with systemd does it (DESIGN section 8). No NOTIFY_SOCKET, or no tool: nothing to tell.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';

const MARK = 'ready';

/** A start begins: the mark of an earlier one (units may keep runDir over a restart) goes away. */
export function notReady(runDir: string): void {
  rmSync(`${runDir}/${MARK}`, { force: true });
}

/** @param runDir  gets an empty file `ready`: on tmpfs, so it is gone after a reboot */
export function notifyReady(
  env: Readonly<Record<string, string | undefined>>,
  runDir: string,
): void {
  try {
    mkdirSync(runDir, { recursive: true, mode: 0o755 });
    closeSync(openSync(`${runDir}/${MARK}`, 'w', 0o644));
  } catch {
    // A runDir that cannot be written is told by the sockets, which need it.
  }
  const socket = env.NOTIFY_SOCKET;
  if (socket === undefined) return;
  const child = spawn('systemd-notify', ['--ready'], {
    stdio: 'ignore',
    env: { NOTIFY_SOCKET: socket, PATH: '/usr/bin:/bin' },
  });
  child.on('error', () => undefined);
  child.unref();
}
