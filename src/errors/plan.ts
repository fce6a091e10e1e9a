/** Faults with the prefix `plan.`: turning a statement into steps. */
export const planFaults = {
  'plan.target-outside-roots': {
    retry: 'never',
    says: (d: { deployment: string; target: string; roots: string }) =>
      `${d.deployment}: target ${d.target} is outside the roots this channel may write (${d.roots})`,
    remedy: 'Move the target, or let channels[].allow.roots in agent.yaml name its root.',
  },
} as const;
