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
  'margo.unsigned': {
    retry: 'later',
    says: (d: { source: string }) => `${d.source} serves a manifest and no signature of it`,
    remedy:
      'Sign it with the keys of the channel margo and have it served: docs/margo.md; or believe the manager: authority: tls.',
  },
  'margo.oci': {
    retry: 'later',
    says: (d: { pointer: string; reason: string }) =>
      `the desired state in the OCI form of Margo: ${d.pointer === '' ? 'as a whole' : d.pointer}: ${d.reason}`,
    remedy: 'Push it again under a higher version; what runs stays, and it is looked for again.',
  },
  'margo.not-served': {
    retry: 'later',
    says: (d: { what: string }) => `the Margo manager names ${d.what} and does not serve it`,
    remedy: 'Nothing is removed for that; it is asked for again at the next poll.',
  },
  'margo.answer': {
    retry: 'later',
    says: (d: { what: string; status: number; title: string }) =>
      `the Margo manager answered ${d.status} to ${d.what}: ${d.title}`,
    remedy: 'Look at the log of the manager; it is asked again later, and what runs stays.',
  },
  'margo.not-authorized': {
    retry: 'operator',
    says: (d: { what: string; title: string }) =>
      `the Margo manager does not let this client ${d.what}: ${d.title}`,
    remedy: 'Have the manager accept the SPIFFE ID of margo.cert, or give the device another one.',
  },
  'margo.media-type': {
    retry: 'later',
    says: (d: { what: string; found: string; expected: string }) =>
      `the Margo manager sent ${d.what} as ${d.found}, not as ${d.expected}`,
    remedy: 'Check that margo.url is the base URL of a Margo manager of the configured dialect.',
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
  'margo.unsupported': {
    retry: 'operator',
    says: (d: { deployment: string; type: string }) =>
      `deployment ${d.deployment} is of type ${d.type}, which this device does not offer`,
    remedy:
      'Deploy it to a device that offers the type; here: custom, with x-holdfast-extensions for files or process.',
  },
  'margo.not-eligible': {
    retry: 'operator',
    says: (d: { deployment: string; reason: string }) =>
      `deployment ${d.deployment} is not for this device: ${d.reason}`,
    remedy: 'Compare its deviceConstraints with what `holdfast status` and the manager show of it.',
  },
  'margo.not-this-device': {
    retry: 'operator',
    says: (d: { deployment: string; device: string }) =>
      `deployment ${d.deployment} is for device ${d.device}, which is not this one`,
    remedy: 'Set metadata.deviceId to the id of this device, or correct margo.deviceId.',
  },
  'margo.child-unknown': {
    retry: 'operator',
    says: (d: { deployment: string; device: string }) =>
      `deployment ${d.deployment} is for ${d.device}, which is no child of this gateway`,
    remedy: 'Name the child in margo.children of agent.yaml, or correct metadata.deviceId.',
  },
  'margo.child-unreachable': {
    retry: 'later',
    says: (d: { device: string; reason: string }) => `${d.device} is out of reach: ${d.reason}`,
    remedy: 'Mount its folder, or look at its command; it is tried again, and others go on.',
  },
  'margo.no-placement': {
    retry: 'operator',
    says: (d: { deployment: string; gateway: string }) =>
      `deployment ${d.deployment} leaves the choice of a child to ${d.gateway}, which makes none`,
    remedy: 'Name one child in metadata.deviceId.',
  },
  'margo.quiet': {
    retry: 'later',
    says: (d: { why: string; until: string; now: string }) =>
      `the Margo manager is not asked before ${d.until}: margo.${d.why} of agent.yaml (it is ${d.now})`,
    remedy: 'Wait, or ask now: holdfast apply; what runs stays, and reports wait on this device.',
  },
} as const;
