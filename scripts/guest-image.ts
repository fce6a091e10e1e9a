/**
 * What a machine of QEMU is started from: Debian's cloud kernel, an initramfs with the modules that
 * it needs, and a root file system with busybox, the C libraries and the executable. Foreign packages
 * are only unpacked (mmdebstrap --variant=extract); nothing is registered on this system.
 */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';
import { CACHE } from './targets.ts';
import type { Part } from './test-parts.ts';

export type GuestArch = 'amd64' | 'arm64';

export interface GuestImage {
  readonly arch: GuestArch;
  readonly kernel: string;
  readonly initramfs: string;
  /** ext4, mounted read-only */
  readonly root: string;
}

/** What making and running a guest needs beside the tests' parts. */
export function guestParts(arch: GuestArch): readonly Part[] {
  return [
    arch === 'arm64'
      ? ['qemu-system-aarch64', 'qemu-system-arm']
      : ['qemu-system-x86_64', 'qemu-system-x86'],
    ['mmdebstrap', 'mmdebstrap'],
    ['cpio', 'cpio'],
    ['depmod', 'kmod'],
    ['mke2fs', 'e2fsprogs'],
  ];
}

const SUITE = 'bookworm';
const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_net', 'ext4'];
const ROOT_MIB = 320;
const APPLETS = ['sh', 'cat', 'find', 'sort', 'sha256sum', 'sleep', 'tr', 'sed', 'grep', 'xargs'];

/** @param executable  for this architecture; the image is made again with each */
export async function guestImage(arch: GuestArch, executable: string): Promise<GuestImage> {
  const folder = join(CACHE, 'guests', arch);
  const packages = join(folder, 'packages');
  if (!existsSync(join(folder, 'unpacked'))) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const include = [`linux-image-cloud-${arch}`, 'busybox-static', 'libc6', 'libstdc++6'].join(
      ',',
    );
    const how = ['--variant=extract', `--architectures=${arch}`, `--include=${include}`];
    await run(['mmdebstrap', ...how, SUITE, packages]);
    writeFileSync(join(folder, 'unpacked'), '');
  }
  const version = readdirSync(join(packages, 'lib/modules'))[0] ?? '';
  const initramfs = join(folder, 'initramfs');
  await makeInitramfs(packages, version, join(folder, 'early'), initramfs);
  const root = join(folder, 'root.img');
  await makeRoot(packages, join(folder, 'root'), root, executable);
  return { arch, kernel: join(packages, 'boot', `vmlinuz-${version}`), initramfs, root };
}

async function makeInitramfs(packages: string, version: string, work: string, file: string) {
  rmSync(work, { recursive: true, force: true });
  for (const each of ['bin', 'dev', 'proc', 'sys', 'root', 'modules']) {
    mkdirSync(join(work, each), { recursive: true });
  }
  cpSync(join(packages, 'bin/busybox'), join(work, 'bin/busybox'));
  await run(['depmod', '-b', packages, version]);
  const wanted: string[] = [];
  for (const name of MODULES) {
    const show = ['modprobe', '-d', packages, '-S', version, '--show-depends', name];
    const { stdout } = await run(show, { mayFail: true });
    for (const [, path = ''] of stdout.matchAll(/^insmod (\S+)/gm)) {
      if (!wanted.includes(path)) wanted.push(path);
    }
  }
  const names = wanted.map((path, index) => {
    const name = `${index}.ko`;
    cpSync(path, join(work, 'modules', name));
    return name;
  });
  writeFileSync(join(work, 'init'), EARLY.replace('MODULES', names.join(' ')));
  chmodSync(join(work, 'init'), 0o755);
  await run(['sh', '-c', `cd '${work}' && find . | cpio -o -H newc --quiet > '${file}'`]);
}

async function makeRoot(packages: string, work: string, image: string, executable: string) {
  rmSync(work, { recursive: true, force: true });
  for (const each of ['dev', 'proc', 'sys', 'run', 'tmp', 'data', 'etc']) {
    mkdirSync(join(work, each), { recursive: true });
  }
  const keep = { recursive: true, verbatimSymlinks: true } as const;
  for (const each of ['bin/busybox', 'lib', 'lib64', 'usr/lib']) {
    if (!existsSync(join(packages, each))) continue;
    const filter = (path: string) => !/\/(modules|firmware)$/.test(path);
    cpSync(join(packages, each), join(work, each), { ...keep, filter });
  }
  for (const name of APPLETS) await run(['ln', '-s', 'busybox', join(work, 'bin', name)]);
  cpSync(executable, join(work, 'bin/holdfast'));
  for (const [name, text] of [
    ['init', INIT],
    ['look', LOOK],
  ] as const) {
    writeFileSync(join(work, name), text);
    chmodSync(join(work, name), 0o755);
  }
  writeFileSync(join(work, 'etc/machine-id'), `${'0123456789abcdef'.repeat(2)}\n`);
  rmSync(image, { force: true });
  await run(['mke2fs', '-q', '-t', 'ext4', '-d', work, image, `${ROOT_MIB}M`]);
  rmSync(work, { recursive: true, force: true });
}

/** In the initramfs: two disks, the network that QEMU gives, then the root. */
const EARLY = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for each in MODULES; do insmod /modules/$each; done
until [ -b /dev/vdb ] && [ -e /sys/class/net/eth0 ]; do sleep 0.05; done
mount -t ext4 -o ro /dev/vda /root
mount -t ext4 /dev/vdb /root/data || { echo "GUEST no-mount"; poweroff -f; }
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
route add default gw 10.0.2.2
mount --move /dev /root/dev; mount --move /proc /root/proc; mount --move /sys /root/sys
exec switch_root /root /init
`;

/**
 * Set for the agent: `useDFGJIT` as it sets it itself, which saves it one start of two; and no JIT,
 * as under MemoryDenyWriteExecute. Emulated, code that is made while it runs costs more than it saves:
 * half the time of a start.
 */
const RUNTIME = 'BUN_JSC_useDFGJIT=0 BUN_JSC_useJIT=0';

/**
 * The first process: the agent, its log on the console, and a look at the device whenever a line
 * comes in. When the agent says that recovery is over it is held still for one look.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t tmpfs none /run
/bin/busybox mount -t tmpfs none /tmp
/bin/busybox mkdir -p /data/opt/line /run/bin
/bin/busybox mkdir -p -m 700 /data/state
/bin/busybox mkfifo /run/log
/bin/busybox stty -F /dev/console -echo
while read -r line; do /look asked; done < /dev/console &
${RUNTIME} TMPDIR=/run/bin /bin/holdfast agent --config /data/etc/agent.yaml > /run/log 2>&1 &
AGENT=$!
while read -r line; do
  echo "LOG $line"
  case "$line" in *'"event":"agent.started"'*)
    kill -STOP $AGENT
    /look ready
    kill -CONT $AGENT;;
  esac
done < /run/log
echo "GUEST agent-ended"
while :; do sleep 60; done
`;

/** Every visible file by its digest, every program of the lane by its environment. */
const LOOK = `#!/bin/busybox sh
cd /data/opt/line
echo "LOOK $1"
find -L . -type f | grep -v '/\\.' | sort | xargs -r sha256sum | sed 's/^/FILE /'
for each in $(grep -l LANE_ROLE= /proc/[0-9]*/environ 2>/dev/null); do
  role=$(tr '\\0' '\\n' < $each 2>/dev/null | grep '^LANE_' | sort | tr '\\n' ' ')
  [ -n "$role" ] && echo "PROGRAM $role"
done
echo "SEEN $1"
`;
