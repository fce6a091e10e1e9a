/** Faults with the prefix `values.`: values of one device, sealed or plain (its channel device.ID). */
export const valuesFaults = {
  'values.unopened': {
    retry: 'never',
    says: (d: { name: string; channel: string; reason: string }) =>
      `the sealed value ${d.name} of ${d.channel} does not open on this device: ${d.reason}`,
    remedy:
      'Seal it again with `holdfast seal` for the sealing key that this device reports now, and publish its channel.',
  },
  'values.duplicate': {
    retry: 'never',
    says: (d: { name: string; one: string; other: string }) =>
      `the value ${d.name} stands in ${d.one} and in ${d.other}`,
    remedy: 'Keep it in one of the two documents.',
  },
  'values.too-many': {
    retry: 'never',
    says: (d: { channel: string; values: number; most: number }) =>
      `${d.channel} has ${d.values} values; at most ${d.most}`,
    remedy: 'Take away values that no deployment names.',
  },
  'values.only': {
    retry: 'never',
    says: (d: { channel: string; found: string }) =>
      `${d.channel} is the channel of one device and carries values only, not ${d.found}`,
    remedy: 'Publish deployments in a channel of the fleet; they name values by deviceValue.',
  },
  'values.elsewhere': {
    retry: 'never',
    says: (d: { channel: string; document: string }) =>
      `${d.channel} carries the values document ${d.document}; only a channel device.ID does`,
    remedy: 'Move the document to channels/device.ID of the device that it is for.',
  },
  'values.unresolved': {
    retry: 'operator',
    says: (d: { deployment: string; parameter: string; name: string; reason: string }) =>
      `${d.deployment}: parameter ${d.parameter} waits for the value ${d.name}: ${d.reason}`,
    remedy:
      'Write it into channels/device.ID (sealed: `holdfast seal`), publish device.ID; the root names device.* or device.ID.',
  },
  'values.exposed': {
    retry: 'never',
    says: (d: { deployment: string; parameter: string; where: string }) =>
      `${d.deployment}: the sealed value of parameter ${d.parameter} would stand in ${d.where}, where others read it`,
    remedy:
      'Give it to a process in its environment, or with `as: file` as the path of a file on tmpfs.',
  },
  'values.not-volatile': {
    retry: 'operator',
    says: (d: { deployment: string; runDir: string; found: string }) =>
      `${d.deployment}: a value may be written to tmpfs only, and runDir ${d.runDir} is on ${d.found}`,
    remedy: 'Set runDir in agent.yaml to a directory on tmpfs, such as /run/holdfast.',
  },
  'values.sealing-key': {
    retry: 'never',
    says: (d: { what: string; reason: string }) => `${d.what} is no sealing key: ${d.reason}`,
    remedy:
      'Use the X25519 key of the device: identity/sealing.pub.pem of its stateDir, or its signed status.',
  },
  'values.secret': {
    retry: 'never',
    says: (d: { reason: string }) => `nothing can be sealed: ${d.reason}`,
    remedy: 'Give one value on standard input: text in UTF-8, without NUL.',
  },
  'values.status': {
    retry: 'never',
    says: (d: { device: string; reason: string }) =>
      `no sealing key of ${d.device} is taken from this status: ${d.reason}`,
    remedy:
      'Take the status of this fleet and device as its agent sent it, or name its sealing key with --key.',
  },
  'values.device-unpinned': {
    retry: 'operator',
    says: (d: { device: string; found: string }) =>
      `the key of ${d.device} is not known here; who sent this status signs with ${d.found}`,
    remedy:
      'Compare it with the device key that `holdfast doctor` shows on the device; when it is the same, run again with --device-key and it.',
  },
  'values.device-key': {
    retry: 'never',
    says: (d: { device: string; found: string; pinned: string }) =>
      `the status of ${d.device} is signed with ${d.found}, its key is ${d.pinned}`,
    remedy:
      'Somebody else may speak for the device. Where it was replaced, remove its file in devices/ and compare the new key.',
  },
} as const;
