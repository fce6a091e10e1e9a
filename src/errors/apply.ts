/** Faults with the prefix `apply.`: preparing, activating, proving, undoing, and the runtimes. */
export const applyFaults = {
  'apply.health-failed': {
    retry: 'never',
    says: (d: { deployment: string; check: string; reason: string }) =>
      `${d.deployment}: health check ${d.check} failed: ${d.reason}`,
    remedy:
      "Read the program's log with `holdfast logs`, correct the deployment and publish again.",
  },
  'apply.cut-off': {
    retry: 'never',
    says: (d: { point: string; ways: string; window: string; why: string }) =>
      `since ${d.point} came into force, ${d.ways} did not answer within ${d.window} (${d.why})`,
    remedy:
      'Correct the network, the addresses or the certificates in it and publish again; what ran before is back. If the other side was down: publish it anew.',
  },
  'apply.config-key': {
    retry: 'never',
    says: (d: { deployment: string; key: string }) =>
      `${d.deployment}: ${d.key} of the agent's configuration is for the owner of the device alone`,
    remedy:
      'Take the key out; states may set device.labels, time, registries, mqtt, schedule, nudges, bundles, metrics, keep and log. The rest stands in agent.yaml.',
  },
  'apply.config-path': {
    retry: 'never',
    says: (d: { deployment: string; key: string; path: string }) =>
      `${d.deployment}: ${d.key} names ${d.path}, outside the roots of this channel and not in agent.yaml`,
    remedy: 'Publish the file below a root of the channel, or name one that agent.yaml names.',
  },
  'apply.config-invalid': {
    retry: 'never',
    says: (d: { deployment: string; reason: string }) =>
      `${d.deployment} is no configuration that this agent could start with: ${d.reason}`,
    remedy: 'Correct the sections and publish again; nothing was changed here.',
  },
  'apply.reconfigured': {
    retry: 'later',
    says: (d: { point: string }) =>
      `${d.point} changed the configuration of the agent, which starts anew with it to prove it`,
    remedy: 'Nothing to do: it goes on by itself in a moment.',
  },
  'apply.superseded': {
    retry: 'never',
    says: (d: { point: string }) => `${d.point} was superseded by a newer state`,
    remedy: 'Nothing to do: the newer state is being applied.',
  },
  'apply.interrupted': {
    retry: 'later',
    says: (d: { phase: string; tries: number }) =>
      `the agent or the power was cut while ${d.phase} (try ${d.tries})`,
    remedy: 'Nothing to do: the old state is back and the next try follows.',
  },
  'apply.stopped': {
    retry: 'later',
    says: (d: { point: string }) => `${d.point} is left as it is: everything is being stopped`,
    remedy: 'Nothing to do: the next start of the agent goes on with it.',
  },
  'apply.crash-loop': {
    retry: 'never',
    says: (d: { tries: number }) => `every one of ${d.tries} tries was cut short`,
    remedy: 'Find what resets the device during this change, then publish a corrected state.',
  },
  'apply.held-back': {
    retry: 'later',
    says: (d: { deployment: string; needs: string; code: string }) =>
      `${d.deployment} waits for ${d.needs}, which is not in force as wanted (${d.code})`,
    remedy: 'Correct what it waits for and publish again; what stood there before is in force.',
  },
  'apply.no-space': {
    retry: 'later',
    says: (d: { needed: number; free: number; reserve: number }) =>
      `${d.needed} bytes are needed (${d.reserve} of them reserve), ${d.free} are free`,
    remedy: 'Free space on the file system of stateDir; the agent tries again by itself.',
  },
  'apply.target-occupied': {
    retry: 'operator',
    says: (d: { deployment: string; target: string; found: string }) =>
      `${d.deployment}: at ${d.target} stands ${d.found}`,
    remedy: 'Move it away, or, for a directory, set adopt: true so that it is kept and replaced.',
  },
  'apply.protected-path': {
    retry: 'never',
    says: (d: { deployment: string; target: string; path: string }) =>
      `${d.deployment}: target ${d.target} reaches ${d.path}, which belongs to the agent`,
    remedy: 'Choose another target: states may never write the agent or its files.',
  },
  'apply.mount-point': {
    retry: 'operator',
    says: (d: { deployment: string; target: string; path: string }) =>
      `${d.deployment}: ${d.path} is on another file system than the place of ${d.target}`,
    remedy: 'Name a target below the mount point, or unmount it.',
  },
  'apply.unpack-ratio': {
    retry: 'never',
    says: (d: { deployment: string; size: number; unpackedSize: number }) =>
      `${d.deployment}: ${d.size} bytes are said to unpack to ${d.unpackedSize}`,
    remedy: 'Publish the tree in smaller parts, or leave out what is only zeros.',
  },
  'apply.generation-in-use': {
    retry: 'later',
    says: (d: { path: string }) => `both places of ${d.path} are damaged and in use`,
    remedy: 'Restart the programs of this deployment; the next try unpacks it anew.',
  },
  'apply.reload-failed': {
    retry: 'never',
    says: (d: { deployment: string; command: string; reason: string }) =>
      `${d.deployment}: reload hook ${d.command}: ${d.reason}`,
    remedy: 'Run the command on the device by hand, correct it and publish again.',
  },
  'apply.root-denied': {
    retry: 'operator',
    says: (d: { deployment: string; component: string }) =>
      `${d.deployment}: ${d.component} would run as root, which agent.yaml does not allow`,
    remedy: 'Give the component a user, or set runtimes.process.allowRoot in agent.yaml.',
  },
  'apply.user-denied': {
    retry: 'operator',
    says: (d: { deployment: string; component: string; user: string; uid: number }) =>
      `${d.deployment}: ${d.component} needs user ${d.user}; the agent, uid ${d.uid}, cannot switch`,
    remedy: 'Run the agent as root or as docs/install.md says, or name the user that it runs as.',
  },
  'apply.program-missing': {
    retry: 'never',
    says: (d: { deployment: string; component: string; program: string }) =>
      `${d.deployment}: ${d.component}: there is no ${d.program} in its blob`,
    remedy: 'Let command[0] name a file of the blob, or a program of the device by absolute path.',
  },
  'apply.stop-failed': {
    retry: 'later',
    says: (d: { deployment: string; processes: string }) =>
      `${d.deployment}: still there after SIGKILL: ${d.processes}`,
    remedy: 'Look for a hung device or file system that holds the process (state D in ps).',
  },
  'apply.not-running': {
    retry: 'later',
    says: (d: { deployment: string; reason: string }) => `${d.deployment}: ${d.reason}`,
    remedy: "Read the program's log with `holdfast logs`; the agent goes on starting it.",
  },
} as const;
