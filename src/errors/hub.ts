/** Faults with the prefix `hub.`: the small control plane. */
export const hubFaults = {
  'hub.port-in-use': {
    retry: 'operator',
    says: (d: { address: string }) => `${d.address} is in use`,
    remedy: 'Stop what listens there, or choose another port with --registry-port or --mqtt-port.',
  },
} as const;
