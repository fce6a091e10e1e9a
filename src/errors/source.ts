/** Faults with the prefix `source.`: what a registry, bundle or message offered. */
export const sourceFaults = {
  'source.digest-mismatch': {
    retry: 'later',
    says: (d: { what: string; wanted: string; got: string }) =>
      `${d.what} should be ${d.wanted} but its bytes are ${d.got}`,
    remedy: 'The source is damaged or dishonest: publish again, or use another mirror.',
  },
} as const;
