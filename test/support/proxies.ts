/** Real HTTP proxies, as plants have them: squid, which may want a login and go on to another one, and tinyproxy. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { isRoot, program } from './parts.ts';

export const squid = program('squid');
export const tinyproxy = program('tinyproxy');
/** squid's helper that compares logins with a file of htpasswd */
const LOGINS = '/usr/lib/squid/basic_ncsa_auth';
/** Why there is no plant with two proxies here; null: there is. */
export const noProxies =
  squid === null || !existsSync(LOGINS)
    ? 'no squid'
    : tinyproxy === null
      ? 'no tinyproxy'
      : isRoot
        ? null
        : 'squid gives up rights that only root has';

export interface RealProxy {
  readonly port: number;
  /** its log of requests so far */
  log(): string;
  /** Nobody listens any more. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

/** @param login  USER:PASSWORD as a client must say; null: anyone may pass */
export async function startSquid({
  login = null,
  next = null,
}: {
  readonly login?: string | null;
  /** port of the proxy behind it; null: it goes straight */
  readonly next?: number | null;
} = {}): Promise<RealProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-squid-'));
  // squid writes as the user proxy.
  chmodSync(folder, 0o777);
  const port = await freePort();
  const log = join(folder, 'access.log');
  // As in RFC 7617: the first colon ends the name.
  const [, user = '', password = ''] = /^([^:]*):(.*)$/.exec(login ?? '') ?? [];
  writeFileSync(join(folder, 'logins'), `${user}:${await hashed(password)}\n`);
  const lines = [
    `http_port 127.0.0.1:${port}`,
    ...(login === null
      ? ['http_access allow localhost']
      : [
          `auth_param basic program ${LOGINS} ${join(folder, 'logins')}`,
          'auth_param basic children 1',
          'acl known proxy_auth REQUIRED',
          'http_access allow known',
        ]),
    'http_access deny all',
    ...(next === null
      ? []
      : [
          `cache_peer 127.0.0.1 parent ${next} 0 no-query no-digest default`,
          'never_direct allow all',
        ]),
    `pid_filename ${join(folder, 'pid')}`,
    `access_log stdio:${log}`,
    `cache_log ${join(folder, 'cache.log')}`,
    `coredump_dir ${folder}`,
    'cache deny all',
    'shutdown_lifetime 0 seconds',
    'visible_hostname plant',
    'pinger_enable off',
    'logfile_rotate 0',
    'buffered_logs off',
  ];
  const file = join(folder, 'squid.conf');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return started([squid ?? '', '-N', '-f', file], { port, folder, log });
}

export async function startTinyproxy(): Promise<RealProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-tinyproxy-'));
  chmodSync(folder, 0o777);
  const port = await freePort();
  const log = join(folder, 'log');
  // Without ConnectPort it leads to every port.
  const lines = [`Port ${port}`, 'Listen 127.0.0.1', 'Allow 127.0.0.1', 'MaxClients 20'];
  const file = join(folder, 'tinyproxy.conf');
  writeFileSync(
    file,
    `${[...lines, 'Timeout 60', `LogFile "${log}"`, 'LogLevel Connect'].join('\n')}\n`,
  );
  return started([tinyproxy ?? '', '-d', '-c', file], { port, folder, log });
}

interface Place {
  readonly port: number;
  readonly folder: string;
  readonly log: string;
}

async function started(
  [command = '', ...args]: readonly string[],
  { port, folder, log }: Place,
): Promise<RealProxy> {
  const child: ChildProcess = spawn(command, args, { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  await eventually(`${command} listens`, () => {
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}`);
    return answers(port);
  });
  const proxy: RealProxy = {
    port,
    log: () => (existsSync(log) ? readFileSync(log, 'utf8') : ''),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await gone;
    },
    async remove() {
      await proxy.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return proxy;
}

async function hashed(password: string): Promise<string> {
  const bcrypt = await Bun.password.hash(password, { algorithm: 'bcrypt', cost: 4 });
  // crypt(3) of Debian knows it by this name.
  return bcrypt.replace(/^\$2[abxy]\$/, '$2b$');
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
