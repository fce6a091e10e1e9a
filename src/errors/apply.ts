/** Faults with the prefix `apply.`: preparing, activating, proving, undoing, and the runtimes. */
export const applyFaults = {
  'apply.health-failed': {
    retry: 'never',
    says: (d: { deployment: string; check: string; reason: string }) =>
      `${d.deployment}: health check ${d.check} failed: ${d.reason}`,
    remedy:
      "Read the program's log with `holdfast logs`, correct the deployment and publish again.",
  },
} as const;
