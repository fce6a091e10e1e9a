/** Faults with the prefix `hub.`: the small control plane. */
export const hubFaults = {
  'hub.port-in-use': {
    retry: 'operator',
    says: (d: { address: string }) => `${d.address} is in use`,
    remedy: 'Stop what listens there, or choose another port with --registry-port or --mqtt-port.',
  },
  'hub.not-loopback': {
    retry: 'operator',
    says: (d: { host: string }) => `${d.host} is reachable from other machines, without a password`,
    remedy: 'Listen on 127.0.0.1 or ::1, or add --insecure where every machine may write.',
  },
  'hub.in-use': {
    retry: 'operator',
    says: (d: { folder: string }) => `another hub works on ${d.folder}`,
    remedy: 'Stop the other hub, or give this one its own folder with --data.',
  },
  'hub.busy': {
    retry: 'later',
    says: (d: { uploads: number }) => `${d.uploads} uploads are under way, or this one already is`,
    remedy: 'Try again when one has ended.',
  },
  'hub.too-large': {
    retry: 'never',
    says: (d: { cap: number }) => `more than ${d.cap} bytes came`,
    remedy: 'Push something smaller; the hub is made for one plant.',
  },
  'hub.digest-mismatch': {
    retry: 'never',
    says: (d: { digest: string; found: string }) => `what came as ${d.digest} is ${d.found}`,
    remedy: 'Push it again; the bytes changed on the way or after the digest was made.',
  },
  'hub.manifest': {
    retry: 'never',
    says: (d: { reason: string }) => `the manifest is refused: ${d.reason}`,
    remedy: 'Push an OCI image manifest or index as the OCI image-spec has them.',
  },
  'hub.damaged': {
    retry: 'operator',
    says: (d: { digest: string; found: string }) =>
      `the content stored as ${d.digest} has become ${d.found}`,
    remedy: 'Push it again; check the disk under the folder given with --data.',
  },
  'hub.retained-full': {
    retry: 'operator',
    says: (d: { messages: number; bytes: number }) =>
      `${d.messages} retained messages with ${d.bytes} bytes are kept, and no more`,
    remedy: 'Clear topics that nobody uses (an empty retained message), or use a larger broker.',
  },
  'hub.record-damaged': {
    retry: 'operator',
    says: (d: { file: string }) => `${d.file} is damaged`,
    remedy: 'Restore the file from a backup, or remove it: whom it let in must enrol again.',
  },
  'hub.enrolment-full': {
    retry: 'operator',
    says: (d: { what: string; max: number }) => `the hub keeps ${d.max} ${d.what}, and no more`,
    remedy: 'Revoke or deny what nobody uses; past one plant use the authority of your network.',
  },
  'hub.no-record': {
    retry: 'operator',
    says: (d: { who: string; reason: string }) => `${d.who}: ${d.reason}`,
    remedy: 'Look at `holdfast hub enroll list`; name a device id, a fingerprint or a token id.',
  },
  'hub.margo-options': {
    retry: 'operator',
    says: (d: { missing: string }) => `a Margo manager needs ${d.missing} as well`,
    remedy:
      'Give --margo-cert, --margo-key, --margo-bundle, --margo-serves REPOSITORY:CHANNEL and --root; with rc2 or pr1 --margo-accepted.',
  },
  'hub.margo-held': {
    retry: 'operator',
    says: (d: { signed: bigint; client: string; told: bigint }) =>
      `the signed manifest ${d.signed} is not above ${d.told}, which ${d.client} was told with other content`,
    remedy:
      'Publish with a higher number: `holdfast publish margo --renew`, until it is above; what was told stays.',
  },
  'hub.no-margo': {
    retry: 'operator',
    says: (d: { folder: string }) => `the hub on ${d.folder} has been no Margo manager yet`,
    remedy: 'Name the folder of the hub with --data, or start it with --margo-port: docs/margo.md.',
  },
  'hub.no-tls': {
    retry: 'operator',
    says: (d: { folder: string }) => `the hub on ${d.folder} has no certificate authority yet`,
    remedy: 'Start it once with `holdfast hub --tls`: enrolment and credentials need TLS.',
  },
} as const;
