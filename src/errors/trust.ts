/** Faults with the prefix `trust.`: the checks of a signed statement; numbers are those of the check. */
const REPUBLISH = 'Sign it again with `holdfast publish`; nothing was changed on the device.';

export const trustFaults = {
  // Check 5
  'trust.too-large': {
    retry: 'never',
    says: (d: { what: string; size: number; most: number }) =>
      `${d.what} has ${d.size} bytes, more than ${d.most}`,
    remedy: REPUBLISH,
  },
  'trust.too-many-signatures': {
    retry: 'never',
    says: (d: { count: number; most: number }) => `${d.count} signatures, at most ${d.most} count`,
    remedy: 'Keep only the signatures of the keys that the root names; publish again.',
  },
  // Check 6
  'trust.payload-type': {
    retry: 'never',
    says: (d: { got: string; wanted: string }) =>
      `the signed type is ${d.got}, not exactly "${d.wanted}"`,
    remedy: 'Something else was signed. Publish the state with `holdfast publish`.',
  },
  // Check 7
  'trust.root-invalid': {
    retry: 'operator',
    says: (d: { reason: string }) => `the root document cannot be used: ${d.reason}`,
    remedy: 'Correct the root and sign it again, or install the right file (trust.root).',
  },
  'trust.root-signature': {
    retry: 'operator',
    says: (d: { got: number; threshold: number; unusable: string }) =>
      `the root document has ${d.got} of ${d.threshold} signatures by its root role${d.unusable}`,
    remedy: 'Install the root file exactly as `holdfast init` wrote it (root/1.root.json).',
  },
  'trust.root-threshold': {
    retry: 'never',
    says: (d: { got: number; threshold: number; by: string; unusable: string }) =>
      `an offered root has ${d.got} of ${d.threshold} signatures by the keys of ${d.by}${d.unusable}`,
    remedy: 'Sign it with enough root keys, those before and those after: `holdfast root sign`.',
  },
  'trust.root-gap': {
    retry: 'never',
    says: (d: { offered: bigint; held: bigint }) =>
      `root ${d.offered} does not follow root ${d.held}, which is held`,
    remedy: 'Publish the whole chain: every root from version 2 on, none left out.',
  },
  'trust.root-fleet': {
    retry: 'never',
    says: (d: { offered: string; own: string }) =>
      `an offered root is of fleet ${d.offered}, this device is in ${d.own}`,
    remedy: 'A device changes fleets only by the file that trust.root names.',
  },
  'trust.root-equivocation': {
    retry: 'never',
    says: (d: { version: bigint; offered: string; held: string }) =>
      `two roots are signed as version ${d.version}: ${d.offered} and ${d.held}, which is held`,
    remedy: 'Find out who else signs with the root keys, then publish a root with new ones.',
  },
  'trust.root-expired': {
    retry: 'operator',
    says: (d: { notAfter: string; floor: string }) =>
      `the root document ended ${d.notAfter}, and it is at least ${d.floor}`,
    remedy: 'Install a root document that is in force; what runs is kept.',
  },
  'trust.demo-root': {
    retry: 'operator',
    says: (_: Record<never, never>) =>
      'the root document is marked demo: its keys were kept together',
    remedy: 'Use a root made by `holdfast init`, or set trust.allowDemo on a bench device.',
  },
  // Checks 8–10
  'trust.channel-unsigned': {
    retry: 'operator',
    says: (d: { channel: string }) => `the root names no role that signs channel ${d.channel}`,
    remedy: 'Follow a channel that the root names, or add the channel to the root.',
  },
  'trust.threshold-missing': {
    retry: 'operator',
    says: (d: { role: string }) => `the root has no role ${d.role} with a threshold of at least 1`,
    remedy: 'Correct the role in the root and sign the root again.',
  },
  'trust.threshold': {
    retry: 'never',
    says: (d: { role: string; got: number; threshold: number; unusable: string }) =>
      `${d.got} of ${d.threshold} distinct valid keys of role ${d.role} signed${d.unusable}`,
    remedy:
      'Sign with the keys that the root names for this channel, then publish again; a state of another fleet: correct the url, or trust.root.',
  },
  // Check 11
  'trust.critical': {
    retry: 'operator',
    says: (d: { where: string; name: string }) =>
      `the ${d.where} marks ${d.name} as critical, which this agent does not know`,
    remedy: 'Update the agent, or publish without the feature named.',
  },
  'trust.root-missing': {
    retry: 'later',
    says: (d: { needs: string; held: string }) =>
      `it needs ${d.needs}, this device holds ${d.held}`,
    remedy: 'Publish the newer root with the state; the device goes on when it has it.',
  },
  // Check 12
  'trust.wrong-fleet': {
    retry: 'never',
    says: (d: { offered: string; own: string }) =>
      `signed for fleet ${d.offered}, this device is in ${d.own}`,
    remedy: 'Point the device at its own fleet’s registry or broker.',
  },
  'trust.wrong-channel': {
    retry: 'never',
    says: (d: { offered: string; followed: string }) =>
      `signed for channel ${d.offered}, offered as ${d.followed}`,
    remedy: 'Use `holdfast promote` to bring a state to another channel; tags cannot.',
  },
  'trust.audience-empty': {
    retry: 'never',
    says: (d: { what: string }) => `its audience is an empty ${d.what}`,
    remedy: 'Name devices or labels, or `everyone`, in fleet.yaml and publish again.',
  },
  'trust.not-addressed': {
    retry: 'later',
    says: (d: { device: string; reason: string }) => `not for ${d.device}: ${d.reason}`,
    remedy: 'Nothing to do, unless the device should have been in the audience.',
  },
  // Check 13
  'trust.rollback': {
    retry: 'never',
    says: (d: { offered: string; floor: string }) =>
      `${d.offered} is below ${d.floor}, the highest (epoch.sequence) accepted here`,
    remedy: 'Publish above the floor. If the counter is lost, publish a root with the next epoch.',
  },
  'trust.equivocation': {
    retry: 'never',
    says: (d: { point: string; offered: string; accepted: string }) =>
      `two statements are signed as ${d.point}: ${d.offered} and the accepted ${d.accepted}`,
    remedy: 'Find out who else signs with these keys, then publish a higher sequence.',
  },
  'trust.epoch': {
    retry: 'never',
    says: (d: { offered: string; epoch: bigint }) =>
      `${d.offered} is of an epoch that ended; the root says epoch ${d.epoch}`,
    remedy: 'Publish again: it signs in the epoch of the root.',
  },
  // Check 14
  'trust.expired': {
    retry: 'never',
    says: (d: { notAfter: string; floor: string }) =>
      `it ended ${d.notAfter}, and it is at least ${d.floor}`,
    remedy: 'Publish a fresh statement; what runs is kept until then.',
  },
  'trust.maybe-expired': {
    retry: 'later',
    says: (d: { notAfter: string; estimate: string; grade: string }) =>
      `it ended ${d.notAfter} if the ${d.grade} time ${d.estimate} is right`,
    remedy: 'Set the device’s clock, publish a fresh statement, or use trust.clock: lenient.',
  },
  'trust.unattested': {
    retry: 'later',
    says: (d: { age: string; most: string }) =>
      `${d.age}; without attested time a state may be at most ${d.most} old here`,
    remedy:
      'Let the device reach a time authority (docs/operate.md), or publish a fresh statement.',
  },
  // Check 0: signed time statements
  'trust.time-nonce': {
    retry: 'never',
    says: (d: { device: string }) =>
      `it answers a nonce that ${d.device} does not wait for: made elsewhere, used or too old`,
    remedy: 'Nothing to do: the device asks again. If it recurs, somebody repeats old answers.',
  },
  'trust.time-device': {
    retry: 'never',
    says: (d: { offered: string; own: string }) => `it answers ${d.offered}, this is ${d.own}`,
    remedy: 'Give each device its own answer; a statement for all names no device.',
  },
  'trust.time-root': {
    retry: 'never',
    says: (d: { made: bigint; held: bigint }) =>
      `it is for everyone and of root ${d.made}, this device holds root ${d.held}`,
    remedy:
      'Nothing to do: the authority makes a new one each day, or now (`holdfast time publish`).',
  },
  'trust.time-implausible': {
    retry: 'never',
    says: (d: { at: string; floor: string; why: string }) =>
      `it says ${d.at}, and it is at least ${d.floor}: ${d.why}`,
    remedy: 'Set the clock of the time authority. A poisoned floor needs a root with a time reset.',
  },
  'trust.freeze': {
    retry: 'later',
    says: (d: { head: string; at: string; held: string }) =>
      `${d.head} was there at ${d.at}, and the sources show nothing above ${d.held}`,
    remedy: 'Bring the mirror or broker up to date; if it is, somebody holds states back.',
  },
  // Check 15
  'trust.agent-too-old': {
    retry: 'operator',
    says: (d: { wanted: string; running: string }) =>
      `it wants agent ${JSON.stringify(d.wanted.slice(0, 64))} or newer, this is ${d.running}`,
    remedy: 'Update the agent; the device takes the statement afterwards.',
  },
  // The audit journal and what is exported of it
  'trust.audit-broken': {
    retry: 'never',
    says: (d: { number: bigint; reason: string }) =>
      `the audit journal does not hold at entry ${d.number}: ${d.reason}`,
    remedy: 'It was altered or damaged: keep it as it is, and compare it with earlier exports.',
  },
  'trust.audit-mismatch': {
    retry: 'never',
    says: (d: { what: string; expected: string; found: string }) =>
      `${d.what} is ${d.found}, not ${d.expected}`,
    remedy: 'What is exported is not what happened: export it again from the device itself.',
  },
  'trust.removal-guard': {
    retry: 'never',
    says: (d: { removed: number; of: number; applied: string; allowed: string }) =>
      `it removes ${d.removed} of ${d.of} deployments; applied is ${d.applied}, removal is allowed ${d.allowed}`,
    remedy: 'If the removal is meant, publish it with --allow-removal.',
  },
} as const;
