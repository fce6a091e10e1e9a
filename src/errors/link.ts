/** Faults with the prefix `link.`: connections: HTTP, TLS, MQTT, proxies. */
export const linkFaults = {
  'link.unreachable': {
    retry: 'later',
    says: (d: { peer: string; reason: string }) => `${d.peer} cannot be reached: ${d.reason}`,
    remedy: 'Check the network and the address; the agent tries again by itself.',
  },
} as const;
