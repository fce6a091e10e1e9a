/** Faults with the prefix `publish.`: the publisher: init, key, sign, publish, promote, nudge. */
export const publishFaults = {
  'publish.not-a-fleet': {
    retry: 'operator',
    says: (d: { directory: string; missing: string }) =>
      `${d.directory} is no fleet folder: it has no ${d.missing}`,
    remedy: 'Go to the fleet folder, name it with --fleet, or make one with `holdfast init`.',
  },
  'publish.folder-exists': {
    retry: 'operator',
    says: (d: { directory: string }) => `${d.directory} is there already and is not empty`,
    remedy: 'Choose another folder: a fleet is never written over.',
  },
  'publish.margo': {
    retry: 'operator',
    says: (d: { reason: string }) => `the channel margo is not signed: ${d.reason}`,
    remedy:
      'Its statement is a Margo manifest: put ApplicationDeployments there, and leave the rest to another channel.',
  },
  'publish.margo-oci': {
    retry: 'operator',
    says: (d: { what: string; reason: string }) => `the OCI form of Margo, ${d.what}: ${d.reason}`,
    remedy:
      'The state itself is published. Set margo.oci of the channel in fleet.yaml to a place of its own, or publish above: `holdfast publish --renew`.',
  },
  'publish.channel-unknown': {
    retry: 'operator',
    says: (d: { channel: string; known: string }) =>
      `fleet.yaml has no channel ${d.channel}; it has ${d.known}`,
    remedy: 'Use one of the channels named.',
  },
  'publish.channel-unnamed': {
    retry: 'operator',
    says: (d: { known: string }) => `which channel? fleet.yaml has ${d.known}`,
    remedy: 'Name the channel after the command.',
  },
  'publish.ends-soon': {
    retry: 'operator',
    says: (d: { what: string; notAfter: string; days: number }) =>
      `${d.what} ends ${d.notAfter}, in ${d.days} ${d.days === 1 ? 'day' : 'days'}`,
    remedy:
      'Publish the next root while this one is in force (docs/roots.md): devices need time to take it.',
  },
  'publish.roots-full': {
    retry: 'operator',
    says: (d: { version: bigint; most: number }) =>
      `root ${d.version} is the last of this fleet: a chain has at most ${d.most} versions`,
    remedy:
      'Make a new fleet with `holdfast init` and put its root file onto each device: what runs there goes on.',
  },
  'publish.option': {
    retry: 'operator',
    says: (d: { option: string; reason: string }) => `${d.option}: ${d.reason}`,
    remedy: 'See the command’s --help.',
  },
  'publish.key-missing': {
    retry: 'operator',
    says: (d: { key: string; file: string }) => `the key ${d.key} is not here: no ${d.file}`,
    remedy:
      'Bring the key file back, or make a key with `holdfast key create` and name it in fleet.yaml.',
  },
  'publish.key-not-in-role': {
    retry: 'operator',
    says: (d: { key: string; channel: string; role: string }) =>
      `the root does not let the key ${d.key} sign ${d.channel}: it is not in the role ${d.role}`,
    remedy: 'Name keys of that role under channels in fleet.yaml.',
  },
  'publish.too-few-signers': {
    retry: 'operator',
    says: (d: { channel: string; got: number; threshold: number }) =>
      `${d.channel} has ${d.got} usable signers, the root wants ${d.threshold}`,
    remedy: 'Name more keys of the channel’s role under channels in fleet.yaml.',
  },
  'publish.passphrase': {
    retry: 'operator',
    says: (d: { key: string; reason: string }) => `no passphrase for ${d.key}: ${d.reason}`,
    remedy:
      'Type it at a terminal, set HOLDFAST_PASSPHRASE_FILE, or use --no-passphrase for new keys.',
  },
  'publish.document-name': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) => `${d.file}: ${d.reason}`,
    remedy: 'Name each deployment document ID.yaml, ID being its id.',
  },
  'publish.blob-path': {
    retry: 'operator',
    says: (d: { document: string; blob: string; reason: string }) =>
      `${d.document}: blob ${d.blob}: ${d.reason}`,
    remedy: 'Name a file or directory below the document’s own folder, by its relative path.',
  },
  'publish.tree-entry': {
    retry: 'operator',
    says: (d: { path: string; reason: string }) => `${d.path} cannot go into a tree: ${d.reason}`,
    remedy: 'Keep plain files and directories with portable names in published trees.',
  },
  'publish.too-large': {
    retry: 'operator',
    says: (d: { what: string; size: number; most: number }) =>
      `${d.what} has ${d.size}, more than ${d.most}`,
    remedy: 'Split it, or make it smaller: devices refuse what is above this bound.',
  },
  'publish.changed-meanwhile': {
    retry: 'later',
    says: (d: { path: string }) => `${d.path} changed while it was being read`,
    remedy: 'Run the command again when nothing writes to the fleet folder.',
  },
  'publish.sequence-taken': {
    retry: 'operator',
    says: (d: { tag: string }) => `${d.tag} was taken by another publisher`,
    remedy: 'Run publish again: it signs the next number.',
  },
  'publish.superseded': {
    retry: 'operator',
    says: (d: { point: string; head: string }) =>
      `the channel is at ${d.head} already; ${d.point} would be a step back`,
    remedy: 'Run publish again: it signs above the head.',
  },
  'publish.head-unverified': {
    retry: 'operator',
    says: (d: { channel: string; source: string; reason: string }) =>
      `what ${d.source} has as ${d.channel} is not signed by this fleet: ${d.reason}`,
    remedy:
      'Use a repository of this fleet’s own, or remove the tag if you know where it came from.',
  },
  'publish.not-confirmed': {
    retry: 'operator',
    says: (d: { channel: string; removed: string }) =>
      `${d.channel}: removing ${d.removed} was not confirmed`,
    remedy: 'Answer yes at a terminal, or give --allow-removal; -y does not cover removals.',
  },
  'publish.nothing-signed': {
    retry: 'operator',
    says: (d: { channel: string; where: string }) =>
      `there is no state of ${d.channel} in ${d.where}`,
    remedy: 'Run `holdfast publish` for this channel first.',
  },
  'publish.no-registry': {
    retry: 'operator',
    says: (_: Record<never, never>) => 'fleet.yaml names no registry',
    remedy:
      'Add registry: { url: https://host/repository } to fleet.yaml, or write a bundle with --to.',
  },
  'publish.no-broker': {
    retry: 'operator',
    says: (_: Record<never, never>) => 'fleet.yaml names no MQTT broker',
    remedy: 'Add mqtt: { url: mqtts://host } to fleet.yaml; without nudges devices poll.',
  },
  'publish.time-clock': {
    retry: 'operator',
    says: (d: { now: string; floor: string }) =>
      `this machine's clock says ${d.now}, and it is at least ${d.floor}`,
    remedy: 'Set the clock of the time authority; it signs nothing until then.',
  },
  'publish.time-role': {
    retry: 'operator',
    says: (d: { version: bigint }) => `root ${d.version} names no role time: nobody may say it`,
    remedy: 'Add a key with `holdfast root add-key time --role time` (docs/roots.md), and publish.',
  },
  'publish.time-key': {
    retry: 'operator',
    says: (d: { key: string; version: bigint }) =>
      `the key ${d.key} is not in the role time of root ${d.version}`,
    remedy: 'Name key files of that role, or add the key to it: `holdfast root add-key`.',
  },
  'publish.time-channel': {
    retry: 'operator',
    says: (_: Record<never, never>) => 'a channel is called time: its tag is that of the time',
    remedy: 'Give the channel another name (`holdfast promote` brings its state there).',
  },
  'publish.not-promotable': {
    retry: 'operator',
    says: (d: { from: string; to: string; reason: string }) =>
      `${d.from} cannot be promoted to ${d.to}: ${d.reason}`,
    remedy: 'Publish the source channel so that its head is what is here, then promote it.',
  },
  'publish.bundle': {
    retry: 'operator',
    says: (d: { bundle: string; reason: string }) => `${d.bundle}: ${d.reason}`,
    remedy: 'Name a bundle as oci:DIRECTORY or oci-archive:FILE.',
  },
  'publish.signatures-missing': {
    retry: 'operator',
    says: (d: { point: string; got: number; threshold: number; folder: string }) =>
      `${d.point} has ${d.got} of ${d.threshold} signatures; it waits in ${d.folder}`,
    remedy: 'Sign what `holdfast pae` prints for it, then `holdfast sign --attach FILE`.',
  },
  'publish.nothing-waiting': {
    retry: 'operator',
    says: (d: { channel: string }) => `no statement of ${d.channel} waits for signatures`,
    remedy: 'Run `holdfast sign` first; with --detached it opens no private key.',
  },
  'publish.signature-refused': {
    retry: 'operator',
    says: (d: { point: string; reason: string }) =>
      `the signature does not count for ${d.point}: ${d.reason}`,
    remedy: 'Sign exactly what `holdfast pae` prints, with a key that the root names.',
  },
  'publish.push-too-large': {
    retry: 'operator',
    says: (d: { what: string; size: number; most: number }) =>
      `${d.what} has ${d.size} bytes, more than the ${d.most} of one message: only a hint was sent`,
    remedy: 'Devices without a way to a registry need a bundle, or smaller contents.',
  },
  'publish.root-chain': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) => `${d.file}: ${d.reason}`,
    remedy: 'Move it and those above it away, then fetch them as published: `holdfast root pull`.',
  },
  'publish.root-behind': {
    retry: 'operator',
    says: (d: { source: string; theirs: bigint; ours: bigint }) =>
      `${d.source} has root version ${d.theirs}, this folder only ${d.ours}`,
    remedy: 'Run `holdfast root pull`, look at `holdfast root diff`, then run the command again.',
  },
  'publish.root-forked': {
    retry: 'operator',
    says: (d: { source: string; version: bigint }) =>
      `${d.source} has another root version ${d.version} than this folder, and both are signed`,
    remedy:
      'Two desks made one version: move this folder’s file away, run `holdfast root pull`, and edit again.',
  },
  'publish.root-expired': {
    retry: 'operator',
    says: (d: { version: bigint; notAfter: string; now: string }) =>
      `root version ${d.version} ended ${d.notAfter}, and it is ${d.now}`,
    remedy: 'Renew it: `holdfast root set-expiry`, then request, sign and publish the new root.',
  },
  'publish.root-newer': {
    retry: 'operator',
    says: (d: { version: bigint }) =>
      `root version ${d.version} has parts that this version of holdfast would lose`,
    remedy: 'Edit it with the newest holdfast that any desk of this fleet uses.',
  },
  'publish.root-draft': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) => `${d.file}: ${d.reason}`,
    remedy: 'Correct the draft, or start again with `holdfast root discard`.',
  },
  'publish.root-none': {
    retry: 'operator',
    says: (d: { what: string; file: string }) =>
      `there is no ${d.what} of the next root: no ${d.file}`,
    remedy: 'Change something first (`holdfast root --help`), then `holdfast root request`.',
  },
  'publish.root-pending': {
    retry: 'operator',
    says: (d: { file: string; signatures: number }) =>
      `${d.file} asks for signatures to something else already and has ${d.signatures}`,
    remedy: 'Finish it with `holdfast root publish`, or drop it with `holdfast root discard`.',
  },
  'publish.root-request': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) => `${d.file}: ${d.reason}`,
    remedy: 'Ask for the file that `holdfast root request` wrote, exactly as it was written.',
  },
  'publish.root-not-a-signer': {
    retry: 'operator',
    says: (d: { key: string; version: bigint }) =>
      `${d.key} is no root key, neither of version ${d.version} nor of the one before it`,
    remedy: 'Sign with a key of the role root; `holdfast root show` names them.',
  },
  'publish.root-signature': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) => `${d.file} adds no signature: ${d.reason}`,
    remedy:
      'Sign the request’s own bytes (`holdfast root sign`, or `holdfast pae`) with a root key.',
  },
  'publish.former-head': {
    retry: 'operator',
    says: (d: { channel: string; point: string; digest: string; version: bigint }) =>
      `${d.channel} ${d.point} (${d.digest}) is by keys that root ${d.version} took away, and not of this folder`,
    remedy:
      'If it is yours, `holdfast root publish --adopt DIGEST`; if a thief may have made it, `holdfast root bump-epoch CHANNEL`.',
  },
} as const;
