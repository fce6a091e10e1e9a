/** Faults with the prefix `margo.`: the Margo manager, what it sent, and how it shows who it is. */
export const margoFaults = {
  'margo.manifest': {
    retry: 'never',
    says: (d: { pointer: string; reason: string }) =>
      `the manifest of the Margo manager: ${d.pointer === '' ? 'as a whole' : d.pointer}: ${d.reason}`,
    remedy: 'Correct it at the manager, which must raise manifestVersion; what runs stays.',
  },
  'margo.bundle': {
    retry: 'later',
    says: (d: { reason: string }) => `the bundle of the Margo manager: ${d.reason}`,
    remedy: 'Have the manager make the bundle again; the documents are asked for one by one.',
  },
  'margo.identity': {
    retry: 'operator',
    says: (d: { who: string; reason: string }) => `${d.who} is no usable X.509-SVID: ${d.reason}`,
    remedy:
      'Issue it again: one URI name spiffe://DOMAIN/margo/wfm/ID, for clients with /client/ID, no CA.',
  },
  'margo.trust-bundle': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) =>
      `${d.file} is no usable trust bundle: ${d.reason}`,
    remedy: 'Take the trust bundle of your trust domain again, over a way that you trust.',
  },
} as const;
