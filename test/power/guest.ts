/**
 * One machine in QEMU: a root disk that is only read, a data disk that can lose its power, a network
 * to this host, its console. Killing it takes the power from the disk in the same moment.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endChild } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import type { Platters } from './rig.ts';

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
  /** Waits for as long as the machine gets on: how fast it is depends on what else this host does. */
  until<T>(what: string, holds: () => T | null | undefined | false): Promise<T>;
  end(): Promise<void>;
}

const MEMORY_MB = 256;
/** CPU time of the machine in which anything that is waited for has to come true; a start takes 5 to 10 */
const PATIENCE_CPU_S = 120;
/** and what ends the waiting for a machine that has nothing to do */
const PATIENCE_MS = 900_000;
/** of /proc/PID/stat */
const TICKS_A_SECOND = 100;

export async function startGuest(
  kit: GuestKit,
  platters: Platters,
  folder: string,
): Promise<Guest> {
  const socket = join(folder, 'guest-nbd');
  await platters.serve(socket);
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
      await guest.until('the guest looks', () => looks('asked') > before);
      return lookIn(lines, 'asked') ?? { files: new Map(), programs: [] };
    },
    async until(what, holds) {
      const most = cpuOf(machine) + PATIENCE_CPU_S;
      const late = () => {
        if (cpuOf(machine) > most) throw new Error(`${PATIENCE_CPU_S} s of CPU without: ${what}`);
        return holds();
      };
      return await eventually(what, late, PATIENCE_MS);
    },
    end: () => endChild(machine, 'SIGKILL'),
  };
  return guest;
}

/** s; of one that has ended: 0 */
function cpuOf({ pid }: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
  } catch {
    return 0;
  }
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
