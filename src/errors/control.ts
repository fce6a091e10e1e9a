/** Faults with the prefix `control.`: the local sockets between command line and agent. */
export const controlFaults = {
  'control.no-agent': {
    retry: 'operator',
    says: (d: { socket: string }) => `no agent answers at ${d.socket}`,
    remedy: 'Start one: holdfast agent --config /etc/holdfast/agent.yaml',
  },
} as const;
