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
} as const;
