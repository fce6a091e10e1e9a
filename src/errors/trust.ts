/** Faults with the prefix `trust.`: the checks of a signed statement; numbers are those of the check. */
export const trustFaults = {
  'trust.rollback': {
    retry: 'never',
    says: (d: { offered: string; floor: string }) =>
      `${d.offered} is below ${d.floor}, the highest (epoch.sequence) accepted here`,
    remedy: 'Publish above the floor. If the counter is lost, publish a root with the next epoch.',
  },
} as const;
