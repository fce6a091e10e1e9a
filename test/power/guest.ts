/**
 * One machine in QEMU: a root disk that is only read, a data disk that can lose its power, a network
 * to this host, its console. Killing it takes the power from the disk in the same moment.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endChild } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import type { CutCount } from './rig.ts';

export interface GuestKit {
  readonly arch: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly root: string;
}

/** What the guest's own shell saw: no code of the agent. */
export interface GuestLook {
  /** relative path → hex SHA-256 */
  readonly files: ReadonlyMap<string, string>;
  /** environment of the lane's programs, sorted: `LANE_ROLE=… LANE_VERSION=…` */
  readonly programs: readonly string[];
}

export interface Guest {
  /** while the agent stood still after its recovery; null: not yet */
  ready(): GuestLook | null;
  /** now */
  look(): Promise<GuestLook>;
  /** the agent's log lines and the guest's own */
  console(): readonly string[];
  /** Power off, at that many writes from now, or very soon; what the disk holds is in `file`. */
  cut(seed: number, file: string, writes: number): Promise<CutCount>;
  end(): Promise<void>;
}

const MEMORY_MB = 256;
const CUT_WITHIN_MS = 4_000;
/** an emulated machine on a busy host */
const LOOK_MS = 240_000;

export async function startGuest(kit: GuestKit, image: string, folder: string): Promise<Guest> {
  const socket = join(folder, 'guest-nbd');
  rmSync(socket, { force: true });
  const program = new URL('disk-child.ts', import.meta.url).pathname;
  const disk = spawn(process.execPath, [program, socket, image, '-'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  disk.stdin.on('error', () => undefined);
  const answers = createInterface({ input: disk.stdout })[Symbol.asyncIterator]();
  await answers.next();
  const [qemu = '', ...args] = commandOf(kit, socket);
  const machine = spawn(qemu, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const lines: string[] = [];
  createInterface({ input: machine.stdout }).on('line', (line) => lines.push(line.trimEnd()));
  createInterface({ input: machine.stderr }).on('line', (line) => lines.push(`QEMU ${line}`));
  machine.stdin.on('error', () => undefined);
  const looks = (word: string) => lines.filter((line) => line === `SEEN ${word}`).length;
  const guest: Guest = {
    ready: () => lookIn(lines, 'ready'),
    console: () => lines,
    async look() {
      const before = looks('asked');
      machine.stdin.write('look\n');
      await eventually('the guest looks', () => looks('asked') > before, LOOK_MS);
      return lookIn(lines, 'asked') ?? { files: new Map(), programs: [] };
    },
    async cut(seed, file, writes) {
      const late = setTimeout(() => disk.stdin.write('cut\n'), CUT_WITHIN_MS);
      disk.stdin.write(`cut ${seed} ${file} ${writes}\n`);
      const { value } = await answers.next();
      clearTimeout(late);
      await guest.end();
      return JSON.parse(String(value)) as CutCount;
    },
    async end() {
      await end(machine, disk);
    },
  };
  return guest;
}

async function end(machine: ChildProcess, disk: ChildProcess): Promise<void> {
  await endChild(machine, 'SIGKILL');
  await endChild(disk, 'SIGKILL');
}

/** /dev/kvm is never asked for: where it is there, it may not work. */
function commandOf({ arch, kernel, initramfs, root }: GuestKit, socket: string): readonly string[] {
  const arm = arch === 'arm64';
  const machine = arm
    ? ['qemu-system-aarch64', '-machine', 'virt', '-cpu', 'cortex-a53']
    : ['qemu-system-x86_64', '-machine', 'q35', '-cpu', 'max'];
  // An emulated timer on a busy host is too late for the kernel's own check of it.
  const console = arm ? 'ttyAMA0' : 'ttyS0 no_timer_check';
  const append = `console=${console} panic=1 quiet rdinit=/init`;
  const data = `file=nbd+unix:///?socket=${socket},format=raw,if=none,id=d1,cache=writeback`;
  return [
    ...machine,
    ...['-accel', 'tcg,thread=multi', '-m', `${MEMORY_MB}`],
    ...['-kernel', kernel, '-initrd', initramfs, '-append', append],
    ...['-drive', `file=${root},format=raw,if=none,id=d0,snapshot=on`],
    ...['-device', 'virtio-blk-pci,drive=d0', '-drive', data],
    ...['-device', 'virtio-blk-pci,drive=d1', '-netdev', 'user,id=n0'],
    ...['-device', 'virtio-net-pci,netdev=n0,romfile='],
    ...['-nodefaults', '-nographic', '-serial', 'stdio', '-no-reboot'],
  ];
}

/** The last whole look of this kind; log lines may stand between its own. */
function lookIn(lines: readonly string[], word: string): GuestLook | null {
  const to = lines.lastIndexOf(`SEEN ${word}`);
  const from = lines.slice(0, Math.max(to, 0)).lastIndexOf(`LOOK ${word}`);
  if (to < 0 || from < 0) return null;
  const own = lines.slice(from, to);
  const files = own.flatMap((line) => {
    const [, hex = '', path = ''] = /^FILE ([0-9a-f]{64})\s+\.\/(.*)$/.exec(line) ?? [];
    return hex === '' ? [] : [[path, hex] as const];
  });
  const programs = own.flatMap((line) => {
    const [, text = ''] = /^PROGRAM (.*)$/.exec(line) ?? [];
    return text === '' ? [] : [text.trim()];
  });
  return { files: new Map(files), programs: programs.sort() };
}
