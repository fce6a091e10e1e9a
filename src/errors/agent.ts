/** Faults with the prefix `agent.`: the life of the agent process. */
export const agentFaults = {
  'agent.already-running': {
    retry: 'operator',
    says: (d: { stateDir: string; holder: string }) =>
      `another agent (${d.holder}) holds ${d.stateDir}`,
    remedy: 'Stop the other agent, or give this one a stateDir of its own.',
  },
  'agent.no-source': {
    retry: 'operator',
    says: (_: Record<string, never>) => 'no source is configured that could be asked',
    remedy: 'Name a registry in agent.yaml, or bring a bundle: holdfast apply BUNDLE.',
  },
  'agent.paused': {
    retry: 'later',
    says: (d: { offered: string }) => `${d.offered} waits: the operator paused this agent`,
    remedy: 'Run `holdfast resume` when changes may come again.',
  },
  'agent.held': {
    retry: 'later',
    says: (d: { offered: string; held: string }) =>
      `${d.offered} waits: the operator rolled back to ${d.held} and holds it`,
    remedy: 'Run `holdfast resume` to follow the channel again.',
  },
  'agent.safe-mode': {
    retry: 'later',
    says: (d: { offered: string; crashes: number }) =>
      `${d.offered} waits: the agent crashed ${d.crashes} times in a row and runs in safe mode`,
    remedy: 'Read the log, then publish a newer state or run `holdfast resume`.',
  },
  'agent.no-rollback': {
    retry: 'operator',
    says: (d: { channel: string }) => `${d.channel} has no earlier proven state on this device`,
    remedy: 'Publish the state that you want with a new number.',
  },
  'agent.stopping': {
    retry: 'later',
    says: (_: Record<string, never>) => 'the agent is stopping',
    remedy: 'Ask again when it runs.',
  },
  'agent.broken': {
    retry: 'operator',
    says: (d: { reason: string }) => `a broken assumption: ${d.reason}`,
    remedy: 'The agent stops and recovers at its next start; please report the message.',
  },
  'agent.self-test': {
    retry: 'operator',
    says: (d: { what: string }) => `this executable does not work here: ${d.what}`,
    remedy:
      'Install the executable built for this machine again, and report its version with this.',
  },
  'agent.device-id': {
    retry: 'operator',
    says: (d: { id: string }) => `"${d.id}" is no device id`,
    remedy: 'Set device.id in agent.yaml: a-z, 0-9, dot and dash, at most 56 characters.',
  },
} as const;
