/**
 * Faults with the prefix `platform.`: the operating system: files, processes, sockets. One row per
 * errno that a caller may want to tell apart; every other errno is `platform.io`.
 */
interface At {
  operation: string;
  path: string;
}

export const platformFaults = {
  'platform.io': {
    retry: 'later',
    says: (d: { operation: string; path: string; errno: string }) =>
      `${d.operation} ${d.path}: ${d.errno}`,
    remedy: 'Look at the disk and the permissions of the path named.',
  },
  'platform.missing': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: there is nothing under that name`,
    remedy: 'Create the file or directory named, or correct the path.',
  },
  'platform.exists': {
    retry: 'never',
    says: (d: At) => `${d.operation} ${d.path}: something is already there`,
    remedy: 'Move away what stands at the path named.',
  },
  'platform.denied': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: permission denied`,
    remedy: 'Give the user that holdfast runs as access to the path named (ls -l, id).',
  },
  'platform.no-space': {
    retry: 'later',
    says: (d: At & { errno: string }) => `${d.operation} ${d.path}: no space left (${d.errno})`,
    remedy: 'Free space or inodes on the file system of the path named (df -h, df -i).',
  },
  'platform.read-only': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: the file system is read-only`,
    remedy: 'Remount it writable; if the kernel did this after errors, replace the disk.',
  },
  'platform.link': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: a symbolic link stands there and is not followed`,
    remedy: 'Replace the link by what it points to, or name its destination instead.',
  },
  'platform.mount': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: another file system is mounted there`,
    remedy: 'Unmount it, then try again.',
  },
  'platform.other-filesystem': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: source and destination are on two file systems`,
    remedy: 'Keep both directories on one file system.',
  },
  'platform.not-a-file': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: not a regular file`,
    remedy: 'Put a regular file there, or correct the path.',
  },
  'platform.not-a-directory': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: not a directory`,
    remedy: 'Put a directory there, or correct the path.',
  },
  'platform.not-empty': {
    retry: 'operator',
    says: (d: At) => `${d.operation} ${d.path}: the directory is not empty`,
    remedy: 'Remove what is in it, or choose another directory.',
  },
  'platform.too-large': {
    retry: 'operator',
    says: (d: { path: string; size: number; cap: number }) =>
      `${d.path} has ${d.size} bytes or more, at most ${d.cap} are read`,
    remedy: 'Check that the path names the right file; it is larger than any of its kind.',
  },
  'platform.name': {
    retry: 'never',
    says: (d: { operation: string; name: string }) =>
      `${d.operation}: ${d.name} is not a name that can stand in a directory`,
    remedy: 'Use a name of 1 to 255 bytes without "/" or NUL that is neither "." nor "..".',
  },
  'platform.handles': {
    retry: 'later',
    says: (d: At & { errno: string }) => `${d.operation} ${d.path}: out of handles (${d.errno})`,
    remedy: 'Raise the limit of open files (LimitNOFILE= in the unit, ulimit -n).',
  },
  'platform.exec': {
    retry: 'never',
    says: (d: { program: string; reason: string }) => `cannot start ${d.program}: ${d.reason}`,
    remedy: 'Check that the file exists, is executable, and is built for this machine.',
  },
  'platform.no-user': {
    retry: 'operator',
    says: (d: { kind: 'user' | 'group'; name: string }) => `there is no ${d.kind} ${d.name} here`,
    remedy: 'Create it (useradd --system, groupadd --system), or name one that exists.',
  },
  'platform.listen': {
    retry: 'operator',
    says: (d: { address: string; reason: string }) => `cannot listen at ${d.address}: ${d.reason}`,
    remedy: 'Stop what uses the address, or configure another one.',
  },
  'platform.addon': {
    retry: 'operator',
    says: (d: { reasons: readonly string[] }) =>
      `the store's native code cannot be loaded: ${d.reasons.join('; ')}`,
    remedy:
      'Name a directory that may hold programs (not mounted noexec): BUN_TMPDIR=/run/holdfast.',
  },
} as const;
