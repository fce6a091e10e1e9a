/** Faults with the prefix `apply.`: preparing, activating, proving, undoing, and the runtimes. */
export const applyFaults = {
  'apply.health-failed': {
    retry: 'never',
    says: (d: { deployment: string; check: string; reason: string }) =>
      `${d.deployment}: health check ${d.check} failed: ${d.reason}`,
    remedy:
      "Read the program's log with `holdfast logs`, correct the deployment and publish again.",
  },
  'apply.superseded': {
    retry: 'never',
    says: (d: { point: string }) => `${d.point} was superseded by a newer state`,
    remedy: 'Nothing to do: the newer state is being applied.',
  },
  'apply.interrupted': {
    retry: 'later',
    says: (d: { phase: string; tries: number }) =>
      `the agent or the power was cut while ${d.phase} (try ${d.tries})`,
    remedy: 'Nothing to do: the old state is back and the next try follows.',
  },
  'apply.crash-loop': {
    retry: 'never',
    says: (d: { tries: number }) => `every one of ${d.tries} tries was cut short`,
    remedy: 'Find what resets the device during this change, then publish a corrected state.',
  },
} as const;
