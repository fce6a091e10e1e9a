/** Faults with the prefix `source.`: what a registry, bundle or message offered. */
export const sourceFaults = {
  'source.digest-mismatch': {
    retry: 'later',
    says: (d: { what: string; wanted: string; got: string }) =>
      `${d.what} should be ${d.wanted} but its bytes are ${d.got}`,
    remedy: 'The source is damaged or dishonest: publish again, or use another mirror.',
  },
  'source.too-large': {
    retry: 'never',
    says: (d: { what: string; cap: number }) => `${d.what} is longer than ${d.cap} bytes`,
    remedy: 'Publish again: what the source holds is not what was signed, or above the limit.',
  },
  'source.size-mismatch': {
    retry: 'later',
    says: (d: { what: string; wanted: number; got: number }) =>
      `${d.what} should be ${d.wanted} bytes but is ${d.got}`,
    remedy: 'The source is damaged or dishonest: publish again, or use another mirror.',
  },
  'source.media-type': {
    retry: 'never',
    says: (d: { what: string; wanted: string; got: string }) =>
      `${d.what} should be ${d.wanted} but is called ${d.got}`,
    remedy:
      'Check that the url is that of an OCI registry, and the reference names what `holdfast publish` pushed.',
  },
  'source.artifact': {
    retry: 'never',
    says: (d: { what: string; reason: string }) => `${d.what} is no Holdfast state: ${d.reason}`,
    remedy:
      'Publish again with `holdfast publish`; the tag may have been overwritten by another tool.',
  },
  'source.missing': {
    retry: 'later',
    says: (d: { what: string; source: string }) => `${d.what} is not there: ${d.source}`,
    remedy: 'Push it again with `holdfast publish`, or add a mirror that holds it.',
  },
  'source.layout': {
    retry: 'never',
    says: (d: { path: string; reason: string }) => `${d.path} is no OCI image layout: ${d.reason}`,
    remedy: 'Make the bundle again with `holdfast publish --to oci:DIR` or `oci-archive:FILE`.',
  },
  'source.range': {
    retry: 'later',
    says: (d: { what: string; reason: string }) =>
      `${d.what}: wrong answer to a range: ${d.reason}`,
    remedy:
      'The download starts again from its first byte; check the server or the proxy before it.',
  },
  'source.slow': {
    retry: 'later',
    says: (d: { source: string; ms: number }) =>
      `${d.source} had not answered whole after ${d.ms} ms`,
    remedy: 'Look at the mirror and the way to it; meanwhile the others are asked before it.',
  },
  // Check 13
  'source.stale': {
    retry: 'later',
    says: (d: { offered: string; floor: string }) =>
      `it shows ${d.offered}, older than ${d.floor}, which was accepted here`,
    remedy: 'Bring the mirror, stick or broker up to date; nothing was changed.',
  },
} as const;
