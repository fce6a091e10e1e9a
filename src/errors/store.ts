/** Faults with the prefix `store.`: the store on disk and its records. */
export const storeFaults = {
  'store.checksum': {
    retry: 'never',
    says: (d: { key: string }) => `the record ${d.key} does not match its checksum`,
    remedy: 'The store is rebuilt from the signed statements kept beside it; check the disk.',
  },
  'store.record': {
    retry: 'never',
    says: (d: { key: string; reason: string }) => `the record ${d.key} cannot be read: ${d.reason}`,
    remedy: 'The store is rebuilt from the signed statements kept beside it; check the disk.',
  },
  'store.damaged': {
    retry: 'never',
    says: (d: { file: string; reason: string }) => `${d.file} is damaged: ${d.reason}`,
    remedy: 'The store is rebuilt from the signed statements kept beside it; check the disk.',
  },
  'store.newer': {
    retry: 'operator',
    says: (d: { found: number; known: number }) =>
      `the store has format ${d.found}, this program knows up to ${d.known}`,
    remedy: 'Run the newer holdfast that wrote it, or move the store away and start again.',
  },
  'store.no-space': {
    retry: 'later',
    says: (d: { operation: string }) => `no space left on the device: ${d.operation}`,
    remedy: 'Free space on the file system of stateDir; nothing was changed.',
  },
  'store.io': {
    retry: 'later',
    says: (d: { operation: string; reason: string }) => `${d.operation} failed: ${d.reason}`,
    remedy: 'Look at the disk of stateDir (kernel log); what was committed before is still held.',
  },
  'store.unsafe': {
    retry: 'operator',
    says: (d: { path: string; reason: string }) => `${d.path} is not safe to use: ${d.reason}`,
    remedy: 'Make it a directory of the user that runs the agent, with mode 0700.',
  },
  'store.locked': {
    retry: 'operator',
    says: (d: { path: string }) => `another agent holds ${d.path}`,
    remedy:
      'Stop the other agent, in whatever container it runs, or give this one its own stateDir.',
  },
  'store.blob-missing': {
    retry: 'later',
    says: (d: { digest: string }) => `${d.digest} is not in the content store`,
    remedy: 'It is fetched again when a source is reachable.',
  },
  'store.blob-damaged': {
    retry: 'later',
    says: (d: { digest: string; found: string }) =>
      `the content stored as ${d.digest} has become ${d.found}`,
    remedy: 'It is fetched again when a source is reachable; check the disk.',
  },
  'store.blob-mismatch': {
    retry: 'never',
    says: (d: { digest: string; found: string; size: number; wanted: number }) =>
      `what came as ${d.digest} (${d.wanted} bytes) is ${d.found} (${d.size} bytes)`,
    remedy: 'The part was thrown away; look at the source that sent it.',
  },
  'store.unknown-code': {
    retry: 'never',
    says: (d: { code: string }) => `another version of holdfast recorded the code ${d.code}`,
    remedy: 'Its message stands beside it; the version that wrote it documents the code.',
  },
  'store.row-missing': {
    retry: 'operator',
    says: (d: { key: string }) => `the store has no ${d.key}, which another row names`,
    remedy: 'Stop the agent, move stateDir/store away and start it: the store is rebuilt.',
  },
} as const;
