/** Faults with the prefix `agent.`: the life of the agent process. */
export const agentFaults = {
  'agent.already-running': {
    retry: 'operator',
    says: (d: { stateDir: string; holder: string }) =>
      `another agent (${d.holder}) holds ${d.stateDir}`,
    remedy: 'Stop the other agent, or give this one a stateDir of its own.',
  },
} as const;
