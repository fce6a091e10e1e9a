/** Faults with the prefix `store.`: the store on disk and its records. */
export const storeFaults = {
  'store.checksum': {
    retry: 'never',
    says: (d: { key: string }) => `the record ${d.key} does not match its checksum`,
    remedy: 'The store is rebuilt from the signed statements kept beside it; check the disk.',
  },
  'store.row-missing': {
    retry: 'operator',
    says: (d: { key: string }) => `the store has no ${d.key}, which another row names`,
    remedy: 'Stop the agent, move stateDir/store away and start it: the store is rebuilt.',
  },
} as const;
