/** Faults with the prefix `platform.`: the operating system: files, processes, sockets. */
export const platformFaults = {
  'platform.io': {
    retry: 'later',
    says: (d: { operation: string; path: string; errno: string }) =>
      `${d.operation} ${d.path}: ${d.errno}`,
    remedy: 'Look at the disk and the permissions of the path named.',
  },
} as const;
