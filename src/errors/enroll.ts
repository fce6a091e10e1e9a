/** Faults with the prefix `enroll.`: how a device comes to its credential, and keeps one. */
export const enrollFaults = {
  'enroll.token': {
    retry: 'operator',
    says: (d: { reason: string }) => `this is no enrolment token: ${d.reason}`,
    remedy:
      'Copy the whole line that `holdfast hub enroll token` printed; --token-file spares typing.',
  },
  'enroll.hub-unknown': {
    retry: 'operator',
    says: (d: { hub: string; found: string }) =>
      `nothing says that ${d.hub} is your hub; it shows the authority ${d.found}`,
    remedy:
      'Compare that with `holdfast hub enroll list` on the hub, then give it as --hub-fingerprint.',
  },
  'enroll.hub-untrusted': {
    retry: 'operator',
    says: (d: { hub: string; expected: string; found: string }) =>
      `${d.hub} is not the hub: expected the authority ${d.expected}, it shows ${d.found}`,
    remedy: 'Somebody else answers at that address, or the hub was made anew: ask its operator.',
  },
  'enroll.refused': {
    retry: 'operator',
    says: (d: { reason: string }) => `the hub does not enrol this device: ${d.reason}`,
    remedy: 'Get a new token (`holdfast hub enroll token`), or ask the operator to approve.',
  },
  'enroll.denied': {
    retry: 'operator',
    says: (d: { device: string }) => `the operator of the hub has denied or revoked ${d.device}`,
    remedy: 'Ask the operator; `holdfast hub enroll approve` or a new token lets it in again.',
  },
  'enroll.id-taken': {
    retry: 'operator',
    says: (d: { device: string }) => `another key is already enrolled as ${d.device}`,
    remedy: 'Choose another --device-id, or let the operator approve with --replace.',
  },
  'enroll.pending': {
    retry: 'later',
    says: (d: { device: string; fingerprint: string }) =>
      `${d.device} waits for approval; its key has the fingerprint ${d.fingerprint}`,
    remedy: 'Approve it on the hub, then run the same command again: it goes on where it was.',
  },
  'enroll.request': {
    retry: 'never',
    says: (d: { reason: string }) => `the request for a credential is refused: ${d.reason}`,
    remedy: 'Run `holdfast enroll` again; when it stays, use the same version on hub and device.',
  },
  'enroll.answer': {
    retry: 'later',
    says: (d: { reason: string }) => `the answer of the hub cannot be used: ${d.reason}`,
    remedy: 'Try again; when it stays, look at the log of the hub and compare versions.',
  },
  'enroll.unproven': {
    retry: 'later',
    says: (d: { reason: string }) => `the new credential does not open the hub: ${d.reason}`,
    remedy: 'The one before it stays in use; the agent tries again by itself.',
  },
  'enroll.root-differs': {
    retry: 'operator',
    says: (d: { expected: string; found: string }) =>
      `the token vouches for the root ${d.expected}, the hub sent ${d.found}`,
    remedy: 'Make a new token after `holdfast hub --root`, or copy the root document by hand.',
  },
  'enroll.root-unconfirmed': {
    retry: 'operator',
    says: (d: { digest: string }) => `nobody vouches for the root document ${d.digest}`,
    remedy: 'Compare it with the fleet’s (sha256sum), then give it as --root-digest.',
  },
  'enroll.damaged': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) => `${d.file} cannot be used: ${d.reason}`,
    remedy: 'Run `holdfast enroll` again; the device key stays as it is.',
  },
  'enroll.expired': {
    retry: 'operator',
    says: (d: { device: string }) =>
      `the credential of ${d.device} ended too long ago for the hub to renew it`,
    remedy: 'Enrol again with a new token or by approval; what runs goes on meanwhile.',
  },
} as const;
