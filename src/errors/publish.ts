/** Faults with the prefix `publish.`: the publisher: init, sign, publish, promote. */
export const publishFaults = {
  'publish.sequence-taken': {
    retry: 'operator',
    says: (d: { tag: string }) => `${d.tag} was taken by another publisher`,
    remedy: 'Run publish again: it signs the next number.',
  },
} as const;
