/** Faults with the prefix `margo.`: how a client of the older dialects shows who it is, and what it will not take. */
export const margoClientFaults = {
  'margo.signing-key': {
    retry: 'operator',
    says: (d: { reason: string }) =>
      `the certificate and key that sign requests to the Margo manager cannot be used: ${d.reason}`,
    remedy:
      'Give margo.identity.cert and key one certificate and its own key, P-256; without both the device makes them.',
  },
  'margo.client-refused': {
    retry: 'operator',
    says: (d: { certificate: string; title: string }) =>
      `the Margo manager does not let the client with certificate ${d.certificate} in: ${d.title}`,
    remedy: 'Have the manager accept the certificate of this fingerprint; it is asked again later.',
  },
  'margo.onboarding': {
    retry: 'operator',
    says: (d: { status: number; reason: string }) =>
      `the Margo manager answered ${d.status} to the onboarding of this client: ${d.reason}`,
    remedy:
      'Compare margo.dialect and margo.url with what the manager speaks; give another margo.identity.cert if it is that.',
  },
  'margo.client-unknown': {
    retry: 'operator',
    says: (d: { client: string; what: string }) =>
      `the Margo manager does not know the client ${d.client} any more (404 to ${d.what})`,
    remedy:
      'Restore the manager. To onboard anew on purpose, remove identity/margo/client.json below stateDir and restart.',
  },
  'margo.signature-refused': {
    retry: 'operator',
    says: (d: { what: string; title: string }) =>
      `the Margo manager does not take the signature of this client (401 to ${d.what}): ${d.title}`,
    remedy:
      'Compare the certificate with the one the manager onboarded, and margo.url with the name it knows itself by.',
  },
  'margo.package-unpinned': {
    retry: 'operator',
    says: (d: { deployment: string; component: string }) =>
      `component ${d.component} of deployment ${d.deployment} names a packageLocation, which has no digest`,
    remedy:
      'Deploy it with repository and revision: what a URL serves may change, and nobody could tell.',
  },
} as const;
