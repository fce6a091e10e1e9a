/**
 * Capabilities of this process, as bits by their numbers in linux/capability.h. The kernel keeps them
 * per thread; all threads of this process have the same, because nothing here changes them.
 * @see capabilities(7)
 */
import { readFileSync, statSync } from 'node:fs';

export interface Capabilities {
  readonly effective: bigint;
  /** what every program inherits that this process starts */
  readonly ambient: bigint;
}

const NONE: Capabilities = { effective: 0n, ambient: 0n };
const OTHERS_EXECUTE = 0o001;
/** KILL, SETGID, SETUID, SYS_PTRACE: to end such programs, to start them, to find them in /proc */
const BECOMING_OTHERS = [5, 6, 7, 19];
const SYS_PTRACE = 19;
/**
 * Those that make their holder root or let it read, write or stop what is another user's: 0 to 9,
 * 16 to 22, SETFCAP, MAC_OVERRIDE, MAC_ADMIN, PERFMON, BPF. Not NET_BIND_SERVICE and its like, which
 * an owner may mean to hand down, nor WAKE_ALARM, which systemd gives to every session since 254.
 */
const GRAVE = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 19, 20, 21, 22, 31, 32, 33, 38, 39];

/** @param status  the text of /proc/self/status */
export function parseCapabilities(status: string): Capabilities {
  const set = (name: string) =>
    BigInt(`0x${new RegExp(`^${name}:\\s+([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  return { effective: set('CapEff'), ambient: set('CapAmb') };
}

/** None where /proc does not say. */
export function ownCapabilities(): Capabilities {
  try {
    return parseCapabilities(readFileSync('/proc/self/status', 'latin1'));
  } catch {
    return NONE;
  }
}

export function canBecomeOthers(uid: number, { effective }: Capabilities): boolean {
  return uid === 0 || BECOMING_OTHERS.every((number) => has(effective, number));
}

/** Linux 6.18 was seen to be content with SYS_ADMIN; older ones are not, so it is not counted on. */
export function canFindOthers({ effective }: Capabilities): boolean {
  return has(effective, SYS_PTRACE);
}

/** A user other than root hands them down: the kernel takes only root's at a change of user. */
export function bequeathsGrave(uid: number, { ambient }: Capabilities): boolean {
  return uid !== 0 && GRAVE.some((number) => has(ambient, number));
}

/**
 * Whether this process has grave capabilities from its file while others may run that file too, each
 * of whom would have them: what is effective without being ambient came with the file.
 */
export function isOpenToOthers(
  uid: number,
  { effective, ambient }: Capabilities,
  executable: string,
): boolean {
  if (uid === 0 || !GRAVE.some((number) => has(effective & ~ambient, number))) return false;
  try {
    return (statSync(executable).mode & OTHERS_EXECUTE) !== 0;
  } catch {
    // It was replaced while it starts; then nothing is known of it.
    return true;
  }
}

function has(set: bigint, number: number): boolean {
  return ((set >> BigInt(number)) & 1n) === 1n;
}
