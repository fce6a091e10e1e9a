/** Faults with the prefix `drift.`: what was found changed on the device. */
export const driftFaults = {
  'drift.flapping': {
    retry: 'operator',
    says: (d: { path: string; repairs: number }) =>
      `${d.path} was changed again after ${d.repairs} repairs in 10 minutes`,
    remedy: 'Find who writes the file; run `holdfast resume` when it is settled.',
  },
} as const;
