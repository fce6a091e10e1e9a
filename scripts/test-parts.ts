/**
 * The programs that tests run against. As root on Debian what is missing is installed; anywhere
 * else the tests that need it skip and say so (test/support/parts.ts).
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { provideDockerEngine } from './docker-engine.ts';
import { has, run } from './run.ts';

/** a program (or file) that shows that the package is there, the package */
export type Part = readonly [shows: string, debian: string];

const PARTS: readonly Part[] = [
  ['mosquitto', 'mosquitto'],
  ['mosquitto_sub', 'mosquitto-clients'],
  ['docker-registry', 'docker-registry'],
  ['skopeo', 'skopeo'],
  ['podman', 'podman'],
  ['runc', 'runc'],
  ['iptables', 'iptables'],
  ['ip', 'iproute2'],
  ['/bin/busybox', 'busybox-static'],
  ['squid', 'squid'],
  ['tinyproxy', 'tinyproxy'],
  ['openssl', 'openssl'],
  ['ssh-keygen', 'openssh-client'],
  ['minisign', 'minisign'],
  ['signify-openbsd', 'signify-openbsd'],
  ['pkcs11-tool', 'opensc'],
  ['softhsm2-util', 'softhsm2'],
  ['faketime', 'faketime'],
  ['strace', 'strace'],
  ['nbdfuse', 'nbdfuse'],
  ['fusermount3', 'fuse3'],
  ['htpasswd', 'apache2-utils'],
  ['zsh', 'zsh'],
  ['fish', 'fish'],
  ['mandoc', 'mandoc'],
  ['chromium', 'chromium'],
  ['/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf', 'fonts-dejavu-core'],
  ['systemd-analyze', 'systemd'],
  ['qemu-aarch64-static', 'qemu-user-static'],
  ['/usr/aarch64-linux-gnu/lib/libc.so.6', 'libc6-arm64-cross'],
];
/** Not in Debian; where the machine has Go, from its module proxy. */
const HELM = ['helm', 'helm.sh/helm/v3/cmd/helm@v3.18.6'] as const;
const POLICY = '/usr/sbin/policy-rc.d';

/** @param also  what one script needs beside the tests */
export async function provide(also: readonly Part[] = []): Promise<void> {
  await provideHelm();
  const missing = [...PARTS, ...also]
    .filter(([shows]) => (shows.startsWith('/') ? !existsSync(shows) : !has(shows)))
    .map(([, debian]) => debian);
  if (missing.length > 0) await install(missing);
  await provideDockerEngine();
}

async function install(missing: readonly string[]): Promise<void> {
  if (process.getuid?.() !== 0 || !has('apt-get')) {
    console.log(`not here, so tests that need them skip: ${missing.join(', ')}`);
    return;
  }
  console.log(`installing ${missing.join(', ')}`);
  // Debian starts a broker or registry as soon as it is installed, unless this file says no.
  const ours = !existsSync(POLICY);
  if (ours) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    await run(['apt-get', 'update', '-q'], { env, mayFail: true });
    for (const debian of missing) {
      const command = ['apt-get', 'install', '-q', '-y', '--no-install-recommends', debian];
      const ran = await run(command, { env, mayFail: true });
      if (ran.code !== 0) console.log(`cannot install ${debian}, so tests that need it skip`);
    }
  } finally {
    if (ours) rmSync(POLICY, { force: true });
  }
}

async function provideHelm(): Promise<void> {
  const [name, module] = HELM;
  if (has(name)) return;
  if (process.getuid?.() !== 0 || !has('go')) {
    console.log(`not here, so tests that need it skip: ${name}`);
    return;
  }
  console.log(`installing ${name}`);
  const env = { GOBIN: '/usr/local/bin' };
  const ran = await run(['go', 'install', module], { env, mayFail: true });
  if (ran.code !== 0) console.log(`cannot install ${name}, so tests that need it skip`);
}
