/** Faults with the prefix `format.`: bytes that do not have the form they claim: JSON, protobuf, YAML, tar, OCI documents. */
export const formatFaults = {
  'format.json': {
    retry: 'never',
    says: (d: { what: string; reason: string }) => `${d.what} is not strict JSON: ${d.reason}`,
    remedy: 'Produce it again with `holdfast publish`; nothing was changed.',
  },
  'format.protobuf': {
    retry: 'never',
    says: (d: { what: string; reason: string }) =>
      `${d.what} is not a strict protobuf message: ${d.reason}`,
    remedy: 'Produce it again with `holdfast publish`; nothing was changed.',
  },
  'format.envelope': {
    retry: 'never',
    says: (d: { what: string; reason: string }) =>
      `${d.what} is not a usable DSSE envelope: ${d.reason}`,
    remedy: 'Sign and publish again with `holdfast publish`; nothing was changed.',
  },
  'format.spec-version': {
    retry: 'operator',
    says: (d: { what: string; found: number }) =>
      `${d.what} has format version ${d.found}; this program reads version 1`,
    remedy: 'Update Holdfast on this device, or publish in format version 1.',
  },
  'format.root': {
    retry: 'never',
    says: (d: { field: string; reason: string }) => `root document: ${d.field}: ${d.reason}`,
    remedy: 'Make the root document again with `holdfast root`; the one held stays in force.',
  },
  'format.desired-state': {
    retry: 'never',
    says: (d: { field: string; reason: string }) => `statement: ${d.field}: ${d.reason}`,
    remedy: 'Correct what is published and run `holdfast publish` again; what runs stays.',
  },
  'format.message': {
    retry: 'never',
    says: (d: { what: string; field: string; reason: string }) =>
      `${d.what}: ${d.field}: ${d.reason}`,
    remedy: 'The message is ignored; look at the version of its sender.',
  },
  'format.oci': {
    retry: 'never',
    says: (d: { what: string; reason: string }) => `${d.what} is refused: ${d.reason}`,
    remedy: 'Push the artifact again with `holdfast publish`; copy it with skopeo, oras or crane.',
  },
  'format.media-type': {
    retry: 'never',
    says: (d: { what: string; found: string; expected: string }) =>
      `${d.what} has media type ${d.found}; expected ${d.expected}`,
    remedy: 'Publish it with the media type expected, or update Holdfast on this device.',
  },
  'format.documents': {
    retry: 'never',
    says: (d: { entry: string; reason: string }) => `documents layer: ${d.entry}: ${d.reason}`,
    remedy: 'Publish the statement again with `holdfast publish`; nothing was changed.',
  },
  'format.tar': {
    retry: 'never',
    says: (d: { entry: string; reason: string }) => `archive entry ${d.entry}: ${d.reason}`,
    remedy: 'Correct the directory that is published, or make the archive with `holdfast publish`.',
  },
  'format.gzip': {
    retry: 'never',
    says: (d: { reason: string }) => `the archive is not one whole gzip member: ${d.reason}`,
    remedy: 'Publish the directory again with `holdfast publish`; nothing was changed.',
  },
  'format.signature': {
    retry: 'never',
    says: (d: { format: string; reason: string }) =>
      `it is not a usable ${d.format} signature: ${d.reason}`,
    remedy: 'Sign what `holdfast pae` prints, with a command of docs/signing.md.',
  },
  'format.public-key': {
    retry: 'operator',
    says: (d: { reason: string }) => `it is not a usable public key: ${d.reason}`,
    remedy:
      'Give the public half: PEM (Ed25519 or P-256), an OpenSSH line, or a key file of minisign or signify.',
  },
} as const;
